"""Level changes of five to eight bits as a multiplication, which the requantizer does without them.

So many thresholds per channel would be long to store and to search. They come from an affine
function and a rounding, so they lie evenly: the i-th one within ``x + i * d``, rounded up, for some
``x`` and ``d``. The requantizer's steps lie evenly as well, but start at a whole accumulator. So
weights and bias are multiplied by a gain, the smallest one at which the start is fine enough. What
is found is compared at every change with what was asked for; nothing here is approximate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapping.importers.errors import RefusedError
from mapping.importers.qonnx.thresholds import Changes
from mapping.ops.types import ACC_MAX, ACC_MIN
from mapping.quantize import quantize_scale
from systolic.spec.arithmetic import requantize_tflite

IntArray = NDArray[np.int64]

MIN_STEP = 2.0**-20
"""Accumulators per level; smaller scales than this have no place in the requantizer."""


@dataclass(frozen=True, eq=False)
class Multiplication:
    """Level ``round((gain * acc + bias) * multiplier * 2**(shift - 31)) - origin``, per channel.

    Parameters
    ----------
    gain, bias, multiplier, shift : ndarray of int64, shape (channels,)
        As :func:`systolic.spec.arithmetic.requantize_tflite` takes the last two.
    """

    gain: IntArray
    bias: IntArray
    multiplier: IntArray
    shift: IntArray


def find_multiplication(changes: Changes, origin: int, max_gain: int) -> Multiplication:
    """Find a multiplication that gives every level at every accumulator.

    Parameters
    ----------
    changes : Changes
        Of levels counted from 0.
    origin : int
        What the requantizer gives for level 0.
    max_gain : int
        Largest gain that the weights bear.

    Raises
    ------
    RefusedError
        If there is none; the message names the channel.
    """
    found = [_of_channel(changes, channel, origin, max_gain) for channel in range(len(changes.at))]
    columns = np.array(found, np.int64).T
    return Multiplication(*columns)


def _of_channel(
    changes: Changes, channel: int, origin: int, max_gain: int
) -> tuple[int, int, int, int]:
    """Gain, bias, multiplier and shift of one channel."""
    at, low, high = changes.at[channel], int(changes.low[channel]), int(changes.high[channel])
    sign = -1 if changes.is_descending[channel] else 1
    if sign < 0:  # of -acc, levels rise: at least i where not yet descended below it
        at, low, high = 1 - at[::-1], -high, -low
    line = _line(at, low, high)
    if line is None:
        raise RefusedError(
            f"channel {channel}: its {len(at)} changes of level lie unevenly, as no scale and bias "
            "would put them: quantize to at most 4 bits there, which compares with each of them"
        )
    start, step = line
    gain = 1
    while gain <= max_gain:
        bias = round(gain * (step * (origin - 0.5) - start))
        multiplier, shift = quantize_scale(min(1 / (gain * step), 2.0**29))
        reach = max(abs(gain * low + bias), abs(gain * high + bias))
        if reach << max(shift, 0) > ACC_MAX or not ACC_MIN <= bias <= ACC_MAX:
            break
        if _is_exact(at, low, high, (gain, bias, multiplier, shift), origin):
            return sign * gain, bias, multiplier, shift
        gain *= 2
    raise RefusedError(
        f"channel {channel}: no multiplier with a gain of up to {max_gain} on its weights gives "
        f"all {len(at)} changes of level: use fewer bits for its weights or its result"
    )


def _line(at: IntArray, low: int, high: int) -> tuple[float, float] | None:
    """``(x, d)`` in the middle of those with ``ceil(x + i * d)`` at the i-th change, from 1 on."""
    number = np.arange(1, len(at) + 1)
    # The first change that is always behind bounds from above only, the first never from below.
    upper = np.where(at <= high, np.maximum(at, low), np.inf).astype(np.float64)
    lower = np.where(at > low, np.minimum(at, high + 1) - 1, -np.inf).astype(np.float64)
    distance = number[:, np.newaxis] - number
    is_later = distance > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        least = ((lower[:, np.newaxis] - upper) / distance)[is_later]
        most = ((upper[:, np.newaxis] - lower) / distance)[is_later]
    least_step = max(float(least.max(initial=-np.inf)), MIN_STEP)
    most_step = float(most.min(initial=np.inf))
    if most_step <= least_step:
        return None
    # Unbounded where all of low..high is one level.
    step = (least_step + most_step) / 2 if most_step < np.inf else 2 * least_step + high - low + 1
    below, above = float((lower - number * step).max()), float((upper - number * step).min())
    if not np.isfinite(below) and not np.isfinite(above):
        return None
    if not np.isfinite(below):
        below = above - 1
    if not np.isfinite(above):
        above = below + 1
    return ((below + above) / 2, step) if below < above else None


def _is_exact(
    at: IntArray, low: int, high: int, found: tuple[int, int, int, int], origin: int
) -> bool:
    """Whether every change of level comes where it should; levels only rise, so that is all."""
    gain, bias, multiplier, shift = found
    number = np.arange(1, len(at) + 1)

    def level(acc: IntArray) -> IntArray:
        return requantize_tflite(gain * acc + bias, multiplier, shift) - origin

    due = at <= high
    is_late = due & (level(np.clip(at, low, high)) < number)
    early = at > low
    is_early = early & (level(np.clip(at - 1, low, high)) >= number)
    return not (is_late.any() or is_early.any())
