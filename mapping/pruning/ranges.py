"""Which values each channel can take: interval arithmetic over the graph, from the actual weights.

A channel whose smallest and largest value are equal is a constant, whatever the input: one whose
weights are all zero is ``requantize(bias)``, and so is one that a ReLU always holds at its end.
All functions of one activation on the way are exact at both ends of an interval, so that the
intervals are safe; they are not always tight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from mapping.graph import Graph
from mapping.ops import (
    ActType,
    Add,
    AvgPool2d,
    Concat,
    Constant,
    DynamicMatMul,
    GlobalAvgPool,
    Input,
    Lut,
    MaxPool2d,
    Node,
    Pad,
    Requantize,
    RequantizeTflite,
    Reshape,
    TensorType,
    Weighted,
)
from mapping.ops.types import ACC_MAX, ACC_MIN
from mapping.pruning.taps import GroupedTaps
from mapping.reference import evaluate


@dataclass(frozen=True, eq=False)
class ChannelRange:
    """What a value's channels can be.

    Parameters
    ----------
    low, high : ndarray of int64, shape (channels,)
        Smallest and largest value q (of accumulators: sum) of each.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @property
    def is_constant(self) -> NDArray[np.bool_]:
        """Whether a channel has one value only."""
        return self.low == self.high

    def less(self, zero_point: int) -> "ChannelRange":
        """Range of the values less a zero point."""
        return ChannelRange(self.low - zero_point, self.high - zero_point)

    def with_value(self, value: int) -> "ChannelRange":
        """Range that holds one more value."""
        return ChannelRange(np.minimum(self.low, value), np.maximum(self.high, value))


def channel_ranges(graph: Graph) -> tuple[ChannelRange, ...]:
    """Range of every node's result, by id."""
    ranges: list[ChannelRange] = []
    for node_id, node in graph.order():
        types = graph.input_types(node_id)
        if isinstance(node, Input):
            element, channels = _act(node.type), node.type.channels
            low, high = (np.full(channels, q) for q in (element.q_min, element.q_max))
            ranges.append(ChannelRange(low, high))
            continue
        operands = tuple(ranges[operand] for operand in node.inputs)
        ranges.append(_range_of(node, operands, types))
    return tuple(ranges)


Operands = Sequence[ChannelRange]
Types = Sequence[TensorType]


@singledispatch
def _range_of(node: Node, operands: Operands, types: Types) -> ChannelRange:
    """Range of a node that works on every element by itself and never falls."""
    low, high = (
        evaluate(node, (end.reshape(1, 1, 1, -1),), tuple(types)).ravel()
        for end in (operands[0].low, operands[0].high)
    )
    return ChannelRange(low, high)


@_range_of.register
def _weighted(node: Weighted, operands: Operands, types: Types) -> ChannelRange:
    taps, centred = GroupedTaps.of(node, types[0]), operands[0].less(_act(types[0]).zero_point)
    low, high = taps.bounds(centred.low, centred.high)
    return ChannelRange(low + node.bias, high + node.bias)


@_range_of.register
def _constant(node: Constant, operands: Operands, types: Types) -> ChannelRange:
    values = node.values.astype(np.int64).reshape(-1, node.values.shape[-1])
    return ChannelRange(values.min(axis=0), values.max(axis=0))


@_range_of.register
def _dynamic_matmul(node: DynamicMatMul, operands: Operands, types: Types) -> ChannelRange:
    left, right = (
        operand.less(_act(tensor).zero_point)
        for operand, tensor in zip(operands, types, strict=True)
    )
    ends = np.stack([x * y for x in (left.low, left.high) for y in (right.low, right.high)])
    low, high = ends.min(axis=0).sum(), ends.max(axis=0).sum()
    return ChannelRange(np.full(types[1].pixels, low), np.full(types[1].pixels, high))


@_range_of.register
def _add(node: Add, operands: Operands, types: Types) -> ChannelRange:
    low, high = np.zeros_like(operands[0].low), np.zeros_like(operands[0].high)
    for weight, operand, tensor in zip(node.weights, operands, types, strict=True):
        centred = operand.less(_act(tensor).zero_point)
        ends = np.stack([weight * centred.low, weight * centred.high])
        low, high = low + ends.min(axis=0), high + ends.max(axis=0)
    return ChannelRange(low, high)


@_range_of.register
def _requantize(node: Requantize, operands: Operands, types: Types) -> ChannelRange:
    """Sums for which the rounding is not defined may give anything; the compiler refuses them."""
    sums = operands[0]
    left = np.maximum(node.shift, 0) if isinstance(node, RequantizeTflite) else np.int64(0)
    is_defined = (sums.low >= ACC_MIN >> left) & (sums.high <= ACC_MAX >> left)
    low, high = (
        evaluate(node, (np.where(is_defined, end, 0).reshape(1, 1, 1, -1),), tuple(types)).ravel()
        for end in (sums.low, sums.high)
    )
    low, high = np.minimum(low, high), np.maximum(low, high)  # thresholds may be descending
    return ChannelRange(
        np.where(is_defined, low, node.clamp_min), np.where(is_defined, high, node.clamp_max)
    )


@_range_of.register
def _lut(node: Lut, operands: Operands, types: Types) -> ChannelRange:
    codes = np.arange(node.table.size) + _act(types[0]).q_min
    reached = (codes >= operands[0].low[:, None]) & (codes <= operands[0].high[:, None])
    table = node.table.astype(np.int64)
    low = np.where(reached, table, node.element.q_max).min(axis=1)
    return ChannelRange(low, np.where(reached, table, node.element.q_min).max(axis=1))


@_range_of.register(MaxPool2d)
@_range_of.register(AvgPool2d)
@_range_of.register(GlobalAvgPool)
def _pool(node: Node, operands: Operands, types: Types) -> ChannelRange:
    """Largest and mean lie between the ends, and the mean of a constant is the constant."""
    return operands[0]


@_range_of.register
def _pad(node: Pad, operands: Operands, types: Types) -> ChannelRange:
    return operands[0].with_value(_act(types[0]).zero_point) if any(node.pad) else operands[0]


@_range_of.register
def _concat(node: Concat, operands: Operands, types: Types) -> ChannelRange:
    return ChannelRange(
        np.concatenate([operand.low for operand in operands]),
        np.concatenate([operand.high for operand in operands]),
    )


@_range_of.register
def _reshape(node: Reshape, operands: Operands, types: Types) -> ChannelRange:
    ends = [
        np.broadcast_to(end, types[0].shape).reshape(-1, node.shape[-1])
        for end in (operands[0].low, operands[0].high)
    ]
    return ChannelRange(ends[0].min(axis=0), ends[1].max(axis=0))


def _act(tensor: TensorType) -> ActType:
    assert isinstance(tensor.element, ActType)  # the graph's type rules saw to it
    return tensor.element
