"""The sums at which a chain of float32 steps and a quantizer go from one level to the next.

Every step never falls or never rises, so levels do neither along the accumulator; a bisection per
channel and level over all accumulators that can occur finds each change exactly, whatever the steps
round. Channels whose gain is negative come out as descending.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapping.ops import ActType
from mapping.ops.types import ACC_MAX, ACC_MIN

IntArray = NDArray[np.int64]
Levels = Callable[[IntArray], IntArray]


@dataclass(frozen=True, eq=False)
class Changes:
    """Where levels change, along the accumulators of each channel.

    Parameters
    ----------
    at : ndarray of int64, shape (channels, levels - 1)
        For each count from 1 on, the smallest accumulator at which so many levels have been
        climbed, or descended from the highest one: ``low`` for all, ``high + 1`` for none.
    is_descending : ndarray of bool, shape (channels,)
        Whether the level falls as the accumulator grows.
    low, high : ndarray of int64, shape (channels,)
        Bounds of the accumulators.
    """

    at: IntArray
    is_descending: NDArray[np.bool_]
    low: IntArray
    high: IntArray

    @property
    def reached(self) -> tuple[int, int]:
        """Smallest and largest level that any channel reaches, counted from 0."""
        always: IntArray = np.count_nonzero(self.at <= self.low[:, np.newaxis], axis=1)
        ever: IntArray = np.count_nonzero(self.at <= self.high[:, np.newaxis], axis=1)
        steps: int = self.at.shape[1]
        least = np.where(self.is_descending, steps - ever, always)
        most = np.where(self.is_descending, steps - always, ever)
        return int(least.min()), int(most.max())


def find_changes(levels: Levels, low: IntArray, high: IntArray, top: int) -> Changes:
    """Find every change of level.

    Parameters
    ----------
    levels : function
        Levels 0..``top`` of accumulators of shape (n, channels), never falling or never rising in
        each channel.
    low, high : ndarray of int64, shape (channels,)
        Bounds of the accumulators.
    top : int
        Highest level.
    """
    is_descending = levels(low[np.newaxis])[0] > levels(high[np.newaxis])[0]
    counts = np.arange(1, top + 1)[:, np.newaxis]
    shape = (top, len(low))
    left = np.broadcast_to(low, shape).copy()
    right = np.broadcast_to(high + 1, shape).copy()
    while np.any(left < right):
        middle = (left + right) >> 1
        level = levels(np.minimum(middle, high))
        climbed = np.where(is_descending, top - level, level)
        is_reached = (climbed >= counts) | (middle > high)
        right = np.where(is_reached, middle, right)
        left = np.where(is_reached, left, np.minimum(middle + 1, right))
    return Changes(left.T, is_descending, low, high)


def graph_thresholds(changes: Changes, element: ActType, stride: int) -> IntArray:
    """Thresholds of :class:`mapping.ops.RequantizeThresholds` for every q of an element.

    Parameters
    ----------
    changes : Changes
        Of levels counted from 0.
    element : ActType
        Type of the result, unsigned.
    stride : int
        Level k is the value ``k * stride``.

    Returns
    -------
    ndarray of int64, shape (channels, 2**bits - 1)
        Never and always are the ends of 32 bits.
    """
    top = changes.at.shape[1]
    counts = np.arange(1, element.codes)
    # The level that has to be climbed to, or descended to, for each count.
    up = -(-counts // stride)
    down = top - (element.q_max - counts) // stride
    wanted = np.where(changes.is_descending[:, np.newaxis], down, up)
    ordered = np.concatenate(
        [
            np.full((len(changes.at), 1), ACC_MIN),
            np.where(
                changes.at <= changes.low[:, np.newaxis],
                ACC_MIN,
                np.where(changes.at > changes.high[:, np.newaxis], ACC_MAX + 1, changes.at),
            ),
            np.full((len(changes.at), 1), ACC_MAX + 1),
        ],
        axis=1,
    )
    return np.take_along_axis(ordered, np.clip(wanted, 0, top + 1), axis=1)
