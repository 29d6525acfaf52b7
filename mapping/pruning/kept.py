"""Which channels have to stay: those that a result depends on, and those tied to them.

Inputs and outputs of the network stay whole. A convolution or matmul needs the input channels that
its remaining outputs see, but for constant ones, whose part goes into the bias. All other nodes
have the same channels on both sides, so that one that stays here stays there. The rules only ever
add channels, and are applied until nothing changes.
"""

from functools import singledispatchmethod

import numpy as np
from numpy.typing import NDArray

from mapping.graph import Graph
from mapping.lowering.view import element_of
from mapping.ops import Concat, Constant, DynamicMatMul, Input, Node, Reshape, Weighted
from mapping.ops.types import ACC_MAX
from mapping.pruning.ranges import ChannelRange
from mapping.pruning.taps import GroupedTaps

Mask = NDArray[np.bool_]


def kept_channels(graph: Graph, ranges: tuple[ChannelRange, ...]) -> tuple[Mask, ...]:
    """Mask of the channels of every node's result that stay, by id; at least one each."""
    rules = _Rules(graph, ranges)
    rules.settle(set(range(len(graph.nodes))))
    for node_id, mask in enumerate(rules.kept):
        if not mask.any():
            mask[0] = True
            rules.settle({node_id, *graph.users[node_id]})
    return tuple(rules.kept)


def foldable_inputs(taps: GroupedTaps, centred: ChannelRange, bias: NDArray[np.int32]) -> Mask:
    """Whether each input channel adds the same to every sum, shape (groups, group_inputs).

    Parameters
    ----------
    taps : GroupedTaps
        Weights of the node that reads.
    centred : ChannelRange
        Of the input, less the zero point.
    bias : ndarray of int32, shape (out_channels,)
        The node's; nothing may be folded into one that might overflow.
    """
    shape = (taps.groups, -1)
    is_constant, value = centred.is_constant.reshape(shape), centred.low.reshape(shape)
    foldable = is_constant & (~taps.reads_at_border.any(axis=2) | (value == 0))
    parts = np.where(foldable, value, 0)[:, :, None] * taps.weights.sum(axis=0)
    most = np.abs(parts).sum(axis=1).ravel() + np.abs(bias.astype(np.int64))
    return foldable if most.max() <= ACC_MAX else is_constant & (value == 0)


class _Rules:
    """What has to stay so far; see :func:`kept_channels`."""

    def __init__(self, graph: Graph, ranges: tuple[ChannelRange, ...]) -> None:
        self.graph = graph
        whole = {*graph.outputs, *graph.input_ids, *graph.constant_ids}
        self.kept = [
            np.full(tensor.channels, node_id in whole) for node_id, tensor in enumerate(graph.types)
        ]
        # Whether each input channel has to stay for each output channel, of dense nodes.
        self.needs: dict[int, Mask] = {}
        for node_id, node in graph.order():
            if isinstance(node, Weighted):
                taps = GroupedTaps.of(node, graph.types[node.inputs[0]])
                centred = ranges[node.inputs[0]].less(element_of(graph, node.inputs[0]).zero_point)
                folds = foldable_inputs(taps, centred, node.bias)
                self.needs[node_id] = taps.reads & ~folds[:, :, None]

    def settle(self, pending: set[int]) -> None:
        """Apply the rules of nodes, and of those that share a value with them, until all hold."""
        while pending:
            node_id = max(pending)
            pending.remove(node_id)
            for value in self._apply(self.graph.nodes[node_id], node_id):
                pending |= {value, *self.graph.users[value]}
            pending.discard(node_id)

    def _keep(self, value: int, mask: Mask) -> list[int]:
        """Keep more channels; the value if that is news."""
        if not np.any(mask & ~self.kept[value]):
            return []
        self.kept[value] = self.kept[value] | mask
        return [value]

    @singledispatchmethod
    def _apply(self, node: Node, node_id: int) -> list[int]:
        """Apply a node's rule; the values of which more has to stay now."""
        mask = self.kept[node_id].copy()
        for operand in node.inputs:
            mask |= self.kept[operand]
        return [v for value in (node_id, *node.inputs) for v in self._keep(value, mask)]

    @_apply.register(Input)
    @_apply.register(Constant)
    def _given(self, node: Node, node_id: int) -> list[int]:
        return []

    @_apply.register
    def _dynamic_matmul(self, node: DynamicMatMul, node_id: int) -> list[int]:
        """A product of computed tensors may depend on all of both."""
        values = dict.fromkeys((node_id, *node.inputs))
        return [v for value in values for v in self._keep(value, np.ones(1, np.bool_))]

    @_apply.register
    def _weighted(self, node: Weighted, node_id: int) -> list[int]:
        """Of groups only whole ones can go, so that the others stay alike."""
        needs, source = self.needs[node_id], node.inputs[0]
        groups, depth, width = needs.shape
        if groups == 1:
            return self._keep(source, np.any(needs[0] & self.kept[node_id], axis=1))
        stays = self.kept[node_id].reshape(groups, width).any(axis=1)
        stays |= self.kept[source].reshape(groups, depth).any(axis=1)
        changed = self._keep(node_id, np.repeat(stays, width))
        return changed + self._keep(source, np.repeat(stays, depth))

    @_apply.register
    def _concat(self, node: Concat, node_id: int) -> list[int]:
        joined = np.concatenate([self.kept[operand] for operand in node.inputs])
        joined |= self.kept[node_id]
        changed, first = self._keep(node_id, joined), 0
        for operand in node.inputs:
            last = first + len(self.kept[operand])
            changed += self._keep(operand, joined[first:last])
            first = last
        return changed

    @_apply.register
    def _reshape(self, node: Reshape, node_id: int) -> list[int]:
        """A vector of whole pixels loses a channel of each; other regroupings stay whole."""
        source = node.inputs[0]
        channels, features = len(self.kept[source]), len(self.kept[node_id])
        if len(node.shape) == 1:
            stays = self.kept[node_id].reshape(-1, channels).any(axis=0) | self.kept[source]
            wide = np.tile(stays, features // channels)
        else:
            is_same = channels == features
            stays = wide = self.kept[node_id] | self.kept[source] if is_same else np.ones(1, bool)
        return [
            *self._keep(node_id, np.broadcast_to(wide, features)),
            *self._keep(source, np.broadcast_to(stays, channels)),
        ]
