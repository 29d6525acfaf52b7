"""Graphs as JSON values plus one run of array bytes, and back; for :mod:`mapping.network`.

Fields are written by name and read by their annotation, strictly: a missing or extra field, a
boolean for an integer or an unknown node kind is an error. Ranges are left to the nodes themselves,
which check them whenever one is made.
"""

from dataclasses import fields
from math import prod
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from mapping.graph import Graph
from mapping.json_records import RecordReader
from mapping.ops import (
    ActType,
    Add,
    AvgPool2d,
    Clamp,
    Concat,
    Constant,
    Conv2d,
    DynamicMatMul,
    GlobalAvgPool,
    Input,
    Lut,
    MatMul,
    MaxPool2d,
    Node,
    Pad,
    RequantizeFixed,
    RequantizeOnnx,
    RequantizeTflite,
    RequantizeThresholds,
    Reshape,
    TensorType,
)

Json = Any  # what json.loads gives: not checked yet

NODE_KINDS: Final[dict[str, type[Node]]] = {
    kind.KIND: kind
    for kind in (
        Input, Constant, Conv2d, MatMul, DynamicMatMul, Add, RequantizeTflite, RequantizeOnnx,
        RequantizeFixed, RequantizeThresholds, Clamp, Lut, MaxPool2d, AvgPool2d, GlobalAvgPool,
        Concat, Reshape, Pad,
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
    """The same integers in the narrowest type, little-endian; floats as they are, booleans 0, 1."""
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
    reader = _GraphReader(arrays)
    parts = reader.as_object(value, ("nodes", "outputs"), "graph")
    nodes = tuple(
        reader.node(node, f"nodes[{index}]")
        for index, node in enumerate(reader.as_list(parts["nodes"], "nodes"))
    )
    if reader.left:
        raise CodecError(f"{reader.left} bytes of array data are left over")
    return Graph(nodes, reader.as_tuple((int, ...), parts["outputs"], "outputs"))


class _GraphReader(RecordReader):
    """Reads nodes one after the other, each taking its arrays off the front of the bytes."""

    def __init__(self, arrays: bytes) -> None:
        super().__init__(CodecError)
        self._arrays = memoryview(arrays)

    @property
    def left(self) -> int:
        """Bytes that no node has taken."""
        return len(self._arrays)

    def node(self, value: Json, where: str) -> Node:
        """Node of an object that names its kind."""
        if not isinstance(value, dict) or "kind" not in value:
            raise CodecError(f"{where} must be an object with a kind")
        parts = cast("dict[str, Json]", value)
        kind = NODE_KINDS.get(self.as_text(parts["kind"], f"{where}.kind"))
        if kind is None:
            raise CodecError(
                f"{where}.kind must be one of {', '.join(NODE_KINDS)}, not {parts['kind']!r:.40}"
            )
        self.as_object(value, {"kind", *(field.name for field in fields(kind))}, where)
        return self.from_fields(kind, parts, where)

    def other(self, hint: Any, value: Json, where: str) -> NDArray[Any]:
        """Array whose type and shape stand in the JSON."""
        parts = self.as_object(value, ("dtype", "shape"), where)
        dtype = ARRAY_DTYPES.get(self.as_text(parts["dtype"], f"{where}.dtype"))
        if dtype is None:
            raise CodecError(f"{where}.dtype must be one of {', '.join(ARRAY_DTYPES)}")
        shape = self.as_tuple((int, ...), parts["shape"], f"{where}.shape")
        if not 1 <= len(shape) <= MAX_AXES or min(shape) < 1:
            raise CodecError(f"{where}.shape must hold 1 to {MAX_AXES} positive integers")
        length = prod(shape) * dtype.itemsize
        if length > self.left:
            raise CodecError(f"{where} needs {length} bytes of array data, {self.left} are left")
        taken, self._arrays = self._arrays[:length], self._arrays[length:]
        return np.frombuffer(taken, dtype).reshape(shape)
