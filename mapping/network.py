"""A quantized network with its metadata, and the one file it is kept in.

The file's form is :mod:`mapping.file_format`'s. Its JSON holds metadata, nodes by kind and field,
and outputs; its data the nodes' arrays one after the other, each row-major. An array's place in the
JSON holds its element type and shape.
"""

import os
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.file_format import FileFormat, write_whole
from mapping.graph import Graph
from mapping.graph_codec import decode_graph, encode_graph
from mapping.host_ends import HostEnds
from mapping.json_records import RecordReader
from mapping.ops import ActType


class NetworkFileError(ValueError):
    """A file is not a network, or a damaged one; the message is one line that names the file."""


FORMAT: Final = FileFormat(
    kind="network",
    magic=b"SYSTNET\n",
    version=1,
    remedy="write the file again",
    data_name="array data",
    data_max_bytes=16 << 20,
    is_deflated=True,
    error=NetworkFileError,
)


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
    remarks : tuple of str
        What an importer could not prove, or does otherwise than another tool; a line each.

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
    remarks: tuple[str, ...] = ()

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
    ends : HostEnds
        What the host does before and after.
    """

    graph: Graph
    info: NetworkInfo = field(default_factory=NetworkInfo)
    ends: HostEnds = field(default_factory=HostEnds)

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
    whole = Network(network) if isinstance(network, Graph) else network
    write_whole(path, to_bytes(whole))


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
    return FORMAT.load(path, from_bytes)


def to_bytes(network: Network) -> bytes:
    """Contents of a network's file; equal networks give equal bytes with one zlib version."""
    graph, arrays = encode_graph(network.graph)
    description = {"info": asdict(network.info), "graph": graph}
    if network.ends != HostEnds():
        description["ends"] = asdict(network.ends, dict_factory=_without_none)
    return FORMAT.pack(description, arrays)


def from_bytes(contents: bytes) -> Network:
    """Network of a file's contents; :exc:`ValueError` says in one line what is wrong with them."""
    description, arrays = FORMAT.unpack(contents)
    reader = RecordReader(NetworkFileError)
    has_ends = isinstance(description, dict) and "ends" in description
    names = ("info", "graph", "ends") if has_ends else ("info", "graph")
    parts = reader.as_object(description, names, "the description")
    info = reader.record(NetworkInfo, parts["info"], "info")
    ends = reader.record(HostEnds, parts["ends"], "ends") if has_ends else HostEnds()
    return Network(decode_graph(parts["graph"], arrays), info, ends)


def _without_none(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in items if value is not None}


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return -1e300 < value < 1e300  # false for NaN; an integer may have any length
