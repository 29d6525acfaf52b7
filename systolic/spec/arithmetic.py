"""Exact integer meaning of the datapath: matmul by digits, requantization, output codes.

Two reference functions say what other people's kernels compute (:func:`requantize_tflite`,
:func:`requantize_onnx`); :func:`requantize_hardware` says what the gateware computes, in one
fixed-point form for both. ``mapping.quantize`` finds multipliers for which the two agree.

Everything is vectorised over accumulators and exact in int64: a product of 33 and 48 bits is
carried in two limbs.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolic.spec.rounding import (
    FRACTION_BITS,
    MULTIPLIER_BITS,
    ROUND_BITS,
    ROUND_POSITION,
    SATURATION,
    TIE_BITS,
    Rounding,
)
from systolic.spec.thresholds import BIAS_BITS

__all__ = [
    "matmul_by_digits",
    "output_code",
    "requantize_hardware",
    "requantize_onnx",
    "requantize_tflite",
    "search_thresholds",
]

IntArray = NDArray[np.int64]

_INT32 = np.iinfo(np.int32)
_LIMB_BITS = 24  # 33 bits of accumulator times one limb stay below 2**57
_LIMB_MASK = (1 << _LIMB_BITS) - 1


def _as_int64(name: str, values: ArrayLike, low: int, high: int) -> IntArray:
    """Check that integers lie in ``low..high`` and return them as int64."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, not {array.dtype}")
    if array.size and (int(array.min()) < low or int(array.max()) > high):
        worst = int(array.min()) if int(array.min()) < low else int(array.max())
        raise ValueError(f"{name} must be in {low}..{high}, not {worst}")
    return array.astype(np.int64)


def requantize_tflite(acc: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> IntArray:
    """Scale accumulators by ``multiplier * 2**(shift - 31)`` as tflite-micro does.

    This is ``MultiplyByQuantizedMultiplier`` with double rounding: a saturating rounding doubling
    high multiplication, then a rounding division by a power of two, half away from zero.

    Parameters
    ----------
    acc : array of int, any shape
        Accumulators with the bias in them, int32 range.
    multiplier : array of int, broadcast against ``acc``
        0, or a Q31 number in ``2**30..2**31 - 1``.
    shift : array of int, broadcast against ``acc``
        Power of two, -31..30; positive shifts left, as in TFLite.

    Returns
    -------
    ndarray of int64
        Scaled accumulators, before zero point and clamp.

    Raises
    ------
    ValueError
        If an argument is out of range, or ``acc`` shifted left leaves int32, where the kernels'
        own behaviour is undefined.
    """
    acc = _as_int64("acc", acc, _INT32.min, _INT32.max)
    multiplier = _as_int64("multiplier", multiplier, 0, _INT32.max)
    if np.any((multiplier != 0) & (multiplier < 1 << 30)):
        raise ValueError("multiplier must be 0 or at least 2**30: normalise it")
    shift = _as_int64("shift", shift, -31, 30)
    left = np.maximum(shift, 0)
    right = np.maximum(-shift, 0)

    shifted = _as_int64("acc shifted left by shift", acc << left, _INT32.min, _INT32.max)
    product = shifted * multiplier
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    # C division truncates towards zero; >> rounds down
    high = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))

    mask = (np.int64(1) << right) - 1
    threshold = (mask >> 1) + (high < 0)
    return (high >> right) + ((high & mask) > threshold).astype(np.int64)


def requantize_onnx(acc: ArrayLike, scale: ArrayLike) -> IntArray:
    """Scale accumulators by a float32 as ONNX Runtime does, rounding half to even.

    The accumulator is rounded to float32, the product is rounded to float32, and that is rounded
    to an integer.

    Parameters
    ----------
    acc : array of int, any shape
        Accumulators with the bias in them, int32 range.
    scale : array of float32, broadcast against ``acc``
        Finite factors, 0 or positive.

    Returns
    -------
    ndarray of int64
        Scaled accumulators before zero point and clamp, held to the int32 range.

    Raises
    ------
    TypeError
        If ``scale`` is not float32: a double would round elsewhere.
    ValueError
        If an argument is out of range.
    """
    acc = _as_int64("acc", acc, _INT32.min, _INT32.max)
    scale = np.asarray(scale)
    if scale.dtype != np.float32:
        raise TypeError(f"scale must be float32, not {scale.dtype}")
    if not np.all(np.isfinite(scale) & (scale >= 0)):
        raise ValueError("scale must be finite and not negative")
    with np.errstate(over="ignore", under="ignore"):
        product = acc.astype(np.float32) * scale
    # float64 holds the int32 limits exactly, so that clipping happens before the conversion
    return np.clip(np.rint(product).astype(np.float64), _INT32.min, _INT32.max).astype(np.int64)


def requantize_hardware(
    acc: ArrayLike,
    bias: ArrayLike,
    multiplier: ArrayLike,
    round_constant: ArrayLike,
    rounding: Rounding,
) -> IntArray:
    """Scale accumulators by ``multiplier / 2**47`` as the gateware does.

    With ``a = acc + bias`` and ``P = a * multiplier``, all in two's complement::

        tflite:  y = (P + (1 << 46) + (round_constant << 30)) >> 47    if a >= 0
                 y = (P + (1 << 46) - (round_constant << 30)) >> 47    if a < 0

        onnx:    q = P >> 47,  D = (P mod 2**47) - 2**46
                 k = floor(log2(q if a >= 0 else ~q)), -1 for 0
                 y = q + (q & 1)   where -2**(k + 23) <= D < 2**(k + 23): a tie, to even
                 y = q + (D >= 0)  elsewhere

    Why the first is tflite-micro's two roundings: let ``P = a * M31 * 2**g``, with the right shift
    ``16 - g``. The high multiplication adds ``2**30`` before it drops 31 bits, the division half of
    what it drops after that; a floor of a floor is one floor, and the addends become
    ``2**(30 + g)`` and ``2**46``. Both work on the magnitude, less one below zero for the first;
    ``-floor((|P| + C - 1) / 2**47)`` is ``floor((P + 2**47 - C) / 2**47)``.

    Why the second is ONNX Runtime's: a float32 product has 24 bits, so whatever lies within half
    an ulp (``2**(k - 24)``) of a tie becomes the tie. One product may differ, the one exactly half
    an ulp on the far side of a tie, which float32 draws to the tie as well. So may accumulators of
    more than 24 bits. ``mapping.quantize`` proves for every channel that neither happens. The
    window stops growing at ``k = 7``: larger results saturate as codes.

    Parameters
    ----------
    acc : array of int, any shape
        Accumulators, int32 range.
    bias : array of int, broadcast against ``acc``
        Added first; int32 range, as is the sum.
    multiplier : array of int, broadcast against ``acc``
        Unsigned, 48 bits.
    round_constant : array of int, broadcast against ``acc``
        0..2**15, 0 or a power of two: the first of two roundings. Ignored by the onnx form.
    rounding : Rounding
        Which form.

    Returns
    -------
    ndarray of int64
        Scaled accumulators, before zero point and clamp, not saturated.

    Raises
    ------
    ValueError
        If an argument or the sum of ``acc`` and ``bias`` is out of range.
    """
    acc = _as_int64("acc", acc, _INT32.min, _INT32.max)
    bias = _as_int64("bias", bias, _INT32.min, _INT32.max)
    biased = _as_int64("acc + bias", acc + bias, _INT32.min, _INT32.max)
    multiplier = _as_int64("multiplier", multiplier, 0, (1 << MULTIPLIER_BITS) - 1)
    constant = _as_int64("round_constant", round_constant, 0, 1 << (ROUND_BITS - 1))
    if np.any(constant & (constant - 1)):
        raise ValueError("round_constant must be 0 or a power of two")

    # P = high * 2**24 + low
    low = biased * (multiplier & _LIMB_MASK)
    high = biased * (multiplier >> _LIMB_BITS) + (low >> _LIMB_BITS)
    if rounding is Rounding.ONNX:
        return _round_half_to_even(high, low & _LIMB_MASK, biased < 0)
    high += 1 << (FRACTION_BITS - 1 - _LIMB_BITS)
    high += np.where(biased < 0, -constant, constant) << (ROUND_POSITION - _LIMB_BITS)
    return high >> (FRACTION_BITS - _LIMB_BITS)


def _round_half_to_even(high: IntArray, low: IntArray, is_negative: NDArray[np.bool_]) -> IntArray:
    """Round ``high * 2**24 + low`` in units of ``2**47``, what float32 takes for a tie to even."""
    whole_shift = FRACTION_BITS - _LIMB_BITS
    q = high >> whole_shift
    distance = ((high & ((1 << whole_shift) - 1)) << _LIMB_BITS) + low - (1 << (FRACTION_BITS - 1))
    magnitude = np.minimum(np.where(is_negative, ~q, q), SATURATION)
    # frexp's exponent is the bit length here, k + 1
    bit_length = np.frexp(magnitude.astype(np.float64))[1].astype(np.int64)
    window = np.int64(1) << (bit_length + FRACTION_BITS - TIE_BITS)
    is_tie = (distance >= -window) & (distance < window)
    return q + np.where(is_tie, q & 1, distance >= 0)


def search_thresholds(
    acc: ArrayLike, bias: ArrayLike, is_inverted: ArrayLike, acc_bits: int = 32
) -> IntArray:
    """Codes by a search among thresholds, as the gateware makes it.

    From node 1 on, each node decides a bit of the code, the highest first: 1 where
    ``acc + bias >= 0``, the other way round where it is inverted; then node ``2 * n + bit``
    follows (:mod:`systolic.spec.thresholds`). Where node n holds the threshold of code
    ``codes_of_nodes(bits)[n - 1]``, negated, and thresholds ascend, that is the number of
    thresholds which the accumulator reaches.

    Parameters
    ----------
    acc : array of int, shape (..., channels)
        Accumulators, int32 range.
    bias : array of int, shape (channels, 2**bits - 1)
        Of each node, from node 1 on; 31 bits, two's complement.
    is_inverted : array of bool, shape as ``bias``
        Whether a node's bit is inverted.
    acc_bits : int
        Bits that a sum of an accumulator and a bias has to fit, if it is compared.

    Returns
    -------
    ndarray of int64, shape as ``acc``
        Codes, ``0 .. 2**bits - 1``.

    Raises
    ------
    ValueError
        If an argument or a sum is out of range.
    """
    acc = _as_int64("acc", acc, _INT32.min, _INT32.max)
    limit = 1 << BIAS_BITS - 1
    bias = _as_int64("bias", bias, -limit, limit - 1)
    inverted = np.asarray(is_inverted, np.bool_)
    channels, nodes = map(int, bias.shape)
    channel, bits = np.arange(channels), nodes.bit_length()
    limit = 1 << acc_bits - 1
    node = np.ones_like(acc)
    for _ in range(bits):
        compared = _as_int64("acc + bias", acc + bias[channel, node - 1], -limit, limit - 1)
        node = 2 * node + ((compared >= 0) ^ inverted[channel, node - 1])
    return node - (1 << bits)


def output_code(
    result: ArrayLike, zero_code: ArrayLike, clamp_min: ArrayLike, clamp_max: ArrayLike
) -> IntArray:
    """Add the zero point and clamp: ``clamp(zero_code + result, clamp_min, clamp_max)``.

    Codes are unsigned: ``code = q - q_min``, so int8's -128 is 0.

    Parameters
    ----------
    result : array of int, any shape
        From one of the ``requantize`` functions.
    zero_code, clamp_min, clamp_max : array of int, broadcast against ``result``
        Codes, 0..255.

    Returns
    -------
    ndarray of int64
        Codes, ``clamp_min..clamp_max``.

    Raises
    ------
    ValueError
        If a code is out of range or ``clamp_min`` exceeds ``clamp_max``.

    Examples
    --------
    >>> output_code([-300, -1, 0, 300], 128, 0, 255)
    array([  0, 127, 128, 255])
    """
    zero_code = _as_int64("zero_code", zero_code, 0, 255)
    clamp_min = _as_int64("clamp_min", clamp_min, 0, 255)
    clamp_max = _as_int64("clamp_max", clamp_max, 0, 255)
    if np.any(clamp_min > clamp_max):
        raise ValueError("clamp_min must not exceed clamp_max")
    return np.clip(zero_code + np.asarray(result, dtype=np.int64), clamp_min, clamp_max)


def matmul_by_digits(
    act: ArrayLike, weight: ArrayLike, *, act_bits: int, digit_bits: int
) -> IntArray:
    """Multiply matrices the array's way: activation digits enter most significant first.

    Every digit's partial matmul joins a shifted accumulator, ``acc = (acc << digit_bits) +
    partial``; inside a digit, each bit-plane is one lane of the PE.

    Parameters
    ----------
    act : array of int, shape (m, k)
        Unsigned codes of ``act_bits``.
    weight : array of int, shape (k, n)
        Signed weights.
    act_bits : int
        Activation precision, 1..8.
    digit_bits : int
        Activation bits per cycle, 1..8. The last digit is the lowest ``digit_bits`` bits; the
        first one is filled up with zeros.

    Returns
    -------
    ndarray of int64, shape (m, n)
        Equal to ``act @ weight``.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    for name, bits in (("act_bits", act_bits), ("digit_bits", digit_bits)):
        if not 1 <= bits <= 8:
            raise ValueError(f"{name} must be in 1..8, not {bits}")
    act = _as_int64("act", act, 0, (1 << act_bits) - 1)
    weight = _as_int64("weight", weight, -(1 << 31), (1 << 31) - 1)
    acc = np.zeros((act.shape[0], weight.shape[1]), dtype=np.int64)
    digits = -(-act_bits // digit_bits)
    for digit in reversed(range(digits)):
        partial = np.zeros_like(acc)
        for lane in range(digit_bits):
            plane = (act >> (digit * digit_bits + lane)) & 1
            partial += (plane @ weight) << lane
        acc = (acc << digit_bits) + partial
    return acc
