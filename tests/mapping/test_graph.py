"""Graphs: order, users, counts, the listing, and everything verify refuses."""

import numpy as np
import pytest
from hypothesis import given

from mapping.builder import Builder
from mapping.graph import MAX_NODES, Graph
from mapping.ops import ActType, Clamp, GraphError, Input, Node, TensorType
from tests.strategies import networks

INPUT = Input(type=TensorType((4, 4, 2), ActType(8, signed=True)))


def clamp(operand: int) -> Clamp:
    """A node with one input."""
    return Clamp(inputs=(operand,), clamp_min=0, clamp_max=7)


@pytest.mark.parametrize(
    ("nodes", "outputs", "message"),
    [
        ((), (0,), "needs at least one input node"),
        ((INPUT,), (), "needs at least one output"),
        ((INPUT,), (1,), r"an output must be a node id 0\.\.0, not 1"),
        ((INPUT,), (-1,), r"an output must be a node id 0\.\.0, not -1"),
        ((INPUT, clamp(1)), (1,), r"node 1 \(clamp\): an input must be an earlier node .*, not 1"),
        ((clamp(1), INPUT), (0,), r"node 0 \(clamp\): .*, not 1"),
        ((INPUT, clamp(-1)), (1,), r"node 1 .*, not -1"),
        ((INPUT,) * (MAX_NODES + 1), (0,), "at most 4096 nodes, not 4097"),
    ],
)
def test_illegal_graphs_are_refused(
    nodes: tuple[Node, ...], outputs: tuple[int, ...], message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        Graph(nodes, outputs)


def test_users_are_named_once_each() -> None:
    builder = Builder()
    image = builder.input((4, 4, 2))
    doubled = image.add(image).requantize(1 << 30, 0)
    graph = builder.graph(doubled.concat(doubled, image))
    assert graph.users == ((1, 3), (2,), (3,), ())


def test_macs_count_dense_weights_only() -> None:
    builder = Builder()
    image = builder.input((8, 6, 4))
    conv = image.conv2d(np.ones((3, 3, 2, 6), int), groups=2, stride=2).requantize(1 << 30, -8)
    total = conv.flatten().matmul(np.ones((3 * 2 * 6, 10), int))
    graph = builder.graph(total)
    assert [graph.macs(node_id) for node_id, _ in graph.order()] == [
        0,
        3 * 2 * 6 * 9 * 2,
        0,
        0,
        360,
    ]
    assert graph.total_macs == 648 + 360
    assert graph.total_weights == 108 + 360


def test_listing_shows_types_and_parameters() -> None:
    builder = Builder()
    image = builder.input((8, 8, 1), bits=4, signed=False, zero_point=3, name="image")
    conv = image.conv2d(np.ones((3, 3, 1, 2), int), pad=(1, 0, 1, 0), weight_bits=4, name="stem")
    codes = conv.requantize_onnx(np.float32(0.5), ActType(1, signed=False))
    assert str(builder.graph(codes, image)).splitlines() == [
        "graph: 3 nodes, 882 MACs, 18 weights",
        "  0 input 'image'                  -> 8x8x1 uint4 z3",
        "  1 conv2d(0) 'stem'               -> 7x7x2 acc32; weights[3x3x1x2], bias[2], "
        "weight_bits 4, pad 1x0x1x0, 882 MACs",
        "  2 requantize_onnx(1)             -> 7x7x2 uint1 z0; clamp_min 0, clamp_max 1, scale[1]",
        "outputs: 2, 0",
    ]


@given(networks())
def test_every_node_follows_its_inputs(graph: Graph) -> None:
    graph.verify()
    seen: set[int] = set()
    for node_id, node in graph.order():
        assert seen.issuperset(node.inputs)
        seen.add(node_id)
        for user in graph.users[node_id]:
            assert node_id in graph.nodes[user].inputs
