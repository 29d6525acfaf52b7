"""The random networks other tests are built on: what they cover, and that they stay small."""

from collections import Counter
from functools import cache

import numpy as np
from hypothesis import find

from mapping.graph import Graph
from mapping.graph_codec import NODE_KINDS
from mapping.ops import Conv2d, Requantize, RequantizeThresholds, Weighted
from mapping.reference import run_all
from systolic.spec.rounding import Rounding
from tests.random_product import random_product
from tests.strategies import images_for, networks, random_network

SEEDS = range(300)


@cache
def sample() -> tuple[Graph, ...]:
    """Networks of many seeds."""
    return tuple(random_network(seed) for seed in SEEDS)


@cache
def threshold_sample() -> tuple[Graph, ...]:
    """Networks with activations by thresholds."""
    return tuple(random_network(seed, max_threshold_bits=4) for seed in SEEDS[:100])


@cache
def product_sample() -> tuple[Graph, ...]:
    """Networks with products of computed tensors."""
    return tuple(random_product(seed) for seed in SEEDS[:50])


def test_the_same_seed_gives_the_same_network() -> None:
    assert all(random_network(seed) == sample()[seed] for seed in SEEDS[:20])
    assert sample()[0] != sample()[1]


def test_every_kind_of_node_occurs() -> None:
    graphs = (*sample(), *threshold_sample(), *product_sample())
    counts = Counter(node.KIND for graph in graphs for node in graph.nodes)
    assert set(counts) == set(NODE_KINDS)
    assert min(counts.values()) >= 20


def test_convolutions_vary_in_every_parameter() -> None:
    convolutions = [n for graph in sample() for n in graph.nodes if isinstance(n, Conv2d)]
    assert any(node.is_depthwise for node in convolutions)
    assert any(node.groups > 1 and not node.is_depthwise for node in convolutions)
    for field in ("kernel", "stride", "dilation", "pad", "weight_bits"):
        assert len({getattr(node, field) for node in convolutions}) >= 4


def test_networks_are_small_and_always_weighted() -> None:
    for graph in sample():
        assert any(isinstance(node, Weighted) for node in graph.nodes)
        assert graph.total_macs <= 8000


def test_most_activations_lie_inside_their_range() -> None:
    inside, distinct = [], []
    for graph in sample():
        results = run_all(graph, images_for(graph, 16, seed=1))
        for node_id, node in graph.order():
            if isinstance(node, Requantize) and node.element.bits == 8:
                codes = results[node_id]
                inside.append(np.mean((codes > node.clamp_min) & (codes < node.clamp_max)))
                distinct.append(len(np.unique(codes)))
    assert np.median(inside) > 0.8
    assert np.median(distinct) >= 16


def test_thresholds_vary_and_cut_the_sums() -> None:
    nodes, codes = [], []
    for graph in threshold_sample():
        results = run_all(graph, images_for(graph, 16, seed=1))
        for node_id, node in graph.order():
            if isinstance(node, RequantizeThresholds):
                nodes.append(node)
                codes.append(len(np.unique(results[node_id])) / node.element.codes)
    assert {node.element.bits for node in nodes} == {1, 2, 3, 4}
    assert any(node.channels > 1 and np.ptp(node.is_descending.astype(int)) for node in nodes)
    assert np.mean(codes) > 0.7


def test_choices_can_be_limited() -> None:
    for seed in SEEDS[:50]:
        graph = random_network(seed, 2, ("matmul", "clamp"), 3, (Rounding.ONNX,))
        assert {node.KIND for node in graph.nodes} <= {
            "input",
            "matmul",
            "clamp",
            "requantize_onnx",
        }
        bits = [node.weight_bits for node in graph.nodes if isinstance(node, Weighted)]
        assert max(bits) <= 3


def test_networks_shrink_to_the_layer_in_question() -> None:
    graph = find(networks(), lambda graph: any(node.KIND == "max_pool2d" for node in graph.nodes))
    assert len(graph.nodes) <= 5
    assert max(graph.types[0].shape) == 1
