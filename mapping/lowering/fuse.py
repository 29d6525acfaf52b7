"""Fuse: cut the graph into layers, each one trip through array, requantizer and store.

Precondition: a legal graph. Postcondition: every value that a layer reads is an input, the result
of an earlier layer, or a view of such (:mod:`mapping.lowering.view`); network outputs are stored.

A layer starts at a node that needs the array (or at a pooling or pointwise node that found no
layer to join) and takes along what follows while nobody else looks at the values in between:
clamps and tables are folded into one clamp and one table, a max-pool becomes the drain's window.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mapping.errors import UnsupportedError
from mapping.graph import Graph
from mapping.lowering.view import element_of, is_same_storage, keeps_channels, skip_reshapes
from mapping.lowering.weight_form import is_written_by_host, weight_codes
from mapping.lowering.weight_nodes import AsWeights, WeightFormMatMul
from mapping.lowering.weights import identity_parts, node_parts
from mapping.ops import (
    AccType,
    ActType,
    AvgPool2d,
    Clamp,
    Concat,
    GlobalAvgPool,
    Lut,
    MatMul,
    MaxPool2d,
    Node,
    Pad,
    Requantize,
    Reshape,
)
from systolic.spec.config import ArrayConfig


@dataclass(frozen=True)
class Epilogue:
    """What becomes of a requantized code ``c``: ``table[clip(c, lo, hi)]``, then a max-pool.

    Parameters
    ----------
    lo, hi : int
        Clamp, in codes.
    table : ndarray of int64 or None
        Result code of each code; None is the identity.
    element : ActType
        Type of the result.
    pool : MaxPool2d or None
        Window that the drain takes the maximum of.
    filler : int or None
        If the result is stored in weight form, a code that stands for 0 before the table: that of
        rows without a channel.
    """

    lo: int
    hi: int
    element: ActType
    table: NDArray[np.int64] | None = None
    pool: MaxPool2d | None = None
    filler: int | None = None

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest result code."""
        if self.table is None:
            return self.lo, self.hi
        reached = self.table[self.lo : self.hi + 1]
        return int(reached.min()), int(reached.max())

    def then_clamp(self, lo: int, hi: int) -> "Epilogue":
        """Epilogue that goes on with a clamp in codes."""
        if self.table is not None:
            return replace(self, table=np.clip(self.table, lo, hi))
        return replace(self, lo=min(max(self.lo, lo), hi), hi=min(max(self.hi, lo), hi))

    def then_table(self, table: NDArray[np.int64], element: ActType) -> "Epilogue":
        """Epilogue that goes on with a table of codes."""
        if self.table is None:
            return replace(self, table=table, element=element)
        return replace(self, table=table[self.table], element=element)

    def then_weights(self, node: AsWeights) -> "Epilogue | None":
        """Epilogue that ends in weight form; None if that takes a layer of its own.

        So it does behind a max-pool, as weights do not rise with codes, and if there is no code
        for rows without a channel.
        """
        zero = self.element.zero_point - self.element.q_min
        codes = np.arange(self.lo, self.hi + 1)
        fillers = np.flatnonzero((codes if self.table is None else self.table[codes]) == zero)
        if self.pool is not None or not len(fillers):
            return None
        filled = replace(self, filler=self.lo + int(fillers[0]))
        table = weight_codes(node, self.element)
        if self.table is None and np.array_equal(table[codes], codes):
            return filled
        return filled.then_table(table, ActType(node.weight_bits, signed=True))


@dataclass(frozen=True)
class FusedLayer:
    """Nodes that run as one layer.

    Parameters
    ----------
    nodes : tuple of int
        Node ids in order; the last one's value is what the layer stores.
    anchor : int
        Node whose arithmetic the array does.
    requantize : Requantize or None
        None keeps codes as they are (pooling and copies).
    epilogue : Epilogue
        What happens to the requantized codes.
    """

    nodes: tuple[int, ...]
    anchor: int
    requantize: Requantize | None
    epilogue: Epilogue

    @property
    def output(self) -> int:
        """Node id of the stored value."""
        return self.nodes[-1]


def fuse(graph: Graph, config: ArrayConfig) -> tuple[FusedLayer, ...]:
    """Cut a graph into layers.

    Parameters
    ----------
    graph : Graph
        The network.
    config : ArrayConfig
        Its accumulators limit the windows of a max-pool.

    Raises
    ------
    UnsupportedError
        If accumulators are a network output, or a max-pool window exceeds the accumulators.
    """
    return _Fuser(graph, config).run()


def stored_values(graph: Graph, layers: tuple[FusedLayer, ...]) -> frozenset[int]:
    """Node ids that have memory: inputs, constants and the layers' results."""
    return frozenset((*graph.input_ids, *graph.constant_ids, *(layer.output for layer in layers)))


class _Fuser:
    """One walk over a graph; see :func:`fuse`."""

    def __init__(self, graph: Graph, config: ArrayConfig) -> None:
        self.graph = graph
        self.config = config
        self.outputs = frozenset(graph.outputs)
        self.needed = self._find_needed()
        # What nobody needs must not keep a value from being fused away.
        self.users = [[user for user in users if user in self.needed] for users in graph.users]
        self.materialised = self._find_materialised()

    def run(self) -> tuple[FusedLayer, ...]:
        """Walk over the nodes in order; each starts a layer, joins one, or needs none."""
        layers: list[FusedLayer] = []
        absorbed: set[int] = set()
        for node_id, node in self.graph.order():
            if node_id not in self.needed or node_id in absorbed:
                continue
            if node_id in self.outputs and isinstance(self.graph.types[node_id].element, AccType):
                raise UnsupportedError(
                    f"node {node_id}, {node.label}: accumulators cannot be a network output: "
                    "requantize them"
                )
            layer = self._start(node_id, node)
            if layer is not None:
                layer = self._extend(layer)
                absorbed.update(layer.nodes)
                layers.append(layer)
        return tuple(layers)

    def _find_needed(self) -> frozenset[int]:
        needed = set(self.outputs)
        for node_id in reversed(range(len(self.graph.nodes))):
            if node_id in needed:
                needed.update(self.graph.nodes[node_id].inputs)
        return frozenset(needed)

    def _find_materialised(self) -> frozenset[int]:
        """Movements that need memory: some reshapes, and what is an output or read as a whole.

        A reshape is followed by those who read a vector or reshape it again.
        """
        found: frozenset[int] = frozenset()
        for node_id, node in self.graph.order():
            if not isinstance(node, Reshape) or is_same_storage(self.graph, node_id, found):
                continue
            followers = (Reshape, MatMul) if len(node.shape) == 1 else Reshape
            readers = [self.graph.nodes[user] for user in self.users[node_id]]
            if not all(isinstance(reader, followers) for reader in readers):
                found |= {node_id}
        whole = [node.inputs[0] for node in self.graph.nodes if isinstance(node, WeightFormMatMul)]
        for value in (*self.outputs, *whole):
            base = skip_reshapes(self.graph, value, found)
            if isinstance(self.graph.nodes[base], Concat | Pad):
                found |= {base}
        return found

    def _start(self, node_id: int, node: Node) -> FusedLayer | None:
        """The layer that begins here, or None if the node is only addresses or waits."""
        if isinstance(node, Requantize):
            element = node.element
            epilogue = Epilogue(
                node.clamp_min - element.q_min, node.clamp_max - element.q_min, element
            )
            return FusedLayer((node.inputs[0], node_id), node.inputs[0], node, epilogue)
        if isinstance(node, AvgPool2d | GlobalAvgPool) or node_id in self.materialised:
            return FusedLayer((node_id,), node_id, None, self._whole_range(node_id))
        if is_written_by_host(self.graph, node_id):
            return None
        if isinstance(node, MaxPool2d | Clamp | Lut | AsWeights):
            limit = self.config.acc_depth // identity_parts(self.config)
            before = self._whole_range(node.inputs[0])
            if isinstance(node, MaxPool2d):
                _check_window(node_id, node, limit)
                after = replace(before, pool=node)
            else:
                after = self._append(before, node, limit)
                assert after is not None  # there is no pool before it
            return FusedLayer((node_id,), node_id, None, after)
        return None

    def _whole_range(self, node_id: int) -> Epilogue:
        """The epilogue that changes nothing: every code of the value's type passes."""
        element = element_of(self.graph, node_id)
        return Epilogue(0, element.codes - 1, element)

    def _extend(self, layer: FusedLayer) -> FusedLayer:
        """Take along the followers as long as each is the only one to see its input."""
        limit = self._pool_limit(layer.anchor)
        while True:
            last = layer.output
            users = self.users[last]
            if last in self.outputs or len(users) != 1:
                return layer
            epilogue = self._append(layer.epilogue, self.graph.nodes[users[0]], limit)
            if epilogue is None:
                return layer
            layer = replace(layer, nodes=(*layer.nodes, users[0]), epilogue=epilogue)

    def _pool_limit(self, anchor: int) -> int:
        """Largest window that may be fused behind an anchor, in elements."""
        node = self.graph.nodes[anchor]
        if isinstance(node, Reshape) and not keeps_channels(self.graph, anchor, self.materialised):
            return 0  # its pixels are made one by one
        return self.config.acc_depth // node_parts(node, self.config)

    def _append(self, epilogue: Epilogue, node: Node, window_limit: int) -> Epilogue | None:
        """The epilogue with ``node`` after it, or None if it cannot be had in the same layer.

        Behind a max-pool only functions that never fall may follow: they commute with a maximum.
        """
        q_min = epilogue.element.q_min
        match node:
            case Clamp():
                return epilogue.then_clamp(node.clamp_min - q_min, node.clamp_max - q_min)
            case Lut():
                table = node.table.astype(np.int64) - node.element.q_min
                if epilogue.pool is not None and np.any(np.diff(table) < 0):
                    return None
                return epilogue.then_table(table, node.element)
            case AsWeights():
                return epilogue.then_weights(node)
            case MaxPool2d() if epilogue.pool is None and _is_worth_fusing(node, window_limit):
                return replace(epilogue, pool=node)
            case _:
                return None


def _is_worth_fusing(node: MaxPool2d, window_limit: int) -> bool:
    """Whether windows do not overlap (nothing is computed twice) and fit the accumulators."""
    (kernel_h, kernel_w), (stride_h, stride_w) = node.kernel, node.stride
    overlap = kernel_h > stride_h or kernel_w > stride_w
    return not overlap and kernel_h * kernel_w <= window_limit


def _check_window(node_id: int, node: MaxPool2d, limit: int) -> None:
    window = node.kernel[0] * node.kernel[1]
    if window > limit:
        raise UnsupportedError(
            f"node {node_id}, {node.label}: the window must have at most {limit} elements "
            f"(accumulators of a half), not {window}: pool in two steps or use more acc_depth"
        )
