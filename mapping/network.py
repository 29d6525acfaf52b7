r"""A quantized network with its metadata, and the one-file format it is kept in.

A file holds, in this order (integers little-endian)::

    8 bytes   magic "SYSTNET\n"
    4 bytes   format version, 1
    4 bytes   length of the JSON part in bytes, at most 4 MiB
    4 bytes   length of the array part once inflated, at most 16 MiB
    32 bytes  SHA-256 of all other bytes, from the magic to the end
    JSON      UTF-8: metadata, nodes by kind and field, outputs
    arrays    deflated (zlib): the nodes' arrays one after the other, each row-major

An array's place in the JSON holds its element type and shape. A file is data only (nothing in it
is ever executed), and reading one allocates no more than these lengths allow.
"""

import json
import os
import struct
import tempfile
import zlib
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.graph import Graph
from mapping.graph_codec import as_object, decode_graph, encode_graph
from mapping.ops import ActType

MAGIC: Final = b"SYSTNET\n"
VERSION: Final = 1
HEADER: Final = struct.Struct("<8sIII")
DIGEST_BYTES: Final = 32
JSON_MAX_BYTES: Final = 4 << 20
ARRAYS_MAX_BYTES: Final = 16 << 20
FILE_MAX_BYTES: Final = HEADER.size + DIGEST_BYTES + JSON_MAX_BYTES + ARRAYS_MAX_BYTES + (1 << 16)


class NetworkFileError(ValueError):
    """A file is not a network, or a damaged one; the message is one line that names the file."""


@dataclass(frozen=True, kw_only=True)
class NetworkInfo:
    """What a network's integers stand for, and where they come from.

    Parameters
    ----------
    name, description : str
        For listings and reports.
    labels : tuple of str
        Names of the classes, in the order of the outputs; empty if it is no classifier.
    input_scale : float
        Real value of one step of the input; positive.
    float_accuracy : float or None
        Share of right answers before quantization, 0..1, if known.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    name: str = ""
    description: str = ""
    labels: tuple[str, ...] = ()
    input_scale: float = 1.0
    float_accuracy: float | None = None

    def __post_init__(self) -> None:
        scale, accuracy = self.input_scale, self.float_accuracy
        if not _is_number(scale) or not scale > 0:
            raise ValueError(f"input_scale must be a positive number, not {scale!r:.40}")
        if accuracy is not None and not (_is_number(accuracy) and 0 <= accuracy <= 1):
            raise ValueError(f"float_accuracy must be 0..1 or None, not {accuracy!r:.40}")


@dataclass(frozen=True)
class Network:
    """A graph and its metadata.

    Parameters
    ----------
    graph : Graph
        The integers.
    info : NetworkInfo
        Their meaning.
    """

    graph: Graph
    info: NetworkInfo = field(default_factory=NetworkInfo)

    def quantize_input(self, values: ArrayLike) -> NDArray[np.int64]:
        """Real values as the first input's integers: nearest (ties to even), held to its range.

        Parameters
        ----------
        values : array of numbers, shape (n, ...)
            In the unit of ``info.input_scale``, such as pixels of 0..16.

        Returns
        -------
        ndarray of int64, shape (n, ...)
            ``round(values / input_scale) + zero_point``, clamped.
        """
        element = self.graph.types[self.graph.input_ids[0]].element
        assert isinstance(element, ActType)  # an input holds nothing else
        steps = np.rint(np.asarray(values, np.float64) / self.info.input_scale)
        return np.clip(steps + element.zero_point, element.q_min, element.q_max).astype(np.int64)


def save_network(network: Network | Graph, path: str | os.PathLike[str]) -> None:
    """Write a network file, whole or not at all.

    Parameters
    ----------
    network : Network or Graph
        What to write; a bare graph gets default metadata.
    path : path
        File to create or replace; its folder must exist.

    Raises
    ------
    ValueError
        If the network is larger than the format allows.
    OSError
        If the file cannot be written.
    """
    data = to_bytes(Network(network) if isinstance(network, Graph) else network)
    target = Path(path)
    # A reader sees the old file or the new one, never a part: write beside it, then rename.
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # temporary files start private
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def load_network(path: str | os.PathLike[str]) -> Network:
    """Read a network file.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    Network
        The graph and its metadata.

    Raises
    ------
    NetworkFileError
        If it is no network file, damaged, of another version, or describes an illegal network.
    OSError
        If the file cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(FILE_MAX_BYTES + 1)
    try:
        return from_bytes(data)
    except ValueError as error:
        raise NetworkFileError(f"{os.fspath(path)}: {error}") from None


def to_bytes(network: Network) -> bytes:
    """Contents of a network's file; equal networks give equal bytes with one zlib version."""
    graph, arrays = encode_graph(network.graph)
    text = json.dumps({"info": asdict(network.info), "graph": graph}, separators=(",", ":"))
    description = text.encode()
    _check_lengths(len(description), len(arrays))
    header = HEADER.pack(MAGIC, VERSION, len(description), len(arrays))
    body = description + zlib.compress(arrays, 9)
    return header + sha256(header + body).digest() + body


def from_bytes(data: bytes) -> Network:
    """Network of a file's contents; :exc:`ValueError` says in one line what is wrong with them."""
    if not data.startswith(MAGIC):
        raise ValueError("not a systolic network file (wrong magic)")
    if len(data) < HEADER.size + DIGEST_BYTES:
        raise ValueError(f"truncated: {len(data)} bytes are less than a header")
    _, version, json_bytes, arrays_bytes = HEADER.unpack_from(data)
    if version != VERSION:
        raise ValueError(f"format version must be {VERSION}, not {version}; write the file again")
    _check_lengths(json_bytes, arrays_bytes)
    if len(data) > FILE_MAX_BYTES:
        raise ValueError(f"larger than the {FILE_MAX_BYTES:,} bytes a network file may have")
    body_at = HEADER.size + DIGEST_BYTES
    body, digest = data[body_at:], data[HEADER.size : body_at]
    if sha256(data[: HEADER.size] + body).digest() != digest:
        raise ValueError("damaged: the checksum does not match")
    content = as_object("the description", _parse_json(body[:json_bytes]), {"info", "graph"})
    arrays = _inflate(body[json_bytes:], arrays_bytes)
    return Network(decode_graph(content["graph"], arrays), _decode_info(content["info"]))


def _check_lengths(json_bytes: int, arrays_bytes: int) -> None:
    for what, length, limit in (
        ("description", json_bytes, JSON_MAX_BYTES),
        ("array data", arrays_bytes, ARRAYS_MAX_BYTES),
    ):
        if length > limit:
            raise ValueError(f"{what} must be at most {limit:,} bytes, not {length:,}")


def _parse_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the description is nested too deeply") from None
    except ValueError as error:  # includes UnicodeDecodeError
        raise ValueError(f"the description is not JSON ({error})") from None


def _inflate(packed: bytes, length: int) -> bytes:
    """Inflate to exactly ``length`` bytes, never allocating more."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, length + 1)
    except zlib.error as error:
        raise ValueError(f"array data cannot be inflated ({error})") from None
    if len(data) != length or not stream.eof or stream.unused_data:
        raise ValueError(f"array data must inflate to exactly {length:,} bytes")
    return data


def _decode_info(value: Any) -> NetworkInfo:
    parts = as_object("info", value, {item.name for item in fields(NetworkInfo)})
    if not isinstance(parts["labels"], list):
        raise ValueError("labels must be a list of strings")
    labels = tuple(cast("list[Any]", parts["labels"]))
    if not all(isinstance(text, str) for text in (parts["name"], parts["description"], *labels)):
        raise ValueError("name, description and labels must be strings")
    known: dict[str, Any] = {**parts, "labels": labels}
    return NetworkInfo(**known)


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return -1e300 < value < 1e300  # false for NaN; an integer may have any length
