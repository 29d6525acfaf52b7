"""Thresholds counted by the multiplier: the same codes for every sum, or none at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.threshold_fit import FittedSteps, Steps, fit_steps
from systolic.spec.arithmetic import output_code, requantize_hardware
from systolic.spec.rounding import Rounding

ACC_BITS = 24


def steps_of(thresholds: object, low: int, high: int, *, falls: object = False) -> Steps:
    """Steps of channels that all have the same range."""
    rows = np.atleast_2d(np.asarray(thresholds, np.int64))
    ends = (np.full(len(rows), end) for end in (low, high))
    return Steps(rows, np.broadcast_to(np.asarray(falls, np.bool_), len(rows)), *ends)


def assert_same(steps: Steps, fitted: FittedSteps) -> None:
    """Compare with counting, sum by sum."""
    for channel in range(len(steps.low)):
        acc = np.arange(steps.low[channel], steps.high[channel] + 1)
        bias, multiplier = fitted.bias[channel], fitted.multiplier[channel]
        result = requantize_hardware(acc, bias, multiplier, 0, Rounding.TFLITE)
        if fitted.table is None:
            codes = output_code(result, fitted.zero, 0, steps.count)
        else:
            codes = fitted.table[output_code(result, fitted.zero, 0, 255)]
        count = (acc[:, None] >= steps.thresholds[channel]).sum(axis=1)
        falls = steps.is_descending[channel]
        np.testing.assert_array_equal(codes, steps.count - count if falls else count)


@given(
    st.integers(1, 4), st.floats(0.6, 90), st.integers(-900, 900), st.integers(0, 900),
    st.integers(1, 900), st.integers(0, 2**16),
)  # fmt: skip
def test_even_steps_of_rising_channels_are_always_found(
    bits: int, gap: float, offset: int, below: int, above: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    gaps = gap * rng.uniform(1, 2, (5, 1))
    cuts = np.ceil(offset + rng.uniform(0, 50, (5, 1)) + gaps * np.arange((1 << bits) - 1))
    steps = steps_of(cuts.astype(np.int64), -below, above)
    fitted = fit_steps(steps, acc_bits=ACC_BITS, with_table=False)
    assert fitted is not None
    assert fitted.table is None
    assert_same(steps, fitted)


@given(st.integers(-2000, 2000), st.lists(st.tuples(st.integers(-2100, 2100), st.booleans())))
def test_any_single_threshold_is_found_whatever_its_direction(
    middle: int, channels: list[tuple[int, bool]]
) -> None:
    thresholds = [[cut] for cut, _ in channels] or [[0]]
    falls = [falls for _, falls in channels] or [False]
    steps = steps_of(thresholds, middle - 300, middle + 300, falls=falls)
    fitted = fit_steps(steps, acc_bits=ACC_BITS, with_table=True)
    assert fitted is not None
    assert_same(steps, fitted)


@given(st.integers(2, 4), st.data())
def test_whatever_is_found_counts_right(bits: int, data: st.DataObject) -> None:
    count = (1 << bits) - 1
    cut = st.integers(-220, 220)
    row = st.lists(cut, min_size=count, max_size=count)
    rows = data.draw(st.lists(row, min_size=1, max_size=3))
    falls = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    steps = steps_of(np.sort(rows, axis=1), -200, 200, falls=falls)
    fitted = fit_steps(steps, acc_bits=ACC_BITS, with_table=True)
    if fitted is not None:
        assert_same(steps, fitted)


def test_falling_channels_share_a_table_with_rising_ones() -> None:
    steps = steps_of([[-10, 0, 10], [-7, 1, 8]], -90, 90, falls=[False, True])
    assert fit_steps(steps, acc_bits=ACC_BITS, with_table=False) is None
    fitted = fit_steps(steps, acc_bits=ACC_BITS, with_table=True)
    assert fitted is not None
    assert_same(steps, fitted)


@pytest.mark.parametrize("cuts", [[0, 1, 60], [0, 0, 40], [-50, 40, 41]])
def test_uneven_steps_are_not_found(cuts: list[int]) -> None:
    steps = steps_of(cuts, -100, 100)
    assert fit_steps(steps, acc_bits=ACC_BITS, with_table=True) is None


def test_steps_that_no_sum_reaches_may_be_anywhere() -> None:
    steps = steps_of([[0, 20, 900], [0, 20, 1 << 31], [-(1 << 31), 8, 13]], -100, 30)
    # The last channel always reaches its first step, but not 5 sums below the second.
    assert fit_steps(steps, acc_bits=ACC_BITS, with_table=True) is None
    steps = steps_of(steps.thresholds[:2], -100, 30)
    fitted = fit_steps(steps, acc_bits=ACC_BITS, with_table=False)
    assert fitted is not None
    assert_same(steps, fitted)


def test_sums_with_their_bias_stay_within_the_accumulator() -> None:
    steps = steps_of([[20_000, 20_600, 21_200]], -32_000, 32_000)
    assert fit_steps(steps, acc_bits=17, with_table=False) is not None
    assert fit_steps(steps, acc_bits=16, with_table=False) is None


def test_no_thresholds_are_the_code_zero() -> None:
    steps = steps_of(np.empty((2, 0), np.int64), -5, 5)
    fitted = fit_steps(steps, acc_bits=ACC_BITS, with_table=False)
    assert fitted is not None
    assert_same(steps, fitted)


def test_a_wrong_multiplier_is_noticed() -> None:
    steps = steps_of([[-20, 0, 20]], -100, 100)
    fitted = fit_steps(steps, acc_bits=ACC_BITS, with_table=False)
    assert fitted is not None
    wrong = FittedSteps(fitted.bias, fitted.multiplier * 3 // 2, fitted.zero, None)
    with pytest.raises(AssertionError):
        assert_same(steps, wrong)
