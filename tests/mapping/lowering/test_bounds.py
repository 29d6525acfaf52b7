"""The overflow proof: tight, by brute force on small layers, and its refusals."""

import itertools

import numpy as np
import pytest

from mapping.errors import OverflowProofError
from mapping.lowering.bounds import prove_bounds
from mapping.lowering.operand import Operand, grid_taps
from mapping.lowering.view import Piece, View
from mapping.ops import ActType
from systolic.spec.config import ArrayConfig


def operand(weights: np.ndarray) -> Operand:
    """A matmul with the given weights, shape (in, out)."""
    view = View(1, 1, (Piece(0, len(weights)),), ActType(2, signed=False))
    return Operand(view, grid_taps((1, 1)), weights[None].astype(np.int64))


def test_bounds_are_what_the_codes_can_reach() -> None:
    rng = np.random.default_rng(5)
    weights, bias = rng.integers(-9, 10, (4, 3)), rng.integers(-50, 50, 3)
    bounds = prove_bounds("layer", [operand(weights)], [(1, 3)], bias, 1, ArrayConfig())
    codes = np.array(list(itertools.product(range(1, 4), repeat=4)))
    sums = codes @ weights + bias
    np.testing.assert_array_equal(bounds.low, sums.min(axis=0))
    np.testing.assert_array_equal(bounds.high, sums.max(axis=0))
    np.testing.assert_array_equal(bounds.magnitude, np.abs(sums).max(axis=0))


CONFIG = ArrayConfig(acc_bits=20, digit_bits=4)


@pytest.mark.parametrize(("bias", "fits"), [(524287 - 4 * 3 * 100, True), (524288 - 1200, False)])
def test_the_largest_sum_that_fits_is_accepted_and_no_larger_one(bias: int, fits: bool) -> None:
    biases = np.array([0, bias])
    weights = np.full((4, 2), 100)
    if fits:
        prove_bounds("layer", [operand(weights)], [(0, 3)], biases, 1, CONFIG)
        return
    with pytest.raises(OverflowProofError) as caught:
        prove_bounds("dense", [operand(weights)], [(0, 3)], biases, 1, CONFIG)
    error = caught.value
    assert (error.layer, error.channel, error.bound, error.limit) == ("dense", 1, 524288, 524287)
    assert str(error).startswith(
        "dense: the sum with bias of channel 1 can reach 524288, but 524287"
    )


def test_sums_that_cancel_in_the_end_may_not_overflow_on_the_way() -> None:
    weights = np.array([[127]] * 33 + [[-127]] * 33)
    with pytest.raises(OverflowProofError, match="the accumulator of channel 0 can reach 1068705"):
        prove_bounds("layer", [operand(weights)], [(0, 255)], np.array([0]), 1, CONFIG)


@pytest.mark.parametrize("sign", [1, -1])
def test_each_weight_part_has_its_own_accumulator(sign: int) -> None:
    config = ArrayConfig(acc_bits=20, weight_bits=4)
    weights = np.full((40, 1), 7)
    both_parts = np.full((40, 1), sign * (16 * 6 + 7))
    opposite_bias = np.array([-sign * (1 << 19)])  # with it, the sum would fit again
    prove_bounds("layer", [operand(weights)], [(0, 255)], np.array([0]), 2, config)
    with pytest.raises(OverflowProofError, match="the sum of all weight parts of channel 0"):
        prove_bounds("layer", [operand(both_parts)], [(0, 255)], opposite_bias, 2, config)


def test_a_folded_bias_has_32_bits() -> None:
    with pytest.raises(OverflowProofError, match="the bias with offsets folded in of channel 1"):
        prove_bounds(
            "layer", [operand(np.ones((1, 2)))], [(0, 1)], np.array([0, -(1 << 32)]), 1,
            ArrayConfig(),
        )  # fmt: skip
