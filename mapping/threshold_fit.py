"""Thresholds by the requantizer's multiplier: steps at even distances, exactly where they must be.

A batch norm and a uniform quantizer, folded, give thresholds at even distances, each rounded up to
an integer. The requantizer's result steps at even distances too: with ``a = acc + bias``, it is at
least ``k`` where ``a * M >= (2 * k - 1) * 2**46`` (:func:`~systolic.spec.arithmetic.
requantize_hardware`, no rounding constant). So thresholds ask for inequalities of ``a`` and ``M``
alone, and each channel's bias leaves an interval of multipliers: this is search and proof in one,
in integers, for all sums that can occur.

Steps of other channels may fall where a lookup table follows: its codes rise at its low end and
fall at its high end, and each channel uses the end it needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from systolic.spec.rounding import FRACTION_BITS, MULTIPLIER_BITS

IntArray = NDArray[np.int64]

CODES: Final = 256
"""Codes of the requantizer, and entries of the lookup table."""

MAX_BIASES: Final = 256
"""Biases tried for each channel and zero code."""

_ZEROS: Final = (0, 1, 2, 4, 8, 16, 32, 64, 127, 128, 191, 223, 255)
"""Codes of a result of 0 to try: far from the thresholds' codes, the bias shifts all steps."""

_MULTIPLIER_MAX: Final = (1 << MULTIPLIER_BITS) - 1
_HALF: Final = 1 << (FRACTION_BITS - 1)


@dataclass(frozen=True)
class FittedSteps:
    """Parameters with which the requantizer counts thresholds.

    Parameters
    ----------
    bias : ndarray of int64, shape (channels,)
        To be added to every sum.
    multiplier : ndarray of int64, shape (channels,)
        48 bits, unsigned.
    zero : int
        Code of a result of 0.
    table : ndarray of int64, shape (256,), or None
        Result of each code; None where the codes are the results.
    """

    bias: IntArray
    multiplier: IntArray
    zero: int
    table: IntArray | None


@dataclass(frozen=True)
class Steps:
    """Thresholds of a layer, and the sums that can occur.

    Parameters
    ----------
    thresholds : ndarray of int64, shape (channels, steps)
        Ascending; the result is the number of those that the sum reaches.
    is_descending : ndarray of bool, shape (channels,)
        Whether it is ``steps`` less that number.
    low, high : ndarray of int64, shape (channels,)
        Smallest and largest sum.
    """

    thresholds: IntArray
    is_descending: NDArray[np.bool_]
    low: IntArray
    high: IntArray

    @property
    def count(self) -> int:
        """Number of thresholds of a channel."""
        return self.thresholds.shape[1]


def fit_steps(
    steps: Steps, *, acc_bits: int, with_table: bool, max_zero: int = CODES - 1
) -> FittedSteps | None:
    """Parameters that give the same results for every sum that can occur, if there are any.

    Parameters
    ----------
    steps : Steps
        The thresholds.
    acc_bits : int
        Bits of a sum with its bias.
    with_table : bool
        Whether a lookup table may be used; without one, no channel may descend.
    max_zero : int
        Largest ``zero`` without a table, 0..255.

    Returns
    -------
    FittedSteps or None
        Without a table if that is possible.
    """
    if not steps.count:
        nothing = np.zeros_like(steps.low)
        return FittedSteps(nothing, nothing, 0, None)
    limit = 1 << acc_bits - 1
    attempts = [False, True] if with_table else [False]
    for has_table in attempts:
        if not has_table and steps.is_descending.any():
            continue
        for zero in _ZEROS:
            if not has_table and zero > max_zero:
                break
            fitted = _fit_all(_Conditions.of(steps, zero, has_table=has_table), limit)
            if fitted is not None:
                table = _table(steps.count) if has_table else None
                return FittedSteps(*fitted, zero, table)
    return None


def _table(count: int) -> IntArray:
    """Result of each code: rising at the low end, falling at the high end."""
    codes = np.arange(CODES)
    return np.minimum(np.minimum(codes, count), CODES - 1 - codes)


@dataclass(frozen=True)
class _Conditions:
    """What each channel's steps have to be; all arrays of shape (channels, conditions).

    Sums ``reach`` must give at least ``reach_k`` and sums ``miss`` less than ``miss_k``, where the
    masks hold. ``anchor`` and ``anchor_k`` (channels,) are a sum and a result that step together,
    ``least`` and ``most`` (channels,) bound the sums between two steps.
    """

    reach: IntArray
    reach_k: IntArray
    has_reach: NDArray[np.bool_]
    miss: IntArray
    miss_k: IntArray
    has_miss: NDArray[np.bool_]
    anchor: IntArray
    anchor_k: IntArray
    least: NDArray[np.float64]
    most: NDArray[np.float64]
    low: IntArray
    high: IntArray

    @classmethod
    def of(cls, steps: Steps, zero: int, *, has_table: bool) -> "_Conditions":
        """Conditions for codes that begin at 0 (rising) or end at 255 (falling)."""
        count, index = steps.count, np.arange(steps.count)
        low, high = steps.low[:, None], steps.high[:, None]
        first = np.where(steps.is_descending, CODES - count, 1) - zero
        k = first[:, None] + index
        reach, miss = np.maximum(steps.thresholds, low), np.minimum(steps.thresholds - 1, high)
        has_reach, has_miss = steps.thresholds <= high, steps.thresholds > low
        if has_table:  # the other end of the table is out of reach
            falls = steps.is_descending[:, None]
            reach, miss = np.hstack([reach, low]), np.hstack([miss, high])
            reach_k = np.hstack([k, np.full_like(low, count - zero)])
            miss_k = np.hstack([k, np.full_like(low, CODES - count - zero)])
            has_reach, has_miss = np.hstack([has_reach, falls]), np.hstack([has_miss, ~falls])
        else:
            reach_k = miss_k = k
        return cls(
            reach, reach_k, has_reach, miss, miss_k, has_miss, *_anchors(steps, first),
            steps.low, steps.high,
        )  # fmt: skip


def _anchors(
    steps: Steps, first: IntArray
) -> tuple[IntArray, IntArray, NDArray[np.float64], NDArray[np.float64]]:
    """Anchor, its result, and least and most sums between two steps, each of shape (channels,)."""
    thresholds, low, high = steps.thresholds, steps.low, steps.high
    is_inside = (thresholds > low[:, None]) & (thresholds <= high[:, None])
    always = (thresholds <= low[:, None]).sum(axis=1)
    inside = is_inside.sum(axis=1)
    start, end = always, always + np.maximum(inside, 1) - 1
    channel = np.arange(len(thresholds))
    last = steps.count - 1
    lowest, highest = (
        thresholds[channel, start.clip(max=last)],
        thresholds[channel, end.clip(max=last)],
    )
    gaps = np.maximum(end - start, 1)
    # With one step inside or none, the others are kept outside by their distance.
    far = (high - low + 2).astype(np.float64)
    is_even = inside > 1
    least = np.where(is_even, (highest - lowest - 1) / gaps, far)
    most = np.where(is_even, (highest - lowest + 1) / gaps, far)
    anchor = np.where(inside > 0, lowest, low)
    anchor_k = first + start - (inside == 0)
    return anchor, anchor_k, np.maximum(least, 0.5), np.maximum(most, 0.5)


def _fit_all(conditions: _Conditions, limit: int) -> tuple[IntArray, IntArray] | None:
    """Bias and multiplier of every channel, or None if some channel has none."""
    bias, multiplier = np.zeros_like(conditions.low), np.full_like(conditions.low, -1)
    for candidate in _biases(conditions):
        low, high = _multipliers(conditions, candidate)
        fits = (conditions.low + candidate >= -limit) & (conditions.high + candidate < limit)
        is_new = fits & (low <= high) & (multiplier < 0)
        bias[is_new], multiplier[is_new] = candidate[is_new], ((low + high) >> 1)[is_new]
        if (multiplier >= 0).all():
            return bias, multiplier
    return None


def _biases(conditions: _Conditions) -> Iterator[IntArray]:
    """Biases that bring the anchor near its step, for all channels at once, each once at least."""
    half = conditions.anchor_k - 0.5
    ends = np.stack([half * conditions.least, half * conditions.most])
    first = np.floor(ends.min(axis=0)).astype(np.int64) - conditions.anchor
    last = np.ceil(ends.max(axis=0)).astype(np.int64) - conditions.anchor
    for step in range(min(int((last - first).max()) + 1, MAX_BIASES)):
        yield np.minimum(first + step, last)


def _multipliers(conditions: _Conditions, bias: IntArray) -> tuple[IntArray, IntArray]:
    """Smallest and largest multiplier of each channel under a bias; an empty range if none."""
    low, high = np.zeros_like(bias), np.full_like(bias, _MULTIPLIER_MAX)
    for is_miss, sums, k, mask in (
        (0, conditions.reach, conditions.reach_k, conditions.has_reach),
        (1, conditions.miss, conditions.miss_k, conditions.has_miss),
    ):
        a, wanted = sums + bias[:, None], (2 * k - 1) * _HALF
        # a * M >= wanted, or a * M < wanted: a bound from below or from above by the sign of a.
        quotient = wanted // np.where(a == 0, 1, a)
        least = -(-wanted // np.where(a == 0, 1, a))
        from_below, from_above = (a < 0, a > 0) if is_miss else (a > 0, a < 0)
        lower = np.where(from_below, quotient + 1 if is_miss else least, 0)
        upper = np.where(from_above, least - 1 if is_miss else quotient, _MULTIPLIER_MAX)
        impossible = (a == 0) & (wanted <= 0 if is_miss else wanted > 0)
        upper = np.where(impossible, -1, upper)
        low = np.maximum(low, np.where(mask, lower, 0).max(axis=1))
        high = np.minimum(high, np.where(mask, upper, _MULTIPLIER_MAX).min(axis=1))
    return low, high
