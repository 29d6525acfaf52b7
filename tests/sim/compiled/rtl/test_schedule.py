"""Order of evaluation: loops that are only apparent, real ones, and registers that swap."""

import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.compiled import Cache, NetlistError, compile_component
from sim.compiled.build import build_source
from tests.sim.compiled.oracles import run_amaranth


class _Swap(wiring.Component):
    a: Out(4, init=1)
    b: Out(4, init=2)
    c: Out(4, init=3)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += Cat(self.a, self.b, self.c).eq(Cat(self.b, self.c, self.a))
        return m


class _ApparentLoop(wiring.Component):
    """Bit 1 of a signal depends on its bit 0, through the same multiplexer."""

    a: In(1)
    en: In(1)
    y: Out(3)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.en):
            m.d.comb += [
                self.y[0].eq(self.a),
                self.y[1].eq(~self.y[0]),
                self.y[2].eq(self.y[1] ^ self.a),
            ]
        return m


# Amaranth refuses such a loop itself.
_REAL_LOOP = """
module \\top
  wire width 4 input 1 \\a
  wire width 4 output 2 \\y
  cell $add \\ring
    parameter \\A_SIGNED 0
    parameter \\B_SIGNED 0
    parameter \\A_WIDTH 4
    parameter \\B_WIDTH 4
    parameter \\Y_WIDTH 4
    connect \\A \\a
    connect \\B \\y
    connect \\Y \\y
  end
end
"""


def test_registers_that_rotate_keep_their_values(cache: Cache) -> None:
    model = compile_component(_Swap(), optimise="-O1", cache=cache)
    model.step()
    assert tuple(map(model.get, "abc")) == (2, 3, 1)


def test_loop_between_different_bits_is_none(cache: Cache) -> None:
    model = compile_component(_ApparentLoop(), optimise="-O1", cache=cache)
    stimulus = [{"a": a, "en": en} for a in (0, 1) for en in (0, 1)]
    got = []
    for row in stimulus:
        for name, value in row.items():
            model.set(name, value)
        got.append((model.get("y"),))
    assert got == run_amaranth(_ApparentLoop(), stimulus, ["y"])


def test_combinational_loop_is_refused_by_name(cache: Cache) -> None:
    with pytest.raises(NetlistError, match="combinational loop: module top, cell ring"):
        build_source(_REAL_LOOP, "top", cache)
