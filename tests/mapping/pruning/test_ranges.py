"""Ranges of channels: everything that occurs lies in them, and constants are found."""

import numpy as np
import pytest

from mapping.builder import Builder, Value
from mapping.graph import Graph
from mapping.ops import ActType
from mapping.pruning.ranges import channel_ranges
from mapping.pruning.taps import GroupedTaps
from mapping.reference import run_all
from tests.strategies import images_for, random_network
from tests.thinned_network import thinned_network

INT8 = ActType(8, signed=True, zero_point=-9)


def last_range(graph: Graph) -> list[tuple[int, int]]:
    """Range of each channel of the last node's result."""
    found = channel_ranges(graph)[-1]
    return list(zip(found.low.tolist(), found.high.tolist(), strict=True))


def threshold_network(seed: int, max_layers: int) -> Graph:
    """A random network with activations by thresholds."""
    return random_network(seed, max_layers, max_threshold_bits=4)


@pytest.mark.parametrize("make", [random_network, thinned_network, threshold_network])
def test_no_value_leaves_its_range(make: object) -> None:
    for seed in range(100):
        graph = make(seed, max_layers=6)
        results = run_all(graph, images_for(graph, 8, seed))
        for values, found in zip(results, channel_ranges(graph), strict=True):
            pixels = values.reshape(-1, values.shape[-1])
            assert (pixels.min(axis=0) >= found.low).all()
            assert (pixels.max(axis=0) <= found.high).all()


def test_sums_reach_both_ends_of_their_range() -> None:
    builder = Builder()
    image = builder.input((3,), bits=4, signed=False, zero_point=5)
    graph = builder.graph(image.matmul([[2, 0], [-3, 0], [1, 0]], [7, 11]))
    # q - 5 is -5..10
    assert last_range(graph) == [(7 - 10 - 30 - 5, 7 + 20 + 15 + 10), (11, 11)]


@pytest.mark.parametrize(
    ("pad", "expected"),
    [((0, 0, 0, 0), (4, 4)), ((1, 0, 0, 0), (0, 4)), ((0, 1, 0, 0), (0, 4))],
)
def test_a_constant_is_none_beside_a_border(
    pad: tuple[int, int, int, int], expected: tuple[int, int]
) -> None:
    builder = Builder()
    constant = builder.input((4, 4, 1)).clamp(-3, -3)
    element = constant.type.element
    assert isinstance(element, ActType)
    graph = builder.graph(constant.conv2d(np.full((2, 1, 1, 1), -1), [-2], pad=pad))
    low, high = last_range(graph)[0]
    assert (low, high) == (expected[0] + expected[1] - 4 + (1 if expected[0] == 0 else 0), 4)


def test_taps_that_never_leave_the_image_see_no_border() -> None:
    builder = Builder()
    image = builder.input((5, 4, 1))
    # Rows 0, 2 and 4 have the middle tap; the windows of width 2 end at column 3.
    convolved = image.conv2d(np.ones((3, 2, 1, 1), int), stride=2, pad=(1, 1, 0, 1))
    graph = builder.graph(convolved)
    taps = GroupedTaps.of(graph.nodes[1], graph.types[0])
    assert taps.sees_border.tolist() == [True, True, False, False, True, True]


def held_by_a_clamp(value: Value) -> Value:
    return value.clamp(5, 5)


def looked_up_in_a_flat_table(value: Value) -> Value:
    return value.lut(np.full(256, 5))


def scaled_by_nothing(value: Value) -> Value:
    return value.matmul([[3]]).requantize([0], [0], ActType(8, True, 5))


def far_below_a_relu(value: Value) -> Value:
    return value.matmul([[3]], [-5000]).requantize(1 << 30, 0, ActType(8, True, 5), clamp=(5, 127))


@pytest.mark.parametrize(
    "make",
    [held_by_a_clamp, looked_up_in_a_flat_table, scaled_by_nothing, far_below_a_relu],
)
def test_constants_are_found(make: object) -> None:
    builder = Builder()
    assert last_range(builder.graph(make(builder.input((1,))))) == [(5, 5)]


def test_tables_are_looked_up_in_their_range_only() -> None:
    builder = Builder()
    table = np.arange(-128, 128)[::-1]
    graph = builder.graph(builder.input((2,)).clamp(-3, 9).lut(table))
    assert last_range(graph) == [(-10, 2)] * 2


def test_sums_without_a_defined_rounding_may_become_anything() -> None:
    builder = Builder()
    sums = builder.input((1,)).matmul([[0]], [1 << 30])
    graph = builder.graph(sums.requantize(1 << 30, 1, clamp=(-7, 90)))
    assert last_range(graph) == [(-7, 90)]
