"""Values of an ONNX tensor: from the file itself, or from a file beside it.

Nothing is allocated before the shape and the bytes at hand agree. External data are read only from
regular files within the model's own folder, links followed.
"""

import os
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mapping.importers.errors import ModelError
from mapping.importers.onnx.records import Array, Constant

MAX_AXES: Final = 8
MAX_BYTES: Final = 32 << 20
EXTERNAL: Final = 1
MAX_SHOWN: Final = 40

PLAIN: Final = {
    "float": ("<f4", "float_data"),
    "double": ("<f8", "double_data"),
    "float16": ("<f2", "int32_data"),
    "bool": ("?", "int32_data"),
    "int8": ("<i1", "int32_data"),
    "uint8": ("<u1", "int32_data"),
    "int16": ("<i2", "int32_data"),
    "uint16": ("<u2", "int32_data"),
    "int32": ("<i4", "int32_data"),
    "uint32": ("<u4", "uint64_data"),
    "int64": ("<i8", "int64_data"),
    "uint64": ("<u8", "uint64_data"),
}
"""Element types: how they lie in raw data, and the field that holds them otherwise."""

PACKED: Final = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2}
"""Bits of the types of which several share a byte, the first one in the lowest bits."""


class TensorReader:
    """Reads the tensors of one model.

    Parameters
    ----------
    names : mapping of int to str
        The format's numbers of element types.
    folder : Path or None
        Where external data may lie; None refuses them.
    """

    def __init__(self, names: dict[int, str], folder: Path | None) -> None:
        self._names = names
        self._folder = folder
        self._external_bytes = 0

    def kind(self, number: int) -> str:
        """Name of an element type."""
        return self._names.get(number, f"type {number}").lower()

    def read(self, tensor: Any, name: str) -> Constant:
        """Constant of a TensorProto; :exc:`ModelError` names it where it is wrong."""
        kind, what = self.kind(tensor.data_type), f"tensor {name!r:.{MAX_SHOWN}}"
        shape = tuple(int(extent) for extent in tensor.dims[: MAX_AXES + 1])
        if len(shape) > MAX_AXES or min(shape, default=0) < 0:
            raise ModelError(
                f"{what} must have at most {MAX_AXES} axes, none negative, not {shape}"
            )
        if kind not in PLAIN and kind not in PACKED:
            raise ModelError(f"{what} is of type {kind}, which is not supported")
        count = prod(shape)
        bits = PACKED[kind] if kind in PACKED else 8 * np.dtype(PLAIN[kind][0]).itemsize
        size = -(-count * bits // 8)
        if size > MAX_BYTES:
            raise ModelError(f"{what} must have at most {MAX_BYTES:,} bytes, not {size:,}")
        if tensor.data_location == EXTERNAL:
            values = _from_bytes(self._external(tensor, what, size), kind, count)
        elif tensor.HasField("raw_data"):
            _check_length(what, len(tensor.raw_data), size, "bytes")
            values = _from_bytes(tensor.raw_data, kind, count)
        else:
            values = _from_field(tensor, what, kind, count)
        values = values.reshape(shape)
        values.flags.writeable = False
        return Constant(name, kind, values)

    def _external(self, tensor: Any, what: str, size: int) -> bytes:
        """Bytes that lie in a file within the model's folder."""
        if self._folder is None:
            raise ModelError(f"{what} lies in another file: load the model from its own file")
        entries = {text(entry.key): text(entry.value) for entry in tensor.external_data}
        path = _inside(self._folder, entries.get("location", ""), what)
        offset = _number(entries.get("offset", "0"), what)
        _check_length(what, _number(entries.get("length", str(size)), what), size, "bytes")
        self._external_bytes += size
        if self._external_bytes > MAX_BYTES:
            raise ModelError(f"external data must have at most {MAX_BYTES:,} bytes together")
        try:
            with path.open("rb") as file:
                available = os.fstat(file.fileno()).st_size
                if offset + size > available:
                    raise ModelError(
                        f"{what} ends at byte {offset + size:,} of {path.name!r}, "
                        f"which has {available:,}"
                    )
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise ModelError(f"{what}: {path.name!r} cannot be read ({error.strerror})") from None
        _check_length(what, len(data), size, "bytes")
        return data


def text(value: Any) -> str:
    """A field that has to be text; protobuf gives bytes where it is not."""
    if not isinstance(value, str):
        raise ModelError("the file is damaged: a name is no UTF-8")
    return value


def _inside(folder: Path, location: str, what: str) -> Path:
    """Path of a regular file that really lies in the folder."""
    shown = f"{location!r:.{MAX_SHOWN}}"
    if not location or "\0" in location:
        raise ModelError(f"{what} has external data without a usable file name ({shown})")
    try:
        root, path = folder.resolve(), (folder / location).resolve()
    except (OSError, RuntimeError, ValueError):  # such as a loop of links
        raise ModelError(f"{what} names the file {shown}, which cannot be found") from None
    if not path.is_relative_to(root):
        raise ModelError(f"{what} names the file {shown}, which is outside of the model's folder")
    if not path.is_file():
        raise ModelError(f"{what} names the file {shown}, which is no file in the model's folder")
    return path


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise ModelError(f"{what} has an offset or length of {text!r:.{MAX_SHOWN}}")
    return int(text)


def _check_length(what: str, length: int, wanted: int, unit: str) -> None:
    if length != wanted:
        raise ModelError(f"{what} must have {wanted:,} {unit}, as its shape says, not {length:,}")


def _from_bytes(data: bytes, kind: str, count: int) -> Array:
    if kind in PACKED:
        return _unpacked(np.frombuffer(data, np.uint8), kind, count)
    values = np.frombuffer(data, np.uint8 if kind == "bool" else PLAIN[kind][0])
    return values != 0 if kind == "bool" else values.copy()


def _from_field(tensor: Any, what: str, kind: str, count: int) -> Array:
    """Values from one of the fields of whole numbers."""
    name = "int32_data" if kind in PACKED else PLAIN[kind][1]
    field = getattr(tensor, name)
    per_entry = 8 // PACKED[kind] if kind in PACKED else 1
    _check_length(what, len(field), -(-count // per_entry), "values")
    if kind in PACKED:
        return _unpacked(_ranged(field, np.dtype(np.uint8), what), kind, count)
    dtype = np.dtype(PLAIN[kind][0])
    if dtype.kind == "f" and kind != "float16":
        return np.array(field, dtype)
    if kind == "float16":  # its bits, as whole numbers
        return _ranged(field, np.dtype("<u2"), what).view(dtype)
    return (
        _ranged(field, np.dtype(np.uint8), what) != 0
        if kind == "bool"
        else _ranged(field, dtype, what)
    )


def _ranged(field: Any, dtype: np.dtype[Any], what: str) -> Array:
    """Whole numbers in a smaller type, refused where they do not fit."""
    wide = np.array(field, np.uint64 if dtype.itemsize == 8 and dtype.kind == "u" else np.int64)
    limits = np.iinfo(dtype)
    if wide.size and not (int(wide.min()) >= limits.min and int(wide.max()) <= limits.max):
        raise ModelError(f"{what} must hold {limits.min}..{limits.max}")
    return wide.astype(dtype)


def _unpacked(packed: NDArray[np.uint8], kind: str, count: int) -> Array:
    """Values of 2 or 4 bits, each in a byte of its own."""
    bits = PACKED[kind]
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    values = (packed[:, np.newaxis] >> shifts & ((1 << bits) - 1)).ravel()[:count]
    if kind.startswith("u"):
        return values
    half = 1 << (bits - 1)
    return (values ^ half).astype(np.int8) - np.int8(half)
