"""Writing a network down: chained calls that collect nodes and end in a Graph.

A :class:`Value` is a node's result; its methods append the node that uses it. Types are checked as
each node is added, so the error appears at the call that made it.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.graph import Graph
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
    GraphError,
    Input,
    Lut,
    MatMul,
    MaxPool2d,
    Node,
    Pad,
    Padding,
    RequantizeFixed,
    RequantizeOnnx,
    RequantizeTflite,
    RequantizeThresholds,
    Reshape,
    TensorType,
)

PadSpec = Literal["same", "valid"] | tuple[int, int, int, int]
Pair = int | tuple[int, int]
INT8: Final = ActType(8, signed=True)


class Builder:
    """Collects the nodes of one network.

    Examples
    --------
    >>> builder = Builder()
    >>> image = builder.input((8, 8, 1), bits=8, zero_point=-128)
    >>> kernel = np.ones((3, 3, 1, 2), np.int32)
    >>> halves = image.conv2d(kernel, pad="same", stride=2).requantize(1 << 30, 0)
    >>> print(builder.graph(halves.max_pool2d(2)))
    graph: 4 nodes, 288 MACs, 18 weights
      0 input                          -> 8x8x1 int8 z-128
      1 conv2d(0)                      -> 4x4x2 acc32; weights[3x3x1x2], bias[2], stride 2x2, \
pad 0x1x0x1, 288 MACs
      2 requantize_tflite(1)           -> 4x4x2 int8 z0; clamp_min -128, clamp_max 127, \
multiplier[1], shift[1]
      3 max_pool2d(2)                  -> 2x2x2 int8 z0; kernel 2x2, stride 2x2
    outputs: 3
    """

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._types: list[TensorType] = []

    def input(
        self,
        shape: tuple[int, ...],
        bits: int = 8,
        signed: bool = True,
        zero_point: int = 0,
        name: str = "",
    ) -> "Value":
        """Append an input of ``(height, width, channels)`` or ``(features,)``."""
        return self.append(
            Input(type=TensorType(tuple(shape), ActType(bits, signed, zero_point)), name=name)
        )

    def constant(
        self,
        values: ArrayLike,
        bits: int = 8,
        signed: bool = True,
        zero_point: int = 0,
        name: str = "",
    ) -> "Value":
        """Append activations that are part of the program; ``values`` are q."""
        element = ActType(bits, signed, zero_point)
        return self.append(Constant(values=np.asarray(values), element=element, name=name))

    def append(self, node: Node) -> "Value":
        """Append any node; :exc:`GraphError` if its inputs' types do not fit."""
        node_id = len(self._nodes)
        try:
            types = tuple(self._types[operand] for operand in node.inputs)
            self._types.append(node.output_type(types))
        except GraphError as error:
            raise GraphError(f"node {node_id}, {error}") from None
        self._nodes.append(node)
        return Value(self, node_id)

    def type_of(self, node_id: int) -> TensorType:
        """Type of a node's result."""
        return self._types[node_id]

    def graph(self, *outputs: "Value") -> Graph:
        """Finish: the network that returns these results."""
        for value in outputs:
            value.require(self)
        return Graph(tuple(self._nodes), tuple(value.node_id for value in outputs))


class Value:
    """The result of a node, and the start of what follows; made by :class:`Builder`.

    Parameters
    ----------
    builder : Builder
        Where the node is.
    node_id : int
        The node's id.
    """

    def __init__(self, builder: Builder, node_id: int) -> None:
        self._builder = builder
        self.node_id = node_id

    @property
    def type(self) -> TensorType:
        """Type of the result."""
        return self._builder.type_of(self.node_id)

    def require(self, builder: Builder) -> None:
        """Refuse a value that another builder made."""
        if self._builder is not builder:
            raise GraphError(f"value {self.node_id} belongs to another builder")

    def conv2d(
        self,
        weights: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        stride: Pair = 1,
        dilation: Pair = 1,
        pad: PadSpec = "valid",
        groups: int = 1,
        weight_bits: int = 8,
        name: str = "",
    ) -> "Value":
        """Append a :class:`Conv2d`; no bias means zeros.

        ``pad`` is (top, bottom, left, right), ``"valid"`` for none or ``"same"`` for TensorFlow's
        rule: ``ceil(extent / stride)`` windows, the odd element at the bottom and right.
        """
        kernel = np.asarray(weights)
        steps, taps = _pair(stride), _pair(dilation)
        padding = _padding(pad, self.type.shape, kernel.shape[:2], steps, taps)
        return self._builder.append(
            Conv2d(
                inputs=(self.node_id,), name=name, weights=kernel, bias=_bias(bias, kernel),
                stride=steps, dilation=taps, pad=padding, groups=groups, weight_bits=weight_bits,
            )
        )  # fmt: skip

    def matmul(
        self,
        weights: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        weight_bits: int = 8,
        name: str = "",
    ) -> "Value":
        """Append a :class:`MatMul` on the last axis; no bias means zeros."""
        matrix = np.asarray(weights)
        return self._builder.append(
            MatMul(
                inputs=(self.node_id,), name=name, weights=matrix, bias=_bias(bias, matrix),
                weight_bits=weight_bits,
            )
        )  # fmt: skip

    def dynamic_matmul(self, other: "Value", name: str = "") -> "Value":
        """Append a :class:`DynamicMatMul` of this value and another, along the channels."""
        other.require(self._builder)
        inputs = (self.node_id, other.node_id)
        return self._builder.append(DynamicMatMul(inputs=inputs, name=name))

    def add(self, other: "Value", weights: tuple[int, int] = (1, 1), name: str = "") -> "Value":
        """Append an :class:`Add` of this value and another."""
        other.require(self._builder)
        inputs = (self.node_id, other.node_id)
        return self._builder.append(Add(inputs=inputs, name=name, weights=weights))

    def requantize(
        self,
        multiplier: ArrayLike,
        shift: ArrayLike,
        element: ActType = INT8,
        *,
        clamp: tuple[int, int] | None = None,
        name: str = "",
    ) -> "Value":
        """Append a :class:`RequantizeTflite`; no clamp means the type's own range."""
        clamp_min, clamp_max = clamp or (element.q_min, element.q_max)
        return self._builder.append(
            RequantizeTflite(
                inputs=(self.node_id,), name=name, element=element, clamp_min=clamp_min,
                clamp_max=clamp_max, multiplier=np.atleast_1d(np.asarray(multiplier)),
                shift=np.atleast_1d(np.asarray(shift)),
            )
        )  # fmt: skip

    def requantize_onnx(
        self,
        scale: ArrayLike,
        element: ActType = INT8,
        *,
        clamp: tuple[int, int] | None = None,
        name: str = "",
    ) -> "Value":
        """Append a :class:`RequantizeOnnx`; no clamp means the type's own range."""
        clamp_min, clamp_max = clamp or (element.q_min, element.q_max)
        return self._builder.append(
            RequantizeOnnx(
                inputs=(self.node_id,), name=name, element=element, clamp_min=clamp_min,
                clamp_max=clamp_max, scale=np.atleast_1d(np.asarray(scale)),
            )
        )  # fmt: skip

    def requantize_fixed(
        self,
        multiplier: int,
        element: ActType = INT8,
        *,
        round_constant: int = 0,
        clamp: tuple[int, int] | None = None,
        name: str = "",
    ) -> "Value":
        """Append a :class:`RequantizeFixed`; no clamp means the type's own range."""
        clamp_min, clamp_max = clamp or (element.q_min, element.q_max)
        return self._builder.append(
            RequantizeFixed(
                inputs=(self.node_id,), name=name, element=element, clamp_min=clamp_min,
                clamp_max=clamp_max, multiplier=multiplier, round_constant=round_constant,
            )
        )  # fmt: skip

    def requantize_thresholds(
        self,
        thresholds: ArrayLike,
        element: ActType,
        *,
        is_descending: ArrayLike = False,
        clamp: tuple[int, int] | None = None,
        name: str = "",
    ) -> "Value":
        """Append a :class:`RequantizeThresholds`; no clamp means the type's own range.

        A single row of thresholds is for all channels, a single ``is_descending`` for all rows.
        """
        clamp_min, clamp_max = clamp or (element.q_min, element.q_max)
        rows = np.atleast_2d(np.asarray(thresholds))
        falls = np.asarray(is_descending)
        return self._builder.append(
            RequantizeThresholds(
                inputs=(self.node_id,), name=name, element=element, clamp_min=clamp_min,
                clamp_max=clamp_max, thresholds=rows,
                is_descending=np.full(len(rows), falls) if falls.ndim == 0 else falls,
            )
        )  # fmt: skip

    def clamp(self, clamp_min: int, clamp_max: int, name: str = "") -> "Value":
        """Append a :class:`Clamp`."""
        return self._builder.append(
            Clamp(inputs=(self.node_id,), name=name, clamp_min=clamp_min, clamp_max=clamp_max)
        )

    def lut(self, table: ArrayLike, element: ActType = INT8, name: str = "") -> "Value":
        """Append a :class:`Lut` with one entry per input code."""
        return self._builder.append(
            Lut(inputs=(self.node_id,), name=name, table=np.asarray(table), element=element)
        )

    def max_pool2d(
        self, kernel: Pair, stride: Pair | None = None, pad: PadSpec = "valid", name: str = ""
    ) -> "Value":
        """Append a :class:`MaxPool2d`; the stride is the kernel unless given."""
        window, steps = _pair(kernel), _pair(kernel if stride is None else stride)
        padding = _padding(pad, self.type.shape, window, steps, (1, 1))
        return self._builder.append(
            MaxPool2d(inputs=(self.node_id,), name=name, kernel=window, stride=steps, pad=padding)
        )

    def avg_pool2d(self, kernel: Pair, stride: Pair | None = None, name: str = "") -> "Value":
        """Append an :class:`AvgPool2d`; the stride is the kernel unless given."""
        window, steps = _pair(kernel), _pair(kernel if stride is None else stride)
        return self._builder.append(
            AvgPool2d(inputs=(self.node_id,), name=name, kernel=window, stride=steps)
        )

    def global_avg_pool(self, name: str = "") -> "Value":
        """Append a :class:`GlobalAvgPool`, result shape (1, 1, channels)."""
        return self._builder.append(GlobalAvgPool(inputs=(self.node_id,), name=name))

    def concat(self, *others: "Value", name: str = "") -> "Value":
        """Append a :class:`Concat` of this value and others along the channels."""
        for other in others:
            other.require(self._builder)
        inputs = (self.node_id, *(other.node_id for other in others))
        return self._builder.append(Concat(inputs=inputs, name=name))

    def reshape(self, *shape: int, name: str = "") -> "Value":
        """Append a :class:`Reshape`, row-major."""
        return self._builder.append(Reshape(inputs=(self.node_id,), name=name, shape=shape))

    def flatten(self, name: str = "") -> "Value":
        """Append a :class:`Reshape` to a vector."""
        return self.reshape(self.type.elements, name=name)

    def pad(self, top: int, bottom: int, left: int, right: int, name: str = "") -> "Value":
        """Append a :class:`Pad` of zero points."""
        padding = Padding(top, bottom, left, right)
        return self._builder.append(Pad(inputs=(self.node_id,), name=name, pad=padding))


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _bias(bias: ArrayLike | None, weights: NDArray[Any]) -> NDArray[Any]:
    return np.zeros(weights.shape[-1:], np.int32) if bias is None else np.asarray(bias)


def _padding(
    pad: PadSpec,
    shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Padding:
    """Padding in elements for one of the three ways to ask for it."""
    if pad == "valid":
        return Padding()
    if pad != "same":
        return Padding(*pad)
    if min(*stride, *dilation) < 1:
        return Padding()  # the node itself refuses these, and wrong ranks, by name
    sides: list[int] = []
    for extent, taps, step, spread in zip(shape[:2], kernel, stride, dilation, strict=False):
        windows = -(-extent // step)
        total = max((windows - 1) * step + (taps - 1) * spread + 1 - extent, 0)
        sides += [total // 2, total - total // 2]
    return Padding(*sides)
