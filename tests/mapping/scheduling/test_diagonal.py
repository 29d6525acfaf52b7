"""Tiles with one weight per row: kept without their zeros, loaded row by row."""

from dataclasses import replace

import numpy as np
import pytest

from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.program import Program
from mapping.program.memory import layer_words
from mapping.program.rules import MachineRules, RuleError
from mapping.reference import run
from mapping.scheduling.diagonal import diagonal_tiles
from mapping.scheduling.weight_tiles import KTile, LayerTiles, NTile
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Diagonal, Instruction, Load, LoadTarget, Matmul
from systolic.spec.layout import pack_diagonal, unpack_diagonal

CONFIG = ArrayConfig(pe_cols=4, acc_bits=24, scratchpad_words=4096, diagonal=True)
WHOLE = replace(CONFIG, diagonal=False)


def depthwise(size: int, channels: int = 32) -> Graph:
    """A 3 x 3 depthwise convolution of a square image."""
    builder, source = Builder(), np.random.default_rng(size)
    weights = source.integers(-128, 128, (3, 3, 1, channels))
    image = builder.input((size, size, channels))
    sums = image.conv2d(weights, pad=(1, 1, 1, 1), groups=channels)
    return builder.graph(sums.requantize(1 << 30, -8))


def kinds(program: Program) -> set[type[Instruction]]:
    """What loads weights in a program, but for the two that write its border."""
    used = [type(code) for code in program.instructions if isinstance(code, Matmul | Diagonal)]
    return set(used[1:])


def tiles_of(weights: np.ndarray, blocks: list[int]) -> LayerTiles:
    """Tiles, one n-tile each, of one tap."""
    n_tiles = [
        NTile(4 * index, 4 * index, 4, (KTile(0, 0, 0, block, 0, index),))
        for index, block in enumerate(blocks)
    ]
    return LayerTiles((), tuple(n_tiles), weights)


def band_tiles(count: int) -> np.ndarray:
    """Tiles with the weights of bands 0, 1, .."""
    weights = np.zeros((count, 16, 4), np.int64)
    for index in range(count):
        rows = index % 4 * 4 + np.arange(4)
        weights[index, rows, np.arange(4)] = 10 * index + np.arange(1, 5)
    return weights


def test_bands_of_one_word_of_activations_share_a_column() -> None:
    weights = band_tiles(5)
    found = diagonal_tiles(tiles_of(weights, [0, 0, 0, 0, 1]), CONFIG)
    assert found is not None
    assert [tuple(place) for place in found.places] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
    for tile, (column, band) in zip(weights, found.places, strict=True):
        data = pack_diagonal(found.columns[column], CONFIG)
        assert len(data) == 2 * CONFIG.word_bytes
        np.testing.assert_array_equal(unpack_diagonal(data, band, CONFIG), tile)


def test_a_band_that_is_taken_begins_a_new_column() -> None:
    weights = band_tiles(2)
    weights[1] = -weights[0]
    found = diagonal_tiles(tiles_of(weights, [0, 0]), CONFIG)
    assert found is not None
    assert [tuple(place) for place in found.places] == [(0, 0), (1, 0)]
    assert found.columns[:, :4].tolist() == [[1, 2, 3, 4], [-1, -2, -3, -4]]


def test_tiles_with_more_than_a_weight_per_row_stay_whole() -> None:
    beside, two_bands = band_tiles(3), band_tiles(3)
    beside[1, 4, 1] = 1
    two_bands[1, 0, 0] = 1
    for weights in (beside, two_bands):
        assert diagonal_tiles(tiles_of(weights, [0, 0, 0]), CONFIG) is None
    assert diagonal_tiles(tiles_of(band_tiles(3), [0, 0, 0]), WHOLE) is None


def test_depthwise_weights_take_no_zeros_and_no_cycle_more() -> None:
    graph = depthwise(9)
    program, whole = (compile_network(graph, config) for config in (CONFIG, WHOLE))
    assert kinds(program) == {Diagonal}
    assert program.cycles == whole.cycles
    # 9 taps of two blocks: two words each instead of eight for each of four tiles.
    saved = layer_words(whole)[0] - layer_words(program)[0]
    assert saved == 9 * 2 * (4 * 8 - 2)
    image = np.random.default_rng(0).integers(-128, 128, (1, 9, 9, 32))
    outputs, _ = run_network(FunctionalSimulator(CONFIG), program, image)
    np.testing.assert_array_equal(outputs[0], run(graph, image)[0])


def test_too_few_pixels_to_wait_for_take_whole_tiles() -> None:
    # Four pixels are eight words: the next tile comes before the last row has taken this one's.
    assert kinds(compile_network(depthwise(2), CONFIG)) == {Matmul}
    assert kinds(compile_network(depthwise(3), CONFIG)) == {Diagonal}


def test_streamed_parts_keep_columns_where_they_may_lie() -> None:
    small = replace(CONFIG, scratchpad_words=701)
    graph = depthwise(4, 64)
    program = compile_network(graph, small)
    assert program.parts
    assert kinds(program) == {Diagonal}
    image = np.random.default_rng(1).integers(-128, 128, (1, 4, 4, 64))
    outputs, _ = run_network(FunctionalSimulator(small), program, image)
    np.testing.assert_array_equal(outputs[0], run(graph, image)[0])


def rules_of(config: ArrayConfig) -> MachineRules:
    """Rules of a machine whose first hundred words and offsets are there."""
    rules = MachineRules(config, lambda addr, count: bytes(count * config.word_bytes))
    rules.define(0, 100)
    rules.check(Load(target=LoadTarget.OFFSETS, count=64, addr=0))
    return rules


def load(band: int, *, pixels: int = 8, weights: int = 0) -> Diagonal:
    """A DIAGONAL of so many pixels of one word."""
    return Diagonal(first=1, half=0, digits=1, count=pixels, band=band, base=0, weights=weights)


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        (WHOLE, load(0), "needs a configuration with diagonal=True"),
        (CONFIG, load(4), "there is no band 4"),
        (CONFIG, load(0, weights=3), "weights must be a multiple of 2, not 3"),
        (CONFIG, load(0, weights=100), "words that were never written"),
    ],
)
def test_a_broken_rule_is_named(config: ArrayConfig, code: Diagonal, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        rules_of(config).check(code)


def test_other_rows_take_weights_when_all_have_taken_theirs() -> None:
    # 3 cycles of fetch, 8 of weights and 12 of pixels: the last row has just taken its last.
    assert CONFIG.select_cycles == 23
    whole = Matmul(first=1, half=0, digits=1, count=12, base=0, weights=0)
    for later in (load(1), whole):
        rules = rules_of(CONFIG)
        rules.check(load(0, pixels=12))
        rules.check(later)
        rules = rules_of(CONFIG)
        rules.check(load(0, pixels=11))
        with pytest.raises(RuleError, match=r"other rows' weights 22 cycles behind .* not 23"):
            rules.check(later)
    rules = rules_of(CONFIG)
    for _ in range(3):
        rules.check(load(2, pixels=1))
