"""Weight tiles: together they are the dense weights, and none of zeros is left."""

import numpy as np
import pytest

from mapping.builder import Builder, Value
from mapping.lowering.fuse import fuse, stored_values
from mapping.lowering.lower import LoweredLayer, lower
from mapping.scheduling.weight_tiles import LayerTiles, tile_weights
from systolic.spec.config import ArrayConfig

CONFIG = ArrayConfig(weight_bits=4)


def tiles_of(
    builder: Builder, value: Value, config: ArrayConfig
) -> tuple[LoweredLayer, LayerTiles]:
    """The last layer of a network and its tiles."""
    graph = builder.graph(value)
    fused = fuse(graph, config)
    layer = lower(graph, fused, stored_values(graph, fused), config)[-1]
    return layer, tile_weights(layer, config)


def joined(
    layer: LoweredLayer, tiles: LayerTiles, config: ArrayConfig
) -> dict[tuple[int, ...], int]:
    """Weight by (source, dy, dx, channel of the source, output channel), zeros left out."""
    weights: dict[tuple[int, ...], int] = {}
    for n_tile in tiles.n_tiles:
        for k_tile in n_tile.k_tiles:
            place = config.weight_bits * (layer.parts - 1 - k_tile.part)
            for row, col in np.argwhere(tiles.weights[k_tile.tile]).tolist():
                assert col < n_tile.cols
                channel = k_tile.block * config.rows + row
                key = (k_tile.source, k_tile.dy, k_tile.dx, channel, n_tile.channel + col)
                part = int(tiles.weights[k_tile.tile, row, col]) << place
                weights[key] = weights.get(key, 0) + part
    return {key: weight for key, weight in weights.items() if weight}


@pytest.mark.parametrize("cols", [2, 4, 16, 32])
def test_tiles_of_a_convolution_over_a_concatenation_are_its_weights(cols: int) -> None:
    config = ArrayConfig(weight_bits=4, cols=cols)
    builder = Builder()
    image = builder.input((5, 5, 20))
    both = image.clamp(0, 9).concat(image)
    kernel = np.random.default_rng(1).integers(-128, 128, (2, 1, 40, 9))
    layer, tiles = tiles_of(builder, both.conv2d(kernel).requantize(1 << 30, -9), config)
    expected = {
        (channel // 20, tap, 0, channel % 20, out): int(kernel[tap, 0, channel, out])
        for tap, _, channel, out in np.argwhere(kernel).tolist()
    }
    assert joined(layer, tiles, config) == expected


def test_depthwise_convolution_leaves_zero_tiles_out() -> None:
    builder = Builder()
    kernel = np.random.default_rng(1).integers(1, 8, (3, 3, 1, 40))
    value = builder.input((5, 5, 40)).conv2d(kernel, groups=40).requantize(1 << 30, -9)
    layer, tiles = tiles_of(builder, value, CONFIG)
    assert len(tiles.weights) == 10 * 9  # n-tiles times taps, one block each
    assert joined(layer, tiles, CONFIG) == {
        (0, y, x, out, out): int(kernel[y, x, 0, out]) for y, x, _, out in np.argwhere(kernel)
    }


def test_weights_of_zero_still_set_the_accumulators() -> None:
    builder = Builder()
    value = builder.input((16,)).matmul(np.zeros((16, 5), np.int32)).requantize(1 << 30, 0)
    _, tiles = tiles_of(builder, value, CONFIG)
    assert [len(n_tile.k_tiles) for n_tile in tiles.n_tiles] == [1, 1]
    assert not tiles.weights.any()


def test_every_part_has_a_tile_even_if_all_its_digits_are_zero() -> None:
    builder = Builder()
    value = builder.input((16,)).matmul(np.full((16, 4), 32)).requantize(1 << 30, 0)
    _, tiles = tiles_of(builder, value, CONFIG)
    assert sorted(k_tile.part for k_tile in tiles.n_tiles[0].k_tiles) == [0, 1]


def test_a_reshape_picks_each_value_once() -> None:
    builder = Builder()
    value = builder.input((2, 3, 5)).reshape(5, 3, 2).clamp(-5, 5)
    _, tiles = tiles_of(builder, value, CONFIG)
    assert [n_tile.position for n_tile in tiles.n_tiles] == [16 * pixel for pixel in range(15)]
    assert tiles.weights.sum() == 30
    assert tiles.weights.max() == 1
