"""Pixel tiles: every pixel once, never more than fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.builder import Builder
from mapping.lowering.fuse import fuse, stored_values
from mapping.lowering.lower import lower
from mapping.scheduling.tiling import Tiling, candidate_tails, candidate_tilings, pixel_capacity
from systolic.spec.config import ArrayConfig


@given(height=st.integers(1, 40), width=st.integers(1, 300), capacity=st.integers(1, 256))
def test_every_candidate_covers_every_pixel_once(height: int, width: int, capacity: int) -> None:
    candidates = candidate_tilings(height, width, capacity)
    assert candidates
    for tiles in candidates:
        assert max(map(len, tiles)) <= capacity
        np.testing.assert_array_equal(np.sort(np.concatenate(tiles)), np.arange(height * width))


@given(pixels=st.integers(1, 256))
def test_tails_are_the_last_tile_in_its_order(pixels: int) -> None:
    tile = np.arange(pixels)[::-1]
    tails = candidate_tails(tile)
    assert len(tails[0]) == 1
    for tail in tails:
        assert min(map(len, tail)) > 0
        np.testing.assert_array_equal(np.concatenate(tail), tile)


def test_a_tile_leaves_the_last_pixel_of_the_output_buffer_to_the_host() -> None:
    builder = Builder()
    weights = np.ones((1, 1, 4, 3), int)
    graph = builder.graph(builder.input((4, 4, 4)).conv2d(weights).requantize(1 << 30, 0))
    config = ArrayConfig(rows=4, cols=4, acc_depth=32, out_pixels=16)
    fused = fuse(graph, config)
    (layer,) = lower(graph, fused, stored_values(graph, fused), config)
    assert pixel_capacity(layer, config) == 15


@pytest.mark.parametrize(
    ("sizes", "tail", "text"),
    [([4, 4], [4], "m 2 x 4"), ([4, 3], [2, 1], "m 4+3, tail 2+1")],
)
def test_a_tiling_reads_well(sizes: list[int], tail: list[int], text: str) -> None:
    assert str(Tiling(tuple(map(np.arange, sizes)), tuple(map(np.arange, tail)))) == text
