"""Weight form: activations written so that the array can take them for weights.

A word of a weight tile holds, for one column, a digit of each row's weight; a word of activations
holds, for one pixel, a digit of each channel. So pixels *are* columns and channels rows, if three
things are seen to: codes are two's complement, which a table makes of the unsigned ones; the pixels
of one channel block follow each other, filled up to whole tiles (see
:class:`mapping.program.StoredTensor`); and rows without a channel hold a weight of 0.

With ``u`` the code of an activation, ``z`` its code of zero and ``w`` the other factor::

    sum((u - z) * w)  =  sum(u * w) + sum(z * ~w) + z * depth        as -w = ~w + 1

A second store of the same tensor through the table of ``~w``, which is a weight whatever ``w`` is,
therefore makes up for the offset that for constant weights is folded into the bias. The pixel of
zeros that it is multiplied by is one of the activations' border. Where ``z`` is 0 nothing is added.

Values that a PE's weights do not hold (of more bits, or with a zero point that shifts them out of
range) are stored in parts, like constant weights.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mapping.graph import Graph
from mapping.lowering.operand import ComputedWeights, Operand, grid_taps
from mapping.lowering.view import View, element_of
from mapping.lowering.weight_nodes import AsWeights, WeightFormMatMul
from mapping.lowering.weights import parts_needed, split_parts
from mapping.ops import ActType, DynamicMatMul, Input, Node, Requantize
from systolic.spec.config import ArrayConfig


def in_weight_form(graph: Graph, config: ArrayConfig) -> tuple[Graph, tuple[int, ...]]:
    """Give products of computed tensors the weights that they need.

    Returns
    -------
    Graph
        The same network, with nodes for the stores in weight form.
    tuple of int
        For each of its nodes, the node that it was, or whose values it stores in weight form.

    Raises
    ------
    UnsupportedError
        If weights would take too many parts.
    """
    if not any(isinstance(node, DynamicMatMul) for node in graph.nodes):
        return graph, tuple(range(len(graph.nodes)))
    return _Rewriter(graph, config).run()


class _Rewriter:
    """One walk over a graph; see :func:`in_weight_form`."""

    def __init__(self, graph: Graph, config: ArrayConfig) -> None:
        self.graph, self.config = graph, config
        self.nodes: list[Node] = []
        self.origin: list[int] = []
        self.new_ids: list[int] = []  # by old id
        self.made: dict[tuple[int, int, int, bool], int] = {}

    def run(self) -> tuple[Graph, tuple[int, ...]]:
        """Copy node by node."""
        for node_id, node in self.graph.order():
            inputs = tuple(self.new_ids[operand] for operand in node.inputs)
            if isinstance(node, DynamicMatMul):
                made: Node = self._weighted(node, inputs)
            else:
                made = replace(node, inputs=inputs)
            self.new_ids.append(self._append(made, node_id))
        outputs = tuple(self.new_ids[output] for output in self.graph.outputs)
        return Graph(tuple(self.nodes), outputs), tuple(self.origin)

    def _append(self, node: Node, origin: int) -> int:
        self.nodes.append(node)
        self.origin.append(origin)
        return len(self.nodes) - 1

    def _weighted(self, node: DynamicMatMul, inputs: tuple[int, ...]) -> Node:
        acts, weights = (element_of(self.graph, operand) for operand in node.inputs)
        low, high = (q - weights.zero_point for q in (weights.q_min, weights.q_max))
        needs_complement = acts.zero_point != acts.q_min
        lowest, highest = (min(low, ~high), max(high, ~low)) if needs_complement else (low, high)
        parts = parts_needed(lowest, highest, self.config)
        stores = [
            self._store(node.inputs[1], inputs[1], part, parts, is_complement=is_complement)
            for is_complement in ((False, True) if needs_complement else (False,))
            for part in range(parts)
        ]
        blocks = -(-self.graph.types[node.inputs[0]].channels // self.config.rows)
        return WeightFormMatMul(
            inputs=(inputs[0], *stores), name=node.name, parts=parts, low=low, high=high,
            block_rows=blocks * self.config.rows,
        )  # fmt: skip

    def _store(self, old: int, source: int, part: int, parts: int, *, is_complement: bool) -> int:
        """Node that stores one part of a tensor, made once."""
        key = (source, part, parts, is_complement)
        if key not in self.made:
            again = self.graph.nodes[old]
            if self.is_only_weights(old) and any(made[0] == source for made in self.made):
                inputs = tuple(self.new_ids[operand] for operand in again.inputs)
                source = self._append(replace(again, inputs=inputs), old)
            node = AsWeights(
                inputs=(source,), name=self.graph.nodes[old].name, part=part, parts=parts,
                weight_bits=self.config.weight_bits, is_complement=is_complement,
            )  # fmt: skip
            self.made[key] = self._append(node, old)
        return self.made[key]

    def is_only_weights(self, old: int) -> bool:
        """Whether sums are requantized for nothing but products, as their weights.

        They are then made once for each store, which costs no more than copies: the drain of both
        takes the same time.
        """
        users = [self.graph.nodes[user] for user in self.graph.users[old]]
        is_weights = all(isinstance(user, DynamicMatMul) and user.inputs[0] != old
                         for user in users)  # fmt: skip
        is_sum = isinstance(self.graph.nodes[old], Requantize)
        return is_sum and is_weights and old not in self.graph.outputs


def weight_codes(node: AsWeights, element: ActType) -> NDArray[np.int64]:
    """Weight for each code of activations, as an unsigned number of ``weight_bits`` bits.

    Examples
    --------
    >>> node = AsWeights(inputs=(0,), weight_bits=4, part=0, parts=1)
    >>> weight_codes(node, ActType(2, signed=True)).tolist()
    [14, 15, 0, 1]
    """
    values = np.arange(element.codes) + element.q_min - element.zero_point
    whole = ~values if node.is_complement else values
    split = split_parts(whole, node.parts, node.weight_bits)
    return split[node.part] & (1 << node.weight_bits) - 1


def is_written_by_host(graph: Graph, node_id: int) -> bool:
    """Whether a store in weight form is one of an input that the host can write so itself."""
    node = graph.nodes[node_id]
    if not isinstance(node, AsWeights) or node.parts > 1 or node.is_complement:
        return False
    (source,) = node.inputs
    is_whole = graph.types[source].element == ActType(node.weight_bits, signed=True)
    is_lone = graph.users[source] == (node_id,) and source not in graph.outputs
    return isinstance(graph.nodes[source], Input) and is_whole and is_lone


def computed_operands(
    graph: Graph, node: WeightFormMatMul, view: View, stored: frozenset[int]
) -> tuple[Operand, ...]:
    """What a product of computed tensors sums: activations and, if need be, their zeros.

    Parameters
    ----------
    graph : Graph
        The network.
    node : WeightFormMatMul
        The product.
    view : View
        Its activations.
    stored : frozenset of int
        Values that have memory.
    """
    places = [one if one in stored else graph.nodes[one].inputs[0] for one in node.inputs[1:]]
    zero = view.element.zero_point - view.element.q_min
    shape = (1, view.channels, graph.types[node.inputs[1]].pixels)
    nothing = np.broadcast_to(np.int64(0), shape)
    weights = ComputedWeights(tuple(places[: node.parts]), view.channels, node.low, node.high, zero)
    factors = Operand(view, grid_taps((1, 1)), nothing, computed=weights)
    if not zero:
        return (factors,)
    complement = ComputedWeights(
        tuple(places[node.parts :]), node.block_rows, ~node.high, ~node.low, zero, is_offset=True
    )
    border = np.array([[0, view.width]])
    return factors, Operand(view, border, nothing, computed=complement)
