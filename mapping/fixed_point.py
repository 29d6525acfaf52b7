"""Fixed-point functions as gemmlowp defines them, on int64 arrays that hold 32-bit values.

TensorFlow Lite's integer kernels for sigmoid, tanh and softmax are built of these. A number in
``Qm.n`` (``m + n = 31``) is ``raw / 2**n``; every function below says which format it takes. The
constants and steps are gemmlowp's (``fixedpoint/fixedpoint.h``), since results have to be equal bit
for bit, not only close.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

ONE: Final = (1 << 31) - 1
"""1 in Q0.31, or the nearest there is."""

_LOW: Final = -(1 << 31)
_EXP_MINUS_EIGHTH: Final = 1895147668  # exp(-1/8) in Q0.31
_THIRD: Final = 715827883  # 1/3 in Q0.31
_EXP_POWERS: Final = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
"""``(k, exp(-2**k) in Q0.31)``."""

_NEWTON_START: Final = 1515870810  # 48/17 in Q2.29
_NEWTON_SLOPE: Final = -1010580540  # -32/17 in Q2.29
_ONE_Q2: Final = 1 << 29


def multiply_high(left: IntArray, right: IntArray | int) -> IntArray:
    """``round(left * right / 2**31)``, halves up; -2**31 times itself saturates."""
    product = left * np.asarray(right, np.int64)
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    return np.minimum(_truncated_half(product + nudge, 31), ONE)


def divide_rounding(values: IntArray, exponent: int | IntArray) -> IntArray:
    """``values / 2**exponent``, halves away from zero; exponent 0..31."""
    mask = (np.int64(1) << np.asarray(exponent, np.int64)) - 1
    threshold = (mask >> 1) + (values < 0)
    return (values >> exponent) + ((values & mask) > threshold)


def shift_saturating(values: IntArray, exponent: int) -> IntArray:
    """``values * 2**exponent``, held to 32 bits."""
    return np.clip(values << exponent, _LOW, ONE)


def exp_of_negative(values: IntArray, integer_bits: int) -> IntArray:
    """``exp(values)`` in Q0.31, of values that are not positive.

    Parameters
    ----------
    values : ndarray of int64
        ``Qm.n`` with ``m = integer_bits``, -2**31..0.
    integer_bits : int
        4 or 5.
    """
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    within = (values & (quarter - 1)) - quarter
    result = _exp_near_zero(shift_saturating(within, integer_bits))
    rest = within - values
    for power, factor in _EXP_POWERS:
        if integer_bits > power:
            has_power = (rest & (1 << (fraction_bits + power))) != 0
            result = np.where(has_power, multiply_high(result, factor), result)
    return np.where(values == 0, ONE, result)


def _exp_near_zero(values: IntArray) -> IntArray:
    """``exp`` in Q0.31 of Q0.31 values in -1/4..0: a polynomial around -1/8."""
    x = values + (1 << 28)
    x2 = multiply_high(x, x)
    x3 = multiply_high(x2, x)
    x4 = multiply_high(x2, x2)
    cubic = multiply_high(divide_rounding(x4, 2) + x3, _THIRD)
    series = x + divide_rounding(cubic + x2, 1)
    return _EXP_MINUS_EIGHTH + multiply_high(series, _EXP_MINUS_EIGHTH)


def _half_reciprocal(values: IntArray) -> IntArray:
    """``2 / (1 + values)`` in Q2.29, of Q0.31 values in 0..1: Newton's method, three steps."""
    total = values + ONE
    half_denominator = _truncated_half(total + np.where(total >= 0, 1, -1), 1)
    x = _NEWTON_START + multiply_high(half_denominator, _NEWTON_SLOPE)
    for _ in range(3):
        error = _ONE_Q2 - multiply_high(half_denominator, x)
        x = x + shift_saturating(multiply_high(x, error), 2)
    return x


def reciprocal_of_one_plus(values: IntArray) -> IntArray:
    """``1 / (1 + values)`` in Q0.31, of Q0.31 values in 0..1."""
    return shift_saturating(_half_reciprocal(values), 1)


def logistic(values: IntArray) -> IntArray:
    """``1 / (1 + exp(-values))`` in Q0.31, of Q4.27 values."""
    positive = reciprocal_of_one_plus(exp_of_negative(-np.abs(values), 4))
    result = np.where(values > 0, positive, ONE - positive)
    return np.where(values == 0, 1 << 30, result)


def tanh(values: IntArray) -> IntArray:
    """``tanh(values)`` in Q0.31, of Q4.27 values."""
    # exp(-2|x|): the same bits, read as Q5.26, are twice the value.
    power = exp_of_negative(-np.abs(values), 5)
    magnitude = shift_saturating(_half_reciprocal(power) - _ONE_Q2, 2)
    return np.sign(values) * magnitude


def _truncated_half(values: IntArray, exponent: int) -> IntArray:
    """``values / 2**exponent`` towards zero."""
    return np.sign(values) * (np.abs(values) >> exponent)
