"""What is not supported is refused by name, in one line."""

import pytest
from amaranth.hdl import ClockDomain, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.compiled import Cache, NetlistError, compile_component
from sim.compiled.build import build_source

_FLIP_FLOP = """
module \\top
  wire input 1 \\clk
  wire input 2 \\a
  wire output 3 \\y
  cell {type} \\state
    parameter \\WIDTH 1
    parameter \\CLK_POLARITY {polarity}
    parameter \\ARST_POLARITY 1
    parameter \\ARST_VALUE 1'0
    connect \\CLK \\{clock}
    connect \\D \\a
    connect \\Q \\y
    {extra}
  end
end
"""


class _BlackBox(wiring.Component):
    a: In(1)
    y: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = Instance("SB_RAM", i_A=self.a, o_Y=self.y)
        return m


class _GatedClock(wiring.Component):
    a: In(1)
    y: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.gated = domain = ClockDomain("gated", reset_less=True)
        state = Signal()
        m.d.comb += [domain.clk.eq(self.a), self.y.eq(state)]
        m.d.gated += state.eq(~state)
        return m


def test_black_box_is_refused(cache: Cache) -> None:
    with pytest.raises(NetlistError, match="cell type SB_RAM is not supported: module top, cell"):
        compile_component(_BlackBox(), cache=cache)


def test_other_clock_domain_is_refused(cache: Cache) -> None:
    with pytest.raises(NetlistError, match="only the rising edge of the port clk is supported"):
        compile_component(_GatedClock(), cache=cache)


def test_falling_edge_is_refused(cache: Cache) -> None:
    text = _FLIP_FLOP.format(type="$dff", polarity=0, clock="clk", extra="")
    text = text.replace("    parameter \\ARST_POLARITY 1\n    parameter \\ARST_VALUE 1'0\n", "")
    with pytest.raises(NetlistError, match="module top, cell state: only the rising edge"):
        build_source(text, "top", cache)


def test_asynchronous_reset_is_refused(cache: Cache) -> None:
    text = _FLIP_FLOP.format(type="$adff", polarity=1, clock="clk", extra="connect \\ARST \\a")
    message = r"cell type \$adff is not supported: module top, cell state"
    with pytest.raises(NetlistError, match=message):
        build_source(text, "top", cache)


def test_absent_top_module_is_named(cache: Cache) -> None:
    with pytest.raises(NetlistError, match="the netlist has no module other"):
        build_source("module \\top\nend\n", "other", cache)
