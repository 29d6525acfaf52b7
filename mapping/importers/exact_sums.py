"""Weighted sums of few integers that another tool rounds in its own way, in the array's form.

What a tool computes of two activations is a function of 65,536 pairs. Weights and a requantization
that give the same for *every* pair are searched for, or none are taken: that is the proof.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.fixed_point import IntArray
from systolic.spec.arithmetic import requantize_hardware
from systolic.spec.rounding import FRACTION_BITS, MULTIPLIER_BITS, ROUND_BITS, Rounding

MAX_ADD_WEIGHT: Final = 32_639
"""Of 16 bits, the largest that two parts of 8 bits hold."""

BEST_RATIOS: Final = 512
HARDEST: Final = 1024
MAX_FACTOR: Final = float((1 << MULTIPLIER_BITS) - 1) / (1 << FRACTION_BITS)


class FixedScale(NamedTuple):
    """Parameters of :class:`mapping.ops.RequantizeFixed`."""

    multiplier: int
    round_constant: int


@dataclass(frozen=True)
class WeightedAdd:
    """An addition as a weighted sum that is requantized."""

    weights: tuple[int, int]
    scale: FixedScale


@dataclass(frozen=True)
class FixedRounding:
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
    def candidates(cls, shift: int, low: int, high: int) -> tuple["FixedRounding", ...]:
        """Roundings that may equal a tool's, whose first one is to ``2**shift`` if it has two."""
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
        return scale, self._wrong(sums, scale, wanted)

    def wrong(self, add: WeightedAdd, pairs: IntArray, wanted: IntArray) -> IntArray:
        """Indices of the pairs of which an addition gives something else."""
        return self._wrong(np.array(add.weights) @ pairs, add.scale, wanted)

    def _wrong(self, sums: IntArray, scale: FixedScale, wanted: IntArray) -> IntArray:
        rounded = requantize_hardware(sums, 0, *scale, Rounding.TFLITE)
        return np.flatnonzero(np.clip(rounded, self.low, self.high) != wanted)


def search_weights(
    pairs: IntArray,
    wanted: IntArray,
    exact: NDArray[np.float64],
    ratios: Iterable[IntArray],
    roundings: tuple[FixedRounding, ...],
) -> WeightedAdd | None:
    """Weights and a scale that give ``wanted`` for every pair, or None.

    Parameters
    ----------
    pairs : ndarray of int64, shape (2, n)
        Operands less their zero points.
    wanted : ndarray of int64, shape (n,)
        Results less their zero point, within the clamp.
    exact : ndarray of float64, shape (n,)
        Results before they are rounded, to find those that are hard to get right.
    ratios : iterable of ndarray of int64, shape (2,)
        Weights to try.
    roundings : tuple of FixedRounding
        Roundings to try, all with one clamp.
    """
    hardest = _nearest_to_ties(exact)
    for weights, rounding in ((pair, each) for pair in ratios for each in roundings):
        if rounding.factors(weights @ pairs[:, hardest], wanted[hardest]) is None:
            continue
        scale, wrong = rounding.best(weights @ pairs, wanted)
        if not wrong.size:
            return WeightedAdd((int(weights[0]), int(weights[1])), scale)
        hardest = np.union1d(hardest, wrong[:HARDEST])
    return None


def nearest_weights(left: float, right: float, result: float) -> WeightedAdd:
    """Weights in the nearest ratio to that of two scales, and the scale that goes with them."""
    unit = np.array([right, -left]) / max(left, right)
    weights = min(weight_pairs(left, right), key=lambda pair: abs(pair @ unit) / pair.max())
    factor = max(left, right) / (int(weights.max()) * result)
    multiplier = min(round(factor * (1 << FRACTION_BITS)), (1 << MULTIPLIER_BITS) - 1)
    return WeightedAdd((int(weights[0]), int(weights[1])), FixedScale(multiplier, 0))


def _nearest_to_ties(values: NDArray[np.float64]) -> IntArray:
    """Indices of those values that a small error is most likely to round differently."""
    distance = np.abs(values - np.floor(values) - 0.5)
    count = min(HARDEST, len(values) - 1)
    return np.argpartition(distance, count)[:count]


def weight_pairs(left: float, right: float) -> Iterator[IntArray]:
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
