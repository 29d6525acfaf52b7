"""Settings of the chips' phase-locked loops: the nearest frequency that they can make.

Ranges are those of the data sheets (Lattice TN1251 for iCE40, TN1263 for ECP5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from systolic.spec.boards import BoardError

MAX_PLL_ERROR: Final = 0.005
"""Share of the frequency by which the nearest setting may be off: what a UART does not feel."""


@dataclass(frozen=True)
class Ice40Pll:
    """``input * (divf + 1) / (divr + 1) / 2**divq``.

    Parameters
    ----------
    divr, divf, divq : int
        Dividers of the input, of the feedback and of the output.
    filter_range : int
        Loop filter, by the phase detector's frequency.
    hz : float
        What comes out.
    """

    divr: int
    divf: int
    divq: int
    filter_range: int
    hz: float


@dataclass(frozen=True)
class Ecp5Pll:
    """``input * clkfb_div / clki_div``; the oscillator runs ``clkop_div`` times as fast.

    Parameters
    ----------
    clki_div, clkfb_div, clkop_div : int
        Dividers of the input, of the feedback and of the output.
    hz : float
        What comes out.
    """

    clki_div: int
    clkfb_div: int
    clkop_div: int
    hz: float


_Pll = TypeVar("_Pll", Ice40Pll, Ecp5Pll)
_FILTER_LIMITS_HZ: Final = (17e6, 26e6, 44e6, 66e6, 101e6)


def ice40_pll(input_hz: float, hz: float) -> Ice40Pll:
    """Settings of an iCE40 PLL with simple feedback.

    Raises
    ------
    BoardError
        If nothing comes near enough.
    """
    found: list[Ice40Pll] = []
    for divr in range(16):
        detector_hz = input_hz / (divr + 1)
        if not 10e6 <= detector_hz <= 133e6:
            continue
        filter_range = 1 + sum(detector_hz >= limit for limit in _FILTER_LIMITS_HZ)
        for divq in range(1, 7):
            divf = round(hz * 2**divq / detector_hz) - 1
            oscillator_hz = detector_hz * (divf + 1)
            if 0 <= divf <= 127 and 533e6 <= oscillator_hz <= 1066e6:
                out_hz = oscillator_hz / 2**divq
                found.append(Ice40Pll(divr, divf, divq, filter_range, out_hz))
    return _nearest(found, input_hz, hz)


def ecp5_pll(input_hz: float, hz: float) -> Ecp5Pll:
    """Settings of an ECP5 PLL whose output is fed back.

    Raises
    ------
    BoardError
        If nothing comes near enough.
    """
    found: list[Ecp5Pll] = []
    for clki_div in range(1, 129):
        detector_hz = input_hz / clki_div
        if not 3.125e6 <= detector_hz <= 400e6:
            continue
        clkfb_div = round(hz / detector_hz)
        # In the middle of the oscillator's range, 400..800 MHz.
        clkop_div = round(600e6 / hz)
        out_hz = detector_hz * clkfb_div
        if 1 <= clkfb_div <= 128 and 1 <= clkop_div <= 128:
            if 400e6 <= out_hz * clkop_div <= 800e6:
                found.append(Ecp5Pll(clki_div, clkfb_div, clkop_div, out_hz))
    return _nearest(found, input_hz, hz)


def _nearest(found: Sequence[_Pll], input_hz: float, hz: float) -> _Pll:
    # The first of equals has the smallest input divider, thus the least jitter.
    best = min(found, key=lambda pll: abs(pll.hz - hz), default=None)
    if best is None or abs(best.hz / hz - 1) > MAX_PLL_ERROR:
        near = f"; the nearest is {best.hz / 1e6:.2f} MHz" if best is not None else ""
        raise BoardError(f"the PLL cannot make {hz / 1e6:g} MHz from {input_hz / 1e6:g} MHz{near}")
    return best
