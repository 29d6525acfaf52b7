"""Sums that TensorFlow Lite rounds in its own way, as a weighted sum and one requantization.

ADD rescales both inputs before it adds them, MEAN divides with a shortened multiplier. Both are
functions of few integers only (65,536 pairs; the sums that a window can have), so parameters of the
array's own form are searched for, and taken only if *every* result is the same. That is the proof.
"""

from functools import lru_cache
from typing import Final

import numpy as np

from mapping.fixed_point import IntArray, divide_rounding, multiply_high
from mapping.host_ends import Affine
from mapping.importers.errors import RefusedError
from mapping.importers.exact_sums import (
    FixedRounding,
    FixedScale,
    WeightedAdd,
    search_weights,
    weight_pairs,
)
from mapping.quantize import quantize_scale
from systolic.spec.arithmetic import requantize_tflite

Q_MIN: Final = -128
Q_MAX: Final = 127
ADD_LEFT_SHIFT: Final = 20
MAX_SUMS: Final = 1 << 22


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
    roundings = FixedRounding.candidates(last[1], low - result.zero_point, high - result.zero_point)
    wanted = np.clip(requantize_tflite(total, *last), roundings[0].low, roundings[0].high)
    pairs = np.stack(np.broadcast_arrays(centred[0][:, np.newaxis], centred[1])).reshape(2, -1)
    exact = total.astype(np.float64) * (last[0] * 2.0 ** (last[1] - 31))
    ratios = weight_pairs(left.scale / twice, right.scale / twice)
    found = search_weights(pairs, wanted, exact, ratios, roundings)
    if found is not None:
        return found
    raise RefusedError(
        "no 16-bit weights round as TensorFlow Lite for all inputs; use slightly different scales"
    )


def _multiplier(real: float) -> tuple[int, int]:
    if not 2.0**-31 <= real < 1:
        raise RefusedError(f"a scale ratio of {real:g} is out of TensorFlow Lite's range")
    return quantize_scale(real)


def exact_mean(count: int, source: Affine, result: Affine) -> FixedScale:
    """Scale for the sum of ``count`` centred values with which MEAN is exact for every sum.

    Raises
    ------
    RefusedError
        If there is none, or there are too many sums to try them all.
    """
    sums, wanted, shift = _mean_results(count, source, result)
    bounds = Q_MIN - result.zero_point, Q_MAX - result.zero_point
    for rounding in FixedRounding.candidates(shift, *bounds):
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
