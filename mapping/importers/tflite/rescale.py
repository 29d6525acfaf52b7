"""Sums that TensorFlow Lite rounds in its own way, as a weighted sum and one requantization.

ADD rescales both inputs before it adds them, MEAN divides with a shortened multiplier. Both are
functions of few integers only (65,536 pairs; the sums that a window can have), so parameters of the
array's own form are searched for, and taken only if *every* result is the same. That is the proof.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.fixed_point import IntArray, divide_rounding, multiply_high
from mapping.host_ends import Affine
from mapping.importers.tflite.errors import RefusedError
from mapping.quantize import quantize_scale
from systolic.spec.arithmetic import requantize_hardware, requantize_tflite
from systolic.spec.rounding import FRACTION_BITS, MULTIPLIER_BITS, ROUND_BITS, Rounding

Q_MIN: Final = -128
Q_MAX: Final = 127
ADD_LEFT_SHIFT: Final = 20
MAX_ADD_WEIGHT: Final = 32_639
"""Of 16 bits, the largest that two parts of 8 bits hold."""

MAX_SUMS: Final = 1 << 22
BEST_RATIOS: Final = 512
HARDEST: Final = 1024
MAX_FACTOR: Final = float((1 << MULTIPLIER_BITS) - 1) / (1 << FRACTION_BITS)


class FixedScale(NamedTuple):
    """Parameters of :class:`mapping.ops.RequantizeFixed`."""

    multiplier: int
    round_constant: int


@dataclass(frozen=True)
class WeightedAdd:
    """ADD as a weighted sum that is requantized."""

    weights: tuple[int, int]
    scale: FixedScale


@dataclass(frozen=True)
class _Rounding:
    """How centred results come about: two roundings and a clamp.

    Parameters
    ----------
    constant : int
        The requantizer's constant: 0, or the first rounding is to ``constant * 2**-16``.
    low, high : int
        Clamp.
    """

    constant: int
    low: int
    high: int

    @classmethod
    def candidates(cls, shift: int, low: int, high: int) -> tuple["_Rounding", ...]:
        """Roundings that may equal TensorFlow Lite's, whose first one is to ``2**shift``."""
        nominal = 1 << (ROUND_BITS + shift) if -ROUND_BITS <= shift < 0 else 0
        return tuple(cls(constant, low, high) for constant in dict.fromkeys((nominal, 0, 1)))

    def factors(self, sums: IntArray, wanted: IntArray) -> tuple[float, float] | None:
        """Smallest and largest factor that may give ``wanted``, or None; ties are not looked at."""
        # wanted - 1/2 <= factor * sum <= wanted + 1/2, and at a clamp only one of the two
        first = self.constant * 2.0 ** -(ROUND_BITS + 1)
        moving = sums != 0
        magnitude, is_positive = np.abs(sums[moving]), sums[moving] > 0
        ceiling = np.where(wanted < self.high, wanted + 0.5, np.inf)[moving]
        floor = np.where(wanted > self.low, wanted - 0.5, -np.inf)[moving]
        most = (np.where(is_positive, ceiling, -floor) - first) / magnitude
        least = (np.where(is_positive, floor, -ceiling) - first) / magnitude
        largest = min(float(most.min(initial=np.inf)), MAX_FACTOR)
        smallest = max(float(least.max(initial=-np.inf)), 0.0)
        return (smallest, largest) if smallest <= largest else None

    def best(self, sums: IntArray, wanted: IntArray) -> tuple[FixedScale, IntArray]:
        """Likeliest scale, and the indices of the sums of which it gives something else."""
        factors = self.factors(sums, wanted)
        if factors is None:
            return FixedScale(0, 0), np.arange(len(sums))
        scale = FixedScale(int(sum(factors) / 2 * (1 << FRACTION_BITS)), self.constant)
        rounded = requantize_hardware(sums, 0, *scale, Rounding.TFLITE)
        return scale, np.flatnonzero(np.clip(rounded, self.low, self.high) != wanted)


@lru_cache(maxsize=256)
def exact_add(left: Affine, right: Affine, result: Affine, low: int, high: int) -> WeightedAdd:
    """Weights and rescaling with which ADD is exact for every pair of inputs.

    Parameters
    ----------
    left, right, result : Affine
        Of the two inputs and the output.
    low, high : int
        Bounds of the output: the type's, or those of a fused activation.

    Raises
    ------
    RefusedError
        If a scale is out of TensorFlow Lite's range, or no parameters are exact.
    """
    twice = 2 * max(left.scale, right.scale)
    factors = [_multiplier(side.scale / twice) for side in (left, right)]
    last = _multiplier(twice / ((1 << ADD_LEFT_SHIFT) * result.scale))
    values = np.arange(Q_MIN, Q_MAX + 1, dtype=np.int64)
    centred = [values - side.zero_point for side in (left, right)]
    terms = [
        requantize_tflite(value << ADD_LEFT_SHIFT, *factor)
        for value, factor in zip(centred, factors, strict=True)
    ]
    total = (terms[0][:, np.newaxis] + terms[1]).ravel()
    roundings = _Rounding.candidates(last[1], low - result.zero_point, high - result.zero_point)
    wanted = np.clip(requantize_tflite(total, *last), roundings[0].low, roundings[0].high)
    pairs = np.stack(np.broadcast_arrays(centred[0][:, np.newaxis], centred[1])).reshape(2, -1)
    hardest = _nearest_to_ties(total.astype(np.float64) * (last[0] * 2.0 ** (last[1] - 31)))
    ratios = _weight_pairs(left.scale / twice, right.scale / twice)
    for weights, rounding in ((pair, each) for pair in ratios for each in roundings):
        if rounding.factors(weights @ pairs[:, hardest], wanted[hardest]) is None:
            continue
        scale, wrong = rounding.best(weights @ pairs, wanted)
        if not wrong.size:
            return WeightedAdd((int(weights[0]), int(weights[1])), scale)
        hardest = np.union1d(hardest, wrong[:HARDEST])
    raise RefusedError(
        "no 16-bit weights round as TensorFlow Lite for all inputs; use slightly different scales"
    )


def _multiplier(real: float) -> tuple[int, int]:
    if not 2.0**-31 <= real < 1:
        raise RefusedError(f"a scale ratio of {real:g} is out of TensorFlow Lite's range")
    return quantize_scale(real)


def _nearest_to_ties(values: NDArray[np.float64]) -> IntArray:
    """Indices of those values that a small error is most likely to round differently."""
    distance = np.abs(values - np.floor(values) - 0.5)
    return np.argpartition(distance, HARDEST)[:HARDEST]


def _weight_pairs(left: float, right: float) -> Iterator[IntArray]:
    """Small integers in nearly the ratio of two scales: ever better ones, then the best."""
    ratio = min(left, right) / max(left, right)
    larger = np.arange(1, MAX_ADD_WEIGHT + 1, dtype=np.int64)
    smaller = np.rint(larger * ratio).astype(np.int64)
    errors = np.abs(smaller / larger - ratio)
    is_record = errors < np.concatenate([[np.inf], np.minimum.accumulate(errors)[:-1]])
    best = np.argsort(errors, kind="stable")[:BEST_RATIOS]
    for index in dict.fromkeys([*np.flatnonzero(is_record).tolist(), *best.tolist()]):
        pair = np.array([larger[index], smaller[index]])
        yield pair if left >= right else pair[::-1]


def exact_mean(count: int, source: Affine, result: Affine) -> FixedScale:
    """Scale for the sum of ``count`` centred values with which MEAN is exact for every sum.

    Raises
    ------
    RefusedError
        If there is none, or there are too many sums to try them all.
    """
    sums, wanted, shift = _mean_results(count, source, result)
    bounds = Q_MIN - result.zero_point, Q_MAX - result.zero_point
    for rounding in _Rounding.candidates(shift, *bounds):
        scale, wrong = rounding.best(sums, np.clip(wanted, rounding.low, rounding.high))
        if not wrong.size:
            return scale
    raise RefusedError(
        "no multiplier rounds as TensorFlow Lite for all inputs; use a slightly different scale"
    )


def _mean_results(count: int, source: Affine, result: Affine) -> tuple[IntArray, IntArray, int]:
    """Every sum that ``count`` centred values can have, its centred mean, and the shift of that."""
    if count * (Q_MAX - Q_MIN) > MAX_SUMS:
        raise RefusedError(f"a mean must be of at most {MAX_SUMS // 255:,} values, not {count:,}")
    try:
        multiplier, shift = quantize_scale(source.scale / result.scale)
    except ValueError as error:
        raise RefusedError(str(error)) from None
    spread = min(count.bit_length() - 1, 32, 31 + shift)
    if spread < 0 or shift > ADD_LEFT_SHIFT:
        raise RefusedError(f"its scale ratio of {source.scale / result.scale:g} is out of range")
    shortened, shift = (multiplier << spread) // count, shift - spread
    sums = np.arange(
        count * (Q_MIN - source.zero_point), count * (Q_MAX - source.zero_point) + 1, dtype=np.int64
    )
    return sums, _multiply(sums, shortened, shift), shift


def _multiply(values: IntArray, multiplier: int, shift: int) -> IntArray:
    """As :func:`requantize_tflite`, of multipliers that are not normalised."""
    shifted = values << max(shift, 0)
    return divide_rounding(multiply_high(shifted, multiplier), max(-shift, 0))
