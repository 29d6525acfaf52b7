"""Tables of functions of one activation, equal to TensorFlow Lite Micro's int8 kernels.

Every table holds the result for the inputs -128..127 in that order, as :class:`mapping.ops.Lut`
wants them. The kernels work in fixed point, so a table is made by the same steps, not by rounding
the real function.
"""

from typing import Final

import numpy as np

from mapping.fixed_point import IntArray, divide_rounding, logistic, tanh
from mapping.host_ends import Affine
from mapping.importers.errors import RefusedError
from mapping.ops.pointwise import SHIFT_MAX
from mapping.quantize import quantize_scale
from systolic.spec.arithmetic import requantize_tflite

Q_MIN: Final = -128
Q_MAX: Final = 127
INPUTS: Final = np.arange(Q_MIN, Q_MAX + 1, dtype=np.int64)
INPUT_INTEGER_BITS: Final = 4
INT16_MAX: Final = (1 << 15) - 1


def sigmoid_table(source: Affine) -> IntArray:
    """LOGISTIC; the result has scale 1/256 and zero point -128."""
    position, saturated = _curve_inputs(source)
    curve = divide_rounding(logistic(position), 23) + Q_MIN
    return np.where(saturated == 0, np.clip(curve, Q_MIN, Q_MAX), saturated)


def tanh_table(source: Affine) -> IntArray:
    """TANH; the result has scale 1/128 and zero point 0."""
    position, saturated = _curve_inputs(source)
    curve = divide_rounding(tanh(position), 24)
    return np.where(saturated == 0, np.clip(curve, Q_MIN, Q_MAX), saturated)


def _curve_inputs(source: Affine) -> tuple[IntArray, IntArray]:
    """Inputs in Q4.27, and the results -128 or 127 of those beyond its range (else 0)."""
    scale = source.scale * (1 << (31 - INPUT_INTEGER_BITS))
    multiplier, shift = _scale(scale)
    if shift < 0:
        raise RefusedError(f"an input scale of {source.scale:g} is too small for this function")
    radius = ((1 << INPUT_INTEGER_BITS) - 1) * (1 << (31 - INPUT_INTEGER_BITS)) >> shift
    centred = INPUTS - source.zero_point
    saturated = np.where(centred <= -radius, Q_MIN, np.where(centred >= radius, Q_MAX, 0))
    within = np.where(saturated == 0, centred, 0)
    return requantize_tflite(within, multiplier, shift), saturated


def relu_table(source: Affine, result: Affine) -> IntArray:
    """RELU with any two scales."""
    return np.maximum(requantize_table(source, result), result.zero_point)


def requantize_table(
    source: Affine, result: Affine, *, source_min: int = Q_MIN, result_min: int = Q_MIN
) -> IntArray:
    """QUANTIZE from one 8-bit type to another; minima are -128 (signed) or 0 (unsigned)."""
    multiplier, shift = _scale(source.scale / result.scale)
    centred = INPUTS - Q_MIN + source_min - source.zero_point
    if shift > 0 and np.abs(centred).max() << shift > (1 << 31) - 1:
        raise RefusedError(f"its input's scale is {source.scale / result.scale:g} times its own")
    moved = requantize_tflite(centred, multiplier, shift) + result.zero_point
    return np.clip(moved, result_min, result_min + Q_MAX - Q_MIN)


def hard_swish_table(source: Affine, result: Affine) -> IntArray:
    """HARD_SWISH, ``x * relu6(x + 3) / 6``, in the kernel's 16-bit arithmetic."""
    fine_scale = np.float32(1 / 128) * np.float32(source.scale)
    factor, exponent = _scale16(float(fine_scale / np.float32(result.scale)))
    if not -14 <= exponent <= 0:
        raise RefusedError(
            f"the ratio of input and output scale, {source.scale / result.scale:g}, is out of range"
        )
    relu_factor, relu_exponent = _scale16(float(fine_scale / np.float32(3 / 32768)))
    if not -14 <= relu_exponent <= 15:
        raise RefusedError(f"an input scale of {source.scale:g} is out of range")
    fine = (INPUTS - source.zero_point) * 128
    product = _multiply_high16(fine, factor)
    gate = _shift16(fine, relu_exponent - 1) if relu_exponent > 0 else fine
    gate = _multiply_high16(gate, relu_factor)
    if relu_exponent > 0:
        gate = _shift16(gate, 1)
    elif relu_exponent < 0:
        gate = divide_rounding(gate, -relu_exponent)
    gate = (gate + (1 << 15)) >> 1
    both = gate * product
    scaled = np.sign(both) * (np.abs(both) >> 15)
    moved = divide_rounding(scaled, -exponent) + result.zero_point
    return np.clip(moved, Q_MIN, Q_MAX)


def _scale(real: float) -> tuple[int, int]:
    try:
        multiplier, shift = quantize_scale(real)
    except ValueError:
        raise RefusedError(f"a scale of {real:g} is out of range") from None
    if shift > SHIFT_MAX:
        raise RefusedError(f"a scale of {real:g} is out of range")
    return multiplier, shift


def _scale16(real: float) -> tuple[int, int]:
    """Multiplier of 16 bits and exponent."""
    multiplier, exponent = _scale(real)
    return min((multiplier + (1 << 15)) >> 16, INT16_MAX), exponent


def _shift16(values: IntArray, exponent: int) -> IntArray:
    return np.clip(values << exponent, -INT16_MAX - 1, INT16_MAX)


def _multiply_high16(values: IntArray, factor: int) -> IntArray:
    """``round(values * factor / 2**15)``, halves up."""
    product = values * factor
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.sign(nudged) * (np.abs(nudged) >> 15)
