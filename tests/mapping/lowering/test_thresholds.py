"""Lowering of thresholds: which way they take, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from mapping.builder import Builder, Value
from mapping.compiler import compile_network
from mapping.errors import UnsupportedError
from mapping.lowering.fuse import fuse, stored_values
from mapping.lowering.lower import LoweredLayer, lower
from mapping.lowering.requantization import Requantization, ThresholdSearch
from mapping.ops import ActType
from mapping.reference import run
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Load, LoadTarget
from tests.strategies import images_for

UINT2 = ActType(2, signed=False)
EVEN, UNEVEN = [-20, 0, 20], [-20, 0, 1]
PLAIN = ArrayConfig()
SEARCHING = ArrayConfig(threshold_bits=2)


def sums(channels: int = 3) -> Value:
    """Sums of -128 * 8 * 5 .. 127 * 8 * 5 or so."""
    weights = np.arange(8 * channels).reshape(8, channels) % 11 - 5
    return Builder().input((8,)).matmul(weights, np.arange(channels), name="dense")


def lowered(value: Value, config: ArrayConfig) -> LoweredLayer:
    """The network's last layer."""
    graph = value._builder.graph(value)
    layers = fuse(graph, config)
    return lower(graph, layers, stored_values(graph, layers), config)[-1]


def check(value: Value, config: ArrayConfig) -> None:
    """Compare the functional simulator with the interpreter."""
    graph = value._builder.graph(value)
    program, images = compile_network(graph, config), images_for(graph, 20)
    program.verify()
    outputs, _ = run_network(FunctionalSimulator(config), program, images)
    np.testing.assert_array_equal(outputs[0], run(graph, images)[0])


def test_even_steps_are_multiplied_and_uneven_ones_searched() -> None:
    even, uneven = (sums().requantize_thresholds(cuts, UINT2) for cuts in (EVEN, UNEVEN))
    assert isinstance(lowered(even, SEARCHING).requantization, Requantization)
    search = lowered(uneven, SEARCHING).requantization
    assert isinstance(search, ThresholdSearch)
    assert search.bias.shape == (3, 3)
    for value in (even, uneven):
        check(value, SEARCHING)


def test_a_slow_multiplier_leaves_even_steps_to_the_search() -> None:
    slow = ArrayConfig(threshold_bits=2, requantize_cycles=12)
    even = sums().requantize_thresholds(EVEN, UINT2)
    assert isinstance(lowered(even, slow).requantization, ThresholdSearch)
    check(even, slow)


def test_falling_channels_take_the_table_behind_the_multiplier() -> None:
    value = sums().requantize_thresholds([EVEN] * 3, UINT2, is_descending=[True, False, True])
    layer = lowered(value, PLAIN)
    assert layer.epilogue.table is not None
    assert layer.epilogue.table.shape == (256,)
    check(value, PLAIN)


def test_a_result_that_no_channel_has_asks_for_no_step() -> None:
    # As a narrow range of -1..1 has it: -2 never occurs, and its step would be far off the others.
    value = sums().requantize_thresholds([-(1 << 31), -9, 10], ActType(2, signed=True))
    layer = lowered(value, PLAIN)
    assert (layer.epilogue.lo, layer.epilogue.hi, layer.epilogue.table) == (1, 3, None)
    check(value, PLAIN)


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("clamp", [None, (1, 2), (0, 0), (2, 3)])
@pytest.mark.parametrize("has_table", [False, True])
def test_clamps_and_tables_follow_either_way(
    falls: bool, clamp: tuple[int, int] | None, has_table: bool
) -> None:
    table = np.array([9, 3, 12, 3])
    for cuts in (EVEN, UNEVEN):
        for bits in (2, 4):
            value = sums().requantize_thresholds(cuts, UINT2, is_descending=falls, clamp=clamp)
            if has_table:
                value = value.lut(table, ActType(4, signed=False))
            check(value, ArrayConfig(threshold_bits=bits))


def test_thresholds_of_many_channels_are_loaded_node_by_node() -> None:
    value = sums(70).requantize_thresholds(
        [[3 * cut, 3 * cut + 1, 3 * cut + 9] for cut in range(70)],
        UINT2,
        is_descending=[False, True] * 35,
    )
    graph = value._builder.graph(value)
    program = compile_network(graph, SEARCHING)
    loads = [
        (each.start, each.count)
        for each in program.code[0]
        if isinstance(each, Load) and each.target is LoadTarget.THRESHOLDS
    ]
    assert loads == [(64, 64), (128, 64), (192, 64), (64, 6), (128, 6), (192, 6)]
    check(value, SEARCHING)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PLAIN, r"dense: has thresholds at uneven distances, which need .* threshold_bits=2 or"),
        (ArrayConfig(threshold_bits=1), r"which need a configuration with threshold_bits=2 or"),
    ],
)
def test_what_neither_way_gives_is_refused_by_name(config: ArrayConfig, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        lowered(sums().requantize_thresholds(UNEVEN, UINT2), config)


def test_falling_channels_without_a_table_are_refused_by_name() -> None:
    falling = sums().requantize_thresholds(EVEN, UINT2, is_descending=True)
    with pytest.raises(UnsupportedError, match=r"falling channels, without a lookup table"):
        lowered(falling, replace(PLAIN, table=False))


def test_more_bits_than_a_search_has_are_refused_by_name() -> None:
    value = sums().requantize_thresholds(np.arange(31) ** 2, ActType(5, signed=False))
    with pytest.raises(UnsupportedError, match=r"activations of 5 bits; a search .* 4 at most"):
        lowered(value, ArrayConfig(threshold_bits=4))


def test_sums_too_far_from_a_threshold_are_refused_by_name() -> None:
    narrow = ArrayConfig(threshold_bits=2, acc_bits=21, digit_bits=4)
    weights = np.full((80, 1), 100)
    weights[40:] = -100
    value = Builder().input((80,)).matmul(weights, name="dense")
    value = value.requantize_thresholds([-999_000, 0, 1], UINT2)
    message = r"dense: a sum less its threshold must fit 21 bits, not .*: use smaller weights"
    with pytest.raises(UnsupportedError, match=message):
        lowered(value, narrow)
