"""The top module: clock, reset, pins."""

from dataclasses import replace

import pytest
from amaranth import Module, Signal
from amaranth.hdl import ClockDomain, ClockSignal
from amaranth.sim import Simulator

from boards.flow import to_rtlil
from boards.top import BoardTop, clock_source
from systolic.spec.boards import Board, BoardError, Clock, Held, all_boards, board_named
from tests.boards.stand_in import Line

INPUT_HZ = {"clk12": 12e6, "clk25": 25e6, "clk100": 100e6}


def without_pll() -> Board:
    """Board whose clock is its input: what Amaranth can simulate."""
    clock = Clock(resource="clk12", hz=12_000_000)
    held = (Held(name="high", pin="1", level=1), Held(name="low", pin="2", level=0))
    return replace(board_named("icestick"), clock=clock, held=held)


def test_lines_reach_the_link_and_pins_are_held() -> None:
    top = BoardTop(without_pll(), clock_source(without_pll(), 12e6), lambda: Line(cycles=3))
    m = Module()
    m.domains.pin = ClockDomain(reset_less=True)
    m.submodules.top = top
    m.d.comb += top.clk.eq(ClockSignal("pin"))
    sent, received = [1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1], []

    async def bench(ctx) -> None:
        # Two edges of reset, then the line's three flip-flops.
        for bit in [*sent, 1, 1, 1]:
            ctx.set(top.rx, bit)
            await ctx.tick("pin")
            received.append(ctx.get(top.tx))
            assert (ctx.get(top.high), ctx.get(top.low)) == (1, 0)

    simulator = Simulator(m)
    simulator.add_clock(1 / 12e6, domain="pin")
    simulator.add_testbench(bench)
    simulator.run()
    assert received[:4] == [0, 0, 0, 0]
    assert received[4:18] == [1 - bit for bit in sent[2:]]


def test_the_reset_ends_with_the_pll_locked_and_not_before() -> None:
    is_locked = Signal()
    top = BoardTop(without_pll(), lambda m, clk: (clk, is_locked), lambda: Line(cycles=1))
    m = Module()
    m.domains.pin = ClockDomain(reset_less=True)
    m.submodules.top = top
    m.d.comb += top.clk.eq(ClockSignal("pin"))
    seen = []

    async def bench(ctx) -> None:
        ctx.set(top.rx, 0)
        for cycle in range(12):
            ctx.set(is_locked, 5 <= cycle < 9)
            await ctx.tick("pin")
            seen.append(ctx.get(top.tx))

    simulator = Simulator(m)
    simulator.add_clock(1 / 12e6, domain="pin")
    simulator.add_testbench(bench)
    simulator.run()
    # Two edges to leave the reset, one through the link; as many to go back into it.
    assert seen == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("board", all_boards(), ids=lambda board: board.name)
def test_every_board_has_a_top_module(board: Board) -> None:
    input_hz = INPUT_HZ[board.clock.resource]
    text = to_rtlil(BoardTop(board, clock_source(board, input_hz), Line))
    pll = {"pad": "SB_PLL40_PAD", "core": "SB_PLL40_CORE", "ecp5": "EHXPLLL"}[board.clock.pll]
    assert (f"cell \\{pll} " in text) == (board.clock.hz != input_hz)
    assert "\\src" not in text


def test_a_clock_that_the_pll_cannot_make_is_refused_at_once() -> None:
    board = board_named("icestick")
    clock, uart = replace(board.clock, hz=1_000_000), replace(board.uart, baud=100_000)
    with pytest.raises(BoardError, match="cannot make 1 MHz"):
        clock_source(replace(board, clock=clock, uart=uart), 12e6)


def test_another_clock_than_the_input_takes_a_pll() -> None:
    with pytest.raises(BoardError, match=r"that of clk12, 16 MHz, not 12 MHz: icestick has no PLL"):
        clock_source(without_pll(), 16e6)
