"""From scales to the requantizer's multipliers, with proof that every result is the same.

The gateware knows one fixed-point form (:func:`systolic.spec.arithmetic.requantize_hardware`).
Here TFLite's multiplier and shift and ONNX's float32 scale are brought into it. Where the form
holds the scale exactly and its algebra says so, that is the proof. Elsewhere the two rounding
functions are compared: both are monotone steps between saturation and saturation, so it is enough
to find the accumulators at which the reference steps and to look at both neighbours.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolic.spec.arithmetic import requantize_hardware, requantize_onnx, requantize_tflite
from systolic.spec.rounding import (
    FRACTION_BITS,
    MULTIPLIER_BITS,
    ROUND_BITS,
    SATURATION,
    Rounding,
)

__all__ = [
    "hardware_parameters_average",
    "hardware_parameters_onnx",
    "hardware_parameters_tflite",
    "quantize_scale",
]

IntArray = NDArray[np.int64]
Rounder = Callable[[IntArray], IntArray]

WINDOW_MAX = 1 << 14
"""Largest averaging window, see :func:`hardware_parameters_average`."""

_MULTIPLIER_MAX = (1 << MULTIPLIER_BITS) - 1
_INT32_MAX = (1 << 31) - 1
_TRIMS = (0, -1, 1, -2, 2)


def quantize_scale(real: float) -> tuple[int, int]:
    """Multiplier and shift of a real scale, as TFLite's ``QuantizeMultiplier`` finds them.

    Parameters
    ----------
    real : float
        Scale, 0 or positive and below 2**30.

    Returns
    -------
    multiplier : int
        0 or in ``2**30..2**31 - 1``.
    shift : int
        -31..30; ``real`` is about ``multiplier * 2**(shift - 31)``.

    Raises
    ------
    ValueError
        If the scale is out of range.

    Examples
    --------
    >>> quantize_scale(0.75)
    (1610612736, 0)
    """
    if not 0 <= real < 1 << 30:
        raise ValueError(f"scale must be in 0..2**30, not {real}")
    fraction, shift = np.frexp(np.float64(real))
    # half away from zero; the fraction has 53 bits, so adding a half to it is exact
    multiplier = int(np.floor(fraction * (1 << 31) + 0.5))
    if multiplier == 1 << 31:
        multiplier, shift = 1 << 30, shift + 1
    if multiplier == 0 or shift < -31:
        return 0, 0
    return multiplier, int(shift)


def hardware_parameters_tflite(
    multiplier: ArrayLike, shift: ArrayLike, acc_bound: ArrayLike
) -> tuple[IntArray, IntArray]:
    """Multipliers and rounding constants with which the hardware rounds as tflite-micro.

    Right shifts of -1..16 fit exactly. Smaller scales are shortened, which is proven harmless for
    the accumulators that can occur, or refused.

    Parameters
    ----------
    multiplier : array of int, shape (channels,) or broadcast against it
        0 or in ``2**30..2**31 - 1``.
    shift : array of int, likewise
        -31..30, positive to the left, as in TFLite.
    acc_bound : array of int, likewise
        Largest magnitude of an accumulator with its bias, below 2**31.

    Returns
    -------
    multiplier : ndarray of int64, shape (channels,)
        48 bits, unsigned.
    round_constant : ndarray of int64, shape (channels,)
        0 or a power of two below 2**16.

    Raises
    ------
    ValueError
        If an argument is out of range, or no multiplier rounds as the reference for all
        accumulators up to the bound; the message names the channel.
    """
    multiplier, shift, acc_bound = _per_channel(multiplier, shift, acc_bound)
    for channel in np.flatnonzero(acc_bound << np.clip(shift, 0, 30) > _INT32_MAX):
        raise ValueError(
            f"channel {channel}: an accumulator of {acc_bound[channel]} shifted left by "
            f"{shift[channel]} leaves int32, where TFLite's result is undefined"
        )
    exponent = shift + ROUND_BITS
    fits = (multiplier == 0) | ((exponent >= 0) & (exponent <= MULTIPLIER_BITS - 31))
    constant = np.where((shift < 0) & (exponent >= 0) & (multiplier > 0), 1 << exponent.clip(0), 0)
    scaled = np.where(
        exponent >= 0,
        multiplier << exponent.clip(0, MULTIPLIER_BITS - 31),
        (multiplier + (1 << -exponent.clip(max=0)) // 2) >> -exponent.clip(max=0),
    )
    rest = np.flatnonzero(~fits)
    m, s = (array[rest, np.newaxis, np.newaxis] for array in (multiplier, shift))
    scaled[rest] = _proven_multipliers(
        lambda acc: requantize_tflite(acc, m, s),
        Rounding.TFLITE,
        candidates=scaled[rest],
        acc_bound=acc_bound[rest],
        names=[f"channel {c}: multiplier {multiplier[c]}, shift {shift[c]}" for c in rest],
    )
    return scaled, constant


def hardware_parameters_onnx(scale: ArrayLike, acc_bound: ArrayLike) -> IntArray:
    """Multipliers with which the hardware rounds as ONNX Runtime.

    Parameters
    ----------
    scale : array of float32, shape (channels,) or broadcast against it
        Finite, 0 or positive.
    acc_bound : array of int, likewise
        Largest magnitude of an accumulator with its bias, below 2**31.

    Returns
    -------
    ndarray of int64, shape (channels,)
        48 bits, unsigned.

    Raises
    ------
    TypeError
        If ``scale`` is not float32.
    ValueError
        If an argument is out of range, or no multiplier rounds as the reference for all
        accumulators up to the bound; the message names the channel.
    """
    scale = np.asarray(scale)
    if scale.dtype != np.float32:
        raise TypeError(f"scale must be float32, not {scale.dtype}")
    scale, acc_bound = np.broadcast_arrays(np.atleast_1d(scale), _bounds(acc_bound))
    exact = np.ldexp(scale.astype(np.float64), FRACTION_BITS)
    return _proven_multipliers(
        lambda acc: requantize_onnx(acc, scale[:, np.newaxis, np.newaxis]),
        Rounding.ONNX,
        candidates=np.rint(np.minimum(exact, _MULTIPLIER_MAX)).astype(np.int64),
        acc_bound=acc_bound,
        names=[f"channel {c}: scale {value!s}" for c, value in enumerate(scale)],
    )


def hardware_parameters_average(window: int) -> tuple[int, int]:
    """Multiplier and rounding constant of TFLite's average over ``window`` elements.

    The hardware then computes ``sign(s) * ((|s| + n // 2) // n)`` for every int32 sum ``s``: with
    ``n = window`` and ``M = ceil(2**47 / n)``, its magnitude is ``floor(|s| / n + 1/2 + e)`` for
    positive sums and ``ceil(|s| / n - 1/2 + e)`` for negative ones. The rounding constant gives
    ``2**-17`` of ``e``, the multiplier's excess at most ``|s| * 2**-47``, so that
    ``0 < e < 2**-17 + 2**-16``. Both are the wanted result while ``e < 1 / (2 * n)``, as
    ``|s| / n + 1/2`` is a multiple of that.

    Parameters
    ----------
    window : int
        Elements averaged, 1..16384.

    Returns
    -------
    multiplier, round_constant : int
        For :func:`systolic.spec.arithmetic.requantize_hardware`.

    Raises
    ------
    ValueError
        If the window is out of range.
    """
    if not 1 <= window <= WINDOW_MAX:
        raise ValueError(f"an averaging window must have 1..{WINDOW_MAX} elements, not {window}")
    return -(-(1 << FRACTION_BITS) // window), 1


def _bounds(acc_bound: ArrayLike) -> IntArray:
    bounds = np.atleast_1d(np.asarray(acc_bound, dtype=np.int64))
    if bounds.size and not 0 <= bounds.min() <= bounds.max() <= _INT32_MAX:
        raise ValueError(f"acc_bound must be in 0..{_INT32_MAX}, not {bounds.max()}")
    return bounds


def _per_channel(
    multiplier: ArrayLike, shift: ArrayLike, acc_bound: ArrayLike
) -> tuple[IntArray, IntArray, IntArray]:
    """Check TFLite's parameters and bring them to one shape."""
    multiplier = np.atleast_1d(np.asarray(multiplier, dtype=np.int64))
    shift = np.atleast_1d(np.asarray(shift, dtype=np.int64))
    requantize_tflite(0, multiplier, shift)  # refuses what is out of range
    multiplier, shift, bounds = np.broadcast_arrays(multiplier, shift, _bounds(acc_bound))
    return multiplier, shift, bounds


def _proven_multipliers(
    reference: Rounder,
    rounding: Rounding,
    *,
    candidates: IntArray,
    acc_bound: IntArray,
    names: list[str],
) -> IntArray:
    """Multipliers near ``candidates`` that round as the reference, by comparison of all steps."""
    steps = _steps(reference, acc_bound)
    result = candidates.copy()
    wrong = np.arange(len(candidates))
    for trim in _TRIMS:
        result[wrong] = np.clip(candidates[wrong] + trim, 0, _MULTIPLIER_MAX)
        differs = _differing_steps(result[wrong], rounding, steps[wrong], acc_bound[wrong])
        wrong = wrong[differs.any(axis=(1, 2))]
        if not wrong.size:
            return result
    channel = wrong[0]
    differs = _differing_steps(
        candidates[wrong[:1]], rounding, steps[wrong[:1]], acc_bound[wrong[:1]]
    )
    where = steps[channel][differs[0]].min()
    raise ValueError(
        f"{names[channel]}: the hardware rounds differently near accumulator {where}, and "
        f"{acc_bound[channel]} may occur; use a slightly different scale or fewer inputs"
    )


_LEVELS = np.arange(1, SATURATION + 1)
_SIGNS = np.array([[1], [-1]])


def _steps(reference: Rounder, acc_bound: IntArray) -> IntArray:
    """Magnitudes at which the reference steps up to 1..SATURATION; the bound + 1 if it does not.

    Shape (channels, 2, SATURATION): positive accumulators, then negative ones.
    """
    shape = (len(acc_bound), len(_SIGNS), SATURATION)
    low = np.zeros(shape, dtype=np.int64)
    high = np.broadcast_to(acc_bound[:, np.newaxis, np.newaxis] + 1, shape).copy()
    while np.any(high - low > 1):
        middle = (low + high) >> 1
        reached = _SIGNS * reference(_SIGNS * middle) >= _LEVELS
        high = np.where(reached, middle, high)
        low = np.where(reached, low, middle)
    return high


def _differing_steps(
    multiplier: IntArray, rounding: Rounding, steps: IntArray, acc_bound: IntArray
) -> NDArray[np.bool_]:
    """Whether the hardware steps elsewhere, of the shape of ``steps``."""

    def hardware(magnitude: IntArray) -> IntArray:
        factor = multiplier[:, np.newaxis, np.newaxis]
        return _SIGNS * requantize_hardware(_SIGNS * magnitude, 0, factor, 0, rounding)

    bound = acc_bound[:, np.newaxis, np.newaxis]
    late = (steps <= bound) & (hardware(np.minimum(steps, bound)) < _LEVELS)
    early = hardware(steps - 1) >= _LEVELS
    return late | early
