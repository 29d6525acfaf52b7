"""The top module of a bitstream: clock, reset, and an accelerator behind a UART."""

from collections.abc import Callable
from functools import partial
from typing import Any

from amaranth import (
    ClockDomain,
    ClockSignal,
    Const,
    Instance,
    Module,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.pll import Ecp5Pll, Ice40Pll, ecp5_pll, ice40_pll
from systolic.spec.boards import Board, BoardError

MakeLink = Callable[[], Any]
"""Makes the component behind ``rx`` and ``tx``."""

ClockSource = Callable[[Module, Value], tuple[Value, Value]]
"""Adds what makes the clock of an input to a module; returns the clock and whether it is steady."""


class BoardTop(wiring.Component):
    """Everything in the chip.

    The flip-flops of these chips start as configured, so the reset is there for one thing: that all
    of them leave it in the same cycle, with the clock running. Two flip-flops do that.

    Parameters
    ----------
    board : Board
        Board.
    source : callable
        Clock, from :func:`clock_source`.
    make_link : callable
        Makes the component with the members ``rx`` and ``tx``.

    Members
    -------
    clk : ``In(1)``
        Clock input.
    rx : ``In(1)``
        From the host.
    tx : ``Out(1)``
        To the host.
    """

    def __init__(self, board: Board, source: ClockSource, make_link: MakeLink) -> None:
        self._board = board
        self._make_link = make_link
        self._source = source
        held = {pin.name: Out(1) for pin in board.held}
        super().__init__({"clk": In(1), "rx": In(1), "tx": Out(1), **held})

    def elaborate(self, platform: object) -> Module:
        """Build the clock and the reset around the link."""
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.start = ClockDomain(reset_less=True)
        clock, is_locked = self._source(m, self.clk)
        resetting = Signal(2, init=0b11)
        m.d.start += resetting.eq((resetting << 1) | ~is_locked)
        m.d.comb += [
            ClockSignal("sync").eq(clock),
            ClockSignal("start").eq(clock),
            ResetSignal("sync").eq(resetting[1]),
        ]
        m.submodules.link = link = self._make_link()
        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx)]
        m.d.comb += [getattr(self, pin.name).eq(pin.level) for pin in self._board.held]
        return m


def clock_source(board: Board, input_hz: float) -> ClockSource:
    """Clock of a board: its input, or its PLL with the right settings.

    Raises
    ------
    BoardError
        If the clock is another than the input's, and no PLL can make it.
    """
    if board.clock.hz == input_hz:
        return lambda m, clk: (clk, Const(1))
    if board.clock.pll == "none":
        raise BoardError(
            f"the clock must be that of {board.clock.resource}, {input_hz / 1e6:g} MHz, "
            f"not {board.clock.hz / 1e6:g} MHz: {board.name} has no PLL for it"
        )
    if board.clock.pll == "ecp5":
        return partial(_ecp5_clock, ecp5_pll(input_hz, board.clock.hz))
    settings = ice40_pll(input_hz, board.clock.hz)
    return partial(_ice40_clock, settings, board.clock.pll == "pad")


def _ice40_clock(settings: Ice40Pll, is_pad: bool, m: Module, clk: Value) -> tuple[Value, Value]:
    clock, is_locked = Signal(), Signal()
    m.submodules.pll = Instance(
        "SB_PLL40_PAD" if is_pad else "SB_PLL40_CORE",
        p_FEEDBACK_PATH="SIMPLE",
        p_DIVR=Const(settings.divr, 4),
        p_DIVF=Const(settings.divf, 7),
        p_DIVQ=Const(settings.divq, 3),
        p_FILTER_RANGE=Const(settings.filter_range, 3),
        **{"i_PACKAGEPIN" if is_pad else "i_REFERENCECLK": clk},
        i_RESETB=1,
        i_BYPASS=0,
        o_PLLOUTGLOBAL=clock,
        o_LOCK=is_locked,
    )
    return clock, is_locked


def _ecp5_clock(settings: Ecp5Pll, m: Module, clk: Value) -> tuple[Value, Value]:
    clock, is_locked = Signal(), Signal()
    m.submodules.pll = Instance(
        "EHXPLLL",
        # What the vendor's own tool sets for the loop filter at these dividers.
        a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
        p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED", p_OUTDIVIDER_MUXA="DIVA", p_CLKOP_ENABLE="ENABLED",
        p_FEEDBK_PATH="CLKOP", p_CLKOP_CPHASE=settings.clkop_div - 1, p_CLKOP_FPHASE=0,
        p_CLKI_DIV=settings.clki_div, p_CLKFB_DIV=settings.clkfb_div,
        p_CLKOP_DIV=settings.clkop_div,
        i_CLKI=clk, i_CLKFB=clock, i_RST=0, i_STDBY=0, i_PHASESEL0=0, i_PHASESEL1=0, i_PHASEDIR=0,
        i_PHASESTEP=0, i_PHASELOADREG=0, i_PLLWAKESYNC=0, i_ENCLKOP=0,
        o_CLKOP=clock, o_LOCK=is_locked,
    )  # fmt: skip
    return clock, is_locked
