"""Requantization by thresholds: the activations of networks of one to four bits.

A batch norm before an activation of few bits, folded exactly, leaves no scale but the sums at
which the result changes: one ascending list for each channel, falling where the gain is negative.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mapping.ops.pointwise import Requantize
from mapping.ops.types import ACC_MAX, ACC_MIN


@dataclass(frozen=True, eq=False, kw_only=True)
class RequantizeThresholds(Requantize):
    """Requantization that counts the thresholds which a sum reaches.

    With ``count = sum over i of [acc >= thresholds[channel, i]]``, the result is ``q_min + count``,
    or ``q_max - count`` of a descending channel, limited to ``clamp_min..clamp_max``. The zero
    point takes no part in it.

    Parameters
    ----------
    thresholds : ndarray of int64, shape (1 or channels, 2**bits - 1)
        Ascending in each row, equal ones allowed; held to -2**31..2**31, which a sum always
        reaches and never.
    is_descending : ndarray of bool, shape (1 or channels,)
        Whether the result falls where the sum grows; as many as rows of thresholds.
    """

    KIND: ClassVar[str] = "requantize_thresholds"

    thresholds: NDArray[np.int64]
    is_descending: NDArray[np.bool_]

    def __post_init__(self) -> None:
        super().__post_init__()
        limits = np.iinfo(np.int64)
        self.freeze("thresholds", np.int64, 2, limits.min, limits.max)
        held = np.clip(self.thresholds, ACC_MIN, ACC_MAX + 1)
        object.__setattr__(self, "thresholds", held)
        self.freeze("thresholds", np.int64, 2, ACC_MIN, ACC_MAX + 1)
        self.freeze("is_descending", np.bool_, 1, False, True)
        rows, steps = self.thresholds.shape
        if steps != self.element.codes - 1:
            raise self.error(
                f"needs {self.element.codes - 1} threshold(s) per channel for "
                f"{self.element.bits}-bit activations, not {steps}"
            )
        if self.is_descending.size != rows:
            raise self.error(
                f"is_descending must have one value per row of thresholds ({rows}), "
                f"not {self.is_descending.size}"
            )
        if np.any(np.diff(self.thresholds, axis=1) < 0):
            raise self.error("thresholds of a channel must be in ascending order")

    @property
    def channels(self) -> int:
        """Number of rows of thresholds."""
        return self.thresholds.shape[0]
