"""Inputs that are only reshaped are taken in their other shape: the host lays them out at once.

A recording that comes as a vector of features and is looked at as an image would otherwise be
moved value by value through the array.
"""

from dataclasses import replace

from mapping.graph import Graph
from mapping.ops import Input, Node, Reshape


def reshape_on_host(graph: Graph) -> Graph:
    """The same network, with inputs in the shape in which their only reader wants them.

    Node ids stay. The values of an input are, in row-major order, those that it had.

    Examples
    --------
    >>> from mapping.builder import Builder
    >>> builder = Builder()
    >>> image = builder.input((6,)).reshape(2, 3, 1)
    >>> print(reshape_on_host(builder.graph(image.clamp(0, 9))))
    graph: 3 nodes, 0 MACs, 0 weights
      0 input                          -> 2x3x1 int8 z0
      1 reshape(0)                     -> 2x3x1 int8 z0; shape 2x3x1
      2 clamp(1)                       -> 2x3x1 int8 z0; clamp_min 0, clamp_max 9
    outputs: 2
    """
    nodes = [_reshaped(graph, node_id, node) for node_id, node in graph.order()]
    return Graph(tuple(nodes), graph.outputs)


def _reshaped(graph: Graph, node_id: int, node: Node) -> Node:
    users = graph.users[node_id]
    if not isinstance(node, Input) or len(users) != 1 or node_id in graph.outputs:
        return node
    reader = graph.nodes[users[0]]
    if not isinstance(reader, Reshape):
        return node
    return replace(node, type=replace(node.type, shape=reader.shape))
