"""A network as a directed acyclic graph of typed nodes.

A node's id is its position, and a node may only use earlier ones: nodes stand in topological order
and no cycle can be written down. A graph is never changed; a pass builds a new one. Since types are
checked when a graph is made, a :class:`Graph` at hand is a legal network.
"""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from mapping.ops import ActType, Constant, GraphError, Input, Node, TensorType, Weighted

MAX_NODES: Final = 4096


@dataclass(frozen=True)
class Graph:
    """A legal network: nodes in topological order and the ids whose results it returns.

    Parameters
    ----------
    nodes : tuple of Node
        The node at position i has id i.
    outputs : tuple of int
        Ids of the results, at least one.

    Raises
    ------
    GraphError
        If a node uses itself or a later one, types do not fit, there is no input or output, or
        there are more than 4,096 nodes.

    Examples
    --------
    >>> from mapping.builder import Builder
    >>> builder = Builder()
    >>> image = builder.input((4, 4, 2), bits=4)
    >>> print(builder.graph(image.max_pool2d(2).reshape(8)))
    graph: 3 nodes, 0 MACs, 0 weights
      0 input                          -> 4x4x2 int4 z0
      1 max_pool2d(0)                  -> 2x2x2 int4 z0; kernel 2x2, stride 2x2
      2 reshape(1)                     -> 8 int4 z0; shape 8
    outputs: 2
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        self.verify()

    def verify(self) -> None:
        """Check every rule of the type system; :exc:`GraphError` names the first broken one."""
        if not any(isinstance(node, Input) for node in self.nodes):
            raise GraphError("a graph needs at least one input node")
        if len(self.nodes) > MAX_NODES:
            raise GraphError(f"a graph must have at most {MAX_NODES} nodes, not {len(self.nodes)}")
        if not self.outputs:
            raise GraphError("a graph needs at least one output")
        for output in self.outputs:
            if not 0 <= output < len(self.nodes):
                raise GraphError(
                    f"an output must be a node id 0..{len(self.nodes) - 1}, not {output}"
                )
        self._infer_types()

    @cached_property
    def types(self) -> tuple[TensorType, ...]:
        """Type of every node's result, by id."""
        return self._infer_types()

    def _infer_types(self) -> tuple[TensorType, ...]:
        types: list[TensorType] = []
        for node_id, node in enumerate(self.nodes):
            for operand in node.inputs:
                if not 0 <= operand < node_id:
                    raise GraphError(
                        f"node {node_id} ({node.label}): an input must be an earlier node "
                        f"(0..{node_id - 1}), not {operand}"
                    )
            try:
                types.append(node.output_type(tuple(types[operand] for operand in node.inputs)))
            except GraphError as error:
                raise GraphError(f"node {node_id}, {error}") from None
        return tuple(types)

    @property
    def input_ids(self) -> tuple[int, ...]:
        """Ids of the input nodes, in order."""
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node, Input))

    @property
    def constant_ids(self) -> tuple[int, ...]:
        """Ids of the constant activations, in order."""
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node, Constant))

    def order(self) -> Iterator[tuple[int, Node]]:
        """Ids and nodes, every node after its inputs."""
        return iter(enumerate(self.nodes))

    @cached_property
    def users(self) -> tuple[tuple[int, ...], ...]:
        """For each id, the ids of the nodes that use its result, once each, in order."""
        users: list[list[int]] = [[] for _ in self.nodes]
        for node_id, node in enumerate(self.nodes):
            for operand in dict.fromkeys(node.inputs):
                users[operand].append(node_id)
        return tuple(tuple(ids) for ids in users)

    def input_types(self, node_id: int) -> tuple[TensorType, ...]:
        """Types of a node's inputs."""
        return tuple(self.types[operand] for operand in self.nodes[node_id].inputs)

    def macs(self, node_id: int) -> int:
        """Multiply-accumulates of one node for one image."""
        return self.nodes[node_id].macs(self.input_types(node_id))

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of the whole network for one image."""
        return sum(self.macs(node_id) for node_id, _ in self.order())

    @property
    def total_weights(self) -> int:
        """Number of weights of all convolutions and matmuls, biases not counted."""
        return sum(node.weights.size for node in self.nodes if isinstance(node, Weighted))

    def __str__(self) -> str:
        lines = [
            f"graph: {len(self.nodes)} nodes, {self.total_macs:,} MACs, "
            f"{self.total_weights:,} weights"
        ]
        for node_id, node in self.order():
            call = f"{node.KIND}({', '.join(map(str, node.inputs))})" if node.inputs else node.KIND
            name = f" {node.name!r}" if node.name else ""
            details = _details(node, self.macs(node_id))
            lines.append(
                f"{node_id:3d} {call + name:<30s} -> {self.types[node_id]}"
                + (f"; {', '.join(details)}" if details else "")
            )
        return "\n".join([*lines, f"outputs: {', '.join(map(str, self.outputs))}"])


def _details(node: Node, macs: int) -> list[str]:
    """Parameters worth a place in the listing; those at their default are left out."""
    details: list[str] = []
    for field in fields(node):
        value = getattr(node, field.name)
        if field.name in ("inputs", "name") or isinstance(value, ActType | TensorType):
            continue  # these stand elsewhere in the line
        if isinstance(value, np.ndarray):
            shape = cast("NDArray[Any]", value).shape
            details.append(f"{field.name}[{'x'.join(map(str, shape))}]")
        elif field.default is MISSING or value != field.default:
            is_tuple = isinstance(value, tuple)
            text = "x".join(map(str, cast("tuple[int, ...]", value))) if is_tuple else str(value)
            details.append(f"{field.name} {text}")
    if macs:
        details.append(f"{macs:,} MACs")
    return details
