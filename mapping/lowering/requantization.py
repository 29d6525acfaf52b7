"""What the requantizer does in a layer: it multiplies and rounds, or searches among thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from systolic.spec.rounding import Rounding


@dataclass(frozen=True)
class Requantization:
    """Codes by a multiplication.

    Parameters
    ----------
    bias, multiplier, round_constant : ndarray of int64, shape (channels,)
        See :func:`systolic.spec.arithmetic.requantize_hardware`.
    rounding : Rounding
        Which form.
    zero : int
        Code added to the result before the clamp.
    """

    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    round_constant: NDArray[np.int64]
    rounding: Rounding
    zero: int

    @property
    def channels(self) -> Sequence[tuple[int, int, int]]:
        """Bias, multiplier and rounding constant of each channel."""
        columns = (self.bias, self.multiplier, self.round_constant)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    @property
    def is_uniform(self) -> bool:
        """Whether all channels are requantized alike."""
        return len(set(self.channels)) == 1

    def first(self, count: int) -> "Requantization":
        """The same for the first channels only."""
        return replace(
            self,
            bias=self.bias[:count],
            multiplier=self.multiplier[:count],
            round_constant=self.round_constant[:count],
        )


@dataclass(frozen=True)
class ThresholdSearch:
    """Codes by a search.

    Parameters
    ----------
    bias : ndarray of int64, shape (channels, 2**threshold_bits - 1)
        Bias of each node, see :func:`systolic.spec.arithmetic.search_thresholds`.
    is_inverted : ndarray of bool, shape as ``bias``
        Whether a node's bit is inverted.
    """

    bias: NDArray[np.int64]
    is_inverted: NDArray[np.bool_]

    @property
    def channels(self) -> Sequence[tuple[tuple[int, bool], ...]]:
        """Bias and inversion of each channel's nodes."""
        pairs = zip(self.bias.tolist(), self.is_inverted.tolist(), strict=True)
        return [tuple(zip(*pair, strict=True)) for pair in pairs]
