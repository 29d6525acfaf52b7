"""Prune: the same network without the channels that no result depends on.

Precondition: a legal graph. Postcondition: one with the same nodes at the same ids, the same inputs
and outputs, and the same outputs for every input, bit for bit; some values have fewer channels.
"""

from dataclasses import replace
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from mapping.graph import Graph
from mapping.lowering.view import element_of
from mapping.ops import (
    Conv2d,
    MatMul,
    Node,
    RequantizeOnnx,
    RequantizeTflite,
    RequantizeThresholds,
    Reshape,
)
from mapping.pruning.kept import Mask, foldable_inputs, kept_channels
from mapping.pruning.ranges import ChannelRange, channel_ranges
from mapping.pruning.taps import GroupedTaps


def prune(graph: Graph) -> Graph:
    """Remove every channel that no output of a network depends on.

    Those are channels that nobody reads with a weight other than zero, and constant ones (whose
    weights are all zero, or which a clamp holds at one end) where all readers can take what they
    add into their bias: not beside a border, unless the constant is the zero point itself.

    Parameters
    ----------
    graph : Graph
        The network.

    Returns
    -------
    Graph
        The network itself if there is nothing to remove.

    Examples
    --------
    >>> from mapping.builder import Builder
    >>> builder = Builder()
    >>> hidden = builder.input((4,)).matmul([[1, 0, 2]] * 4, [0, 9, 0]).requantize(1 << 30, 0)
    >>> print(prune(builder.graph(hidden.matmul([[1], [2], [3]]).requantize(1 << 30, 0))))
    graph: 5 nodes, 10 MACs, 10 weights
      0 input                          -> 4 int8 z0
      1 matmul(0)                      -> 2 acc32; weights[4x2], bias[2], 8 MACs
      2 requantize_tflite(1)           -> 2 int8 z0; clamp_min -128, clamp_max 127, multiplier[1], \
shift[1]
      3 matmul(2)                      -> 1 acc32; weights[2x1], bias[1], 2 MACs
      4 requantize_tflite(3)           -> 1 int8 z0; clamp_min -128, clamp_max 127, multiplier[1], \
shift[1]
    outputs: 4
    """
    ranges = channel_ranges(graph)
    kept = kept_channels(graph, ranges)
    if all(mask.all() for mask in kept):
        return graph
    nodes = [
        _without(_folded(graph, node_id, node, kept, ranges), kept[node_id], _sources(node, kept))
        for node_id, node in graph.order()
    ]
    return Graph(tuple(nodes), graph.outputs)


def _sources(node: Node, kept: tuple[Mask, ...]) -> list[Mask]:
    return [kept[operand] for operand in node.inputs]


def _folded(
    graph: Graph,
    node_id: int,
    node: Node,
    kept: tuple[Mask, ...],
    ranges: tuple[ChannelRange, ...],
) -> Node:
    """A dense node with what its removed input channels add in its bias."""
    if not isinstance(node, Conv2d | MatMul) or kept[node.inputs[0]].all():
        return node
    source = node.inputs[0]
    taps = GroupedTaps.of(node, graph.types[source])
    if taps.groups > 1:
        return node  # a group goes with all its outputs
    centred = ranges[source].less(element_of(graph, source).zero_point)
    gone = foldable_inputs(taps, centred, node.bias)[0] & ~kept[source]
    parts: NDArray[np.int64] = np.where(gone, centred.low, 0) @ taps.weights.sum(axis=0)[0]
    return replace(node, bias=node.bias + parts)


@singledispatch
def _without(node: Node, stays: Mask, sources: list[Mask]) -> Node:
    """A node of whose result, and of whose inputs, some channels are gone."""
    return node


@_without.register
def _conv2d(node: Conv2d, stays: Mask, sources: list[Mask]) -> Node:
    weights, bias = node.weights[..., stays], node.bias[stays]
    if node.groups == 1:
        return replace(node, weights=weights[:, :, sources[0]], bias=bias)
    groups = int(sources[0].reshape(node.groups, -1).any(axis=1).sum())
    return replace(node, weights=weights, bias=bias, groups=groups)


@_without.register
def _matmul(node: MatMul, stays: Mask, sources: list[Mask]) -> Node:
    return replace(node, weights=node.weights[sources[0]][:, stays], bias=node.bias[stays])


@_without.register
def _requantize_tflite(node: RequantizeTflite, stays: Mask, sources: list[Mask]) -> Node:
    if node.channels == 1:
        return node
    return replace(node, multiplier=node.multiplier[stays], shift=node.shift[stays])


@_without.register
def _requantize_onnx(node: RequantizeOnnx, stays: Mask, sources: list[Mask]) -> Node:
    return node if node.channels == 1 else replace(node, scale=node.scale[stays])


@_without.register
def _requantize_thresholds(node: RequantizeThresholds, stays: Mask, sources: list[Mask]) -> Node:
    if node.channels == 1:
        return node
    return replace(node, thresholds=node.thresholds[stays], is_descending=node.is_descending[stays])


@_without.register
def _reshape(node: Reshape, stays: Mask, sources: list[Mask]) -> Node:
    return replace(node, shape=(*node.shape[:-1], int(stays.sum())))
