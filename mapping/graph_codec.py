"""Graphs as JSON values plus one run of array bytes, and back; for :mod:`mapping.network`.

Fields are written by name and read by their annotation, strictly: a missing or extra field, a
boolean for an integer or an unknown node kind is an error. Ranges are left to the nodes themselves,
which check them whenever one is made.
"""

from dataclasses import fields
from math import prod
from typing import Any, Final, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from mapping.graph import MAX_NODES, Graph
from mapping.ops import (
    ActType,
    Add,
    AvgPool2d,
    Clamp,
    Concat,
    Conv2d,
    GlobalAvgPool,
    Input,
    Lut,
    MatMul,
    MaxPool2d,
    Node,
    Pad,
    Padding,
    RequantizeOnnx,
    RequantizeTflite,
    Reshape,
    TensorType,
)

Json = Any  # what json.loads gives: not checked yet

NODE_KINDS: Final[dict[str, type[Node]]] = {
    kind.KIND: kind
    for kind in (
        Input, Conv2d, MatMul, Add, RequantizeTflite, RequantizeOnnx, Clamp, Lut, MaxPool2d,
        AvgPool2d, GlobalAvgPool, Concat, Reshape, Pad,
    )
}  # fmt: skip
MAX_AXES: Final = 4  # a convolution's weights
INT_DTYPES: Final = tuple(np.dtype(f"<i{size}") for size in (1, 2, 4, 8))
ARRAY_DTYPES: Final = {dtype.name: dtype for dtype in (*INT_DTYPES, np.dtype("<f4"))}


class CodecError(ValueError):
    """A JSON value does not describe a graph; the message says where and why."""


def encode_graph(graph: Graph) -> tuple[Json, bytes]:
    """JSON value of a graph, and the bytes of all its arrays in the order of the nodes."""
    arrays: list[bytes] = []
    nodes = [
        {"kind": node.KIND}
        | {field.name: _encode(getattr(node, field.name), arrays) for field in fields(node)}
        for node in graph.nodes
    ]
    return {"nodes": nodes, "outputs": list(graph.outputs)}, b"".join(arrays)


def _encode(value: object, arrays: list[bytes]) -> Json:
    if isinstance(value, np.ndarray):
        packed = _smallest(cast("NDArray[Any]", value))
        arrays.append(packed.tobytes())
        return {"dtype": packed.dtype.name, "shape": list(packed.shape)}
    if isinstance(value, ActType):
        return {"bits": value.bits, "signed": value.signed, "zero_point": value.zero_point}
    if isinstance(value, TensorType):
        return {"shape": list(value.shape), "element": _encode(value.element, arrays)}
    if isinstance(value, tuple):
        return [int(item) for item in cast("tuple[int, ...]", value)]
    return value if isinstance(value, str) else int(cast("int", value))


def _smallest(array: NDArray[Any]) -> NDArray[Any]:
    """The same integers in the narrowest type, little-endian; floats as they are."""
    if array.dtype.kind == "f":
        return array.astype("<f4")
    fitting = (
        dtype
        for dtype in INT_DTYPES
        if array.min() >= np.iinfo(dtype).min and array.max() <= np.iinfo(dtype).max
    )
    return array.astype(next(fitting))


def decode_graph(value: Json, arrays: bytes) -> Graph:
    """Graph of a JSON value and its array bytes.

    Parameters
    ----------
    value : JSON value
        From :func:`encode_graph`, or from a file and not checked yet.
    arrays : bytes
        The nodes' arrays one after the other.

    Returns
    -------
    Graph
        The graph, checked.

    Raises
    ------
    CodecError
        If a value has the wrong form, or arrays are missing or left over.
    GraphError
        If a node breaks a rule of the type system.
    """
    parts = as_object("graph", value, {"nodes", "outputs"})
    decoder = _Decoder(arrays)
    nodes = tuple(
        decoder.node(f"node {index}", node)
        for index, node in enumerate(_list("nodes", parts["nodes"]))
    )
    if decoder.left:
        raise CodecError(f"{decoder.left} bytes of array data are left over")
    return Graph(nodes, _ints("outputs", parts["outputs"]))


class _Decoder:
    """Reads nodes one after the other, each taking its arrays off the front of the bytes."""

    def __init__(self, arrays: bytes) -> None:
        self._arrays = memoryview(arrays)

    @property
    def left(self) -> int:
        return len(self._arrays)

    def node(self, where: str, value: Json) -> Node:
        if not isinstance(value, dict) or "kind" not in value:
            raise CodecError(f"{where} must be an object with a kind")
        parts = cast("dict[str, Json]", value)
        kind = NODE_KINDS.get(_text(f"{where} kind", parts["kind"]))
        if kind is None:
            raise CodecError(
                f"{where} kind must be one of {', '.join(NODE_KINDS)}, not {parts['kind']!r:.40}"
            )
        hints = get_type_hints(kind)
        names = [field.name for field in fields(kind)]
        as_object(where, value, {"kind", *names})
        return kind(
            **{name: self._field(f"{where} {name}", parts[name], hints[name]) for name in names}
        )

    def _field(self, where: str, value: Json, hint: Any) -> Any:
        """Decode a value by the annotation of the field it is for."""
        if hint is int:
            return _int(where, value)
        if hint is str:
            return _text(where, value)
        if hint is ActType:
            return _act_type(where, value)
        if hint is TensorType:
            parts = as_object(where, value, {"shape", "element"})
            element = _act_type(f"{where} element", parts["element"])
            return TensorType(_ints(f"{where} shape", parts["shape"]), element)
        if hint is Padding:
            return Padding(*_ints(where, value, count=len(Padding._fields)))
        if get_origin(hint) is tuple:
            is_open = get_args(hint)[-1] is Ellipsis
            return _ints(where, value, count=None if is_open else len(get_args(hint)))
        return self._array(where, value)

    def _array(self, where: str, value: Json) -> NDArray[Any]:
        parts = as_object(where, value, {"dtype", "shape"})
        dtype = ARRAY_DTYPES.get(_text(f"{where} dtype", parts["dtype"]))
        if dtype is None:
            raise CodecError(f"{where} dtype must be one of {', '.join(ARRAY_DTYPES)}")
        shape = _ints(f"{where} shape", parts["shape"])
        if not 1 <= len(shape) <= MAX_AXES or min(shape) < 1:
            raise CodecError(f"{where} shape must hold 1 to {MAX_AXES} positive integers")
        length = prod(shape) * dtype.itemsize
        if length > self.left:
            raise CodecError(f"{where} needs {length} bytes of array data, {self.left} are left")
        taken, self._arrays = self._arrays[:length], self._arrays[length:]
        return np.frombuffer(taken, dtype).reshape(shape)


def as_object(where: str, value: Json, names: set[str]) -> dict[str, Json]:
    """Refuse anything but a JSON object with exactly these names."""
    if not isinstance(value, dict) or set(cast("dict[str, Json]", value)) != names:
        raise CodecError(f"{where} must be an object with exactly: {', '.join(sorted(names))}")
    return cast("dict[str, Json]", value)


def _list(where: str, value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise CodecError(f"{where} must be a list")
    return cast("list[Json]", value)


def _int(where: str, value: Json) -> int:
    # bool is a subclass of int, and true is not a number in JSON
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
        raise CodecError(f"{where} must be a 64-bit integer")
    return value


def _ints(where: str, value: Json, count: int | None = None) -> tuple[int, ...]:
    items = tuple(_int(where, item) for item in _list(where, value))
    if len(items) > MAX_NODES:  # enough for a concatenation of everything
        raise CodecError(f"{where} must hold at most {MAX_NODES} integers, not {len(items)}")
    if count is not None and len(items) != count:
        raise CodecError(f"{where} must hold {count} integers, not {len(items)}")
    return items


def _text(where: str, value: Json) -> str:
    if not isinstance(value, str):
        raise CodecError(f"{where} must be a string")
    return value


def _act_type(where: str, value: Json) -> ActType:
    parts = as_object(where, value, {"bits", "signed", "zero_point"})
    if not isinstance(parts["signed"], bool):
        raise CodecError(f"{where} signed must be true or false")
    bits, zero_point = _int(f"{where} bits", parts["bits"]), parts["zero_point"]
    return ActType(bits, parts["signed"], _int(f"{where} zero_point", zero_point))
