"""From real numbers to the levels of a quantizer, in float32 as QONNX defines it.

A level is an integer; what real number it stands for is another matter. ``Quant``, ``BipolarQuant``
and ``Trunc`` are one record: scale, shift by the zero point, perhaps drop bits, clamp, round.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mapping.real.steps import FloatArray

SIGN: Final = "SIGN"
"""The rounding of bipolar quantizers: level 1 for 0 and above, level 0 below."""

MAX_DROP_BITS: Final = 31
LEVEL_LIMIT: Final = 1 << 24
"""Levels are smaller: float32 holds all of these."""


def _half_up(values: FloatArray) -> FloatArray:
    return np.sign(values) * np.floor(np.abs(values) + np.float32(0.5))


def _half_down(values: FloatArray) -> FloatArray:
    return np.sign(values) * np.ceil(np.abs(values) - np.float32(0.5))


def _up(values: FloatArray) -> FloatArray:
    return np.sign(values) * np.ceil(np.abs(values))


def _sign(values: FloatArray) -> FloatArray:
    return (values >= 0).astype(np.float32)


ROUNDINGS: Final[Mapping[str, Callable[[FloatArray], FloatArray]]] = MappingProxyType(
    {
        "ROUND": np.round,
        "HALF_EVEN": np.round,
        "CEIL": np.ceil,
        "FLOOR": np.floor,
        "UP": _up,
        "DOWN": np.trunc,
        "HALF_UP": _half_up,
        "HALF_DOWN": _half_down,
        SIGN: _sign,
    }
)
"""QONNX's rounding modes; the halves are away from zero and towards it."""


@dataclass(frozen=True)
class LevelQuantizer:
    """Levels ``round(clip(x / scale + zero_point))``, every operation in float32.

    Parameters
    ----------
    scale : float
        Step between levels, positive.
    zero_point : float
        Added to the quotient.
    low, high : int
        Smallest and largest level.
    rounding : str
        One of :data:`ROUNDINGS`.
    drop_bits : int or None
        For ``Trunc``: the quotient is rounded, then divided by ``2**drop_bits``, before the clamp.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    scale: float
    zero_point: float
    low: int
    high: int
    rounding: str
    drop_bits: int | None = None

    def __post_init__(self) -> None:
        if not 2.0**-60 <= self.scale <= 2.0**60:
            raise ValueError(f"a quantizer's scale must be 2**-60..2**60, not {self.scale:g}")
        if not abs(self.zero_point) < LEVEL_LIMIT:
            raise ValueError(
                f"a quantizer's zero point must be below {LEVEL_LIMIT:,}, not {self.zero_point:g}"
            )
        if not -LEVEL_LIMIT <= self.low <= self.high <= LEVEL_LIMIT:
            raise ValueError(f"a quantizer's levels must not be {self.low}..{self.high}")
        if self.rounding not in ROUNDINGS:
            raise ValueError(
                f"a rounding must be one of {', '.join(ROUNDINGS)}, not {self.rounding!r:.20}"
            )
        if self.drop_bits is not None and not 0 <= self.drop_bits <= MAX_DROP_BITS:
            raise ValueError(f"drop_bits must be 0..{MAX_DROP_BITS}, not {self.drop_bits}")

    def levels(self, values: FloatArray) -> NDArray[np.int64]:
        """Levels of real numbers, each in ``low..high``.

        Parameters
        ----------
        values : ndarray of float32
            Of any shape, no NaN.
        """
        with np.errstate(over="ignore", under="ignore"):
            quotient = values / np.float32(self.scale) + np.float32(self.zero_point)
        if self.drop_bits is not None:
            quotient = np.round(quotient) / np.float32(1 << self.drop_bits)
        if self.rounding != SIGN:
            quotient = np.clip(quotient, np.float32(self.low), np.float32(self.high))
        return ROUNDINGS[self.rounding](quotient).astype(np.int64)
