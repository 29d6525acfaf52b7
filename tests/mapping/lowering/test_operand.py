"""Packing on the host: the packed operand computes what the unpacked one does."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mapping.lowering.operand import Operand, grid_taps, pack_operand
from mapping.lowering.view import Piece, View
from mapping.ops import ActType, Padding

ELEMENT = ActType(8, signed=False, zero_point=3)


def evaluate(operand: Operand, image: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The operand's sums, with the zero point all around the image."""
    margin = 40
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), constant_values=3)
    sums = np.zeros((*grid, operand.weights.shape[2]), np.int64)
    for y, x in np.ndindex(grid):
        piece = operand.view.pieces[0]
        row = y * operand.stride[0] + margin - piece.top
        col = x * operand.stride[1] + margin - piece.left
        for (dy, dx), weights in zip(operand.taps, operand.weights, strict=True):
            sums[y, x] += padded[row + dy, col + dx] @ weights
    return sums


@pytest.mark.parametrize("rows_only", [True, False], ids=["kernel rows", "whole kernel"])
@given(data=st.data())
def test_packed_taps_give_the_same_sums(data: st.DataObject, rows_only: bool) -> None:
    height, width, channels = (data.draw(st.integers(1, 7)) for _ in range(3))
    kernel, stride, dilation = (
        (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))) for _ in range(3)
    )
    pad = Padding(*(data.draw(st.integers(0, 3)) for _ in range(4)))
    border = Padding(*(data.draw(st.integers(0, 2)) for _ in range(4)))  # of a Pad before it
    tall, wide = height + border.top + border.bottom, width + border.left + border.right
    extents = (tall + pad.top + pad.bottom, wide + pad.left + pad.right)
    spans = [(taps - 1) * step + 1 for taps, step in zip(kernel, dilation, strict=True)]
    assume(spans[0] <= extents[0] and spans[1] <= extents[1])
    grid = tuple((e - s) // t + 1 for e, s, t in zip(extents, spans, stride, strict=True))
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (height, width, channels))
    weights = rng.integers(-128, 128, (kernel[0] * kernel[1], channels, 2))
    view = View(tall, wide, (Piece(0, channels, border.top, border.left),), ELEMENT)
    operand = Operand(
        view, grid_taps(kernel, dilation, pad), weights, 1, stride, kernel=kernel, dilation=dilation
    )

    packed, packing = pack_operand(operand, grid, (height, width), rows_only=rows_only)
    gathered = packing.gather(image[None], ELEMENT.zero_point)[0]

    stored = (packed.view.height, packed.view.width, packed.view.channels)
    assert packing.image == (height, width, channels)
    assert gathered.shape == stored == packing.packed_shape
    expected = evaluate(operand, image, grid)
    np.testing.assert_array_equal(evaluate(packed, gathered, grid), expected)
