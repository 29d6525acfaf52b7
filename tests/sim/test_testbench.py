"""The bench helpers bite: rules, time limits; and carry data whatever the stalls."""

from pathlib import Path
from random import Random

import pytest
from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sim.testbench import BenchTimeoutError, StreamRuleError, get, put, simulate


class Register(wiring.Component):
    """One register between two streams; broken on purpose if asked to."""

    def __init__(self, *, fault: str = ""):
        self._fault = fault
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        full, payload, cycle = Signal(), Signal(8), Signal(2)
        m.d.sync += cycle.eq(cycle + 1)
        m.d.comb += [
            self.i.ready.eq(~full | self.o.ready),
            self.o.valid.eq(full if self._fault != "valid" else full & cycle.any()),
            self.o.payload.eq(payload if self._fault != "payload" else payload ^ cycle),
        ]
        with m.If(self.i.ready):
            m.d.sync += [full.eq(self.i.valid), payload.eq(self.i.payload)]
        return m


def transfer(dut: Register, *, stalls: bool, **options) -> list[int]:
    """Send 40 bytes through and return what came out."""
    received = []

    async def send(ctx):
        await put(ctx, dut.i, range(40), stalls=Random(1) if stalls else None)

    async def receive(ctx):
        received.extend(await get(ctx, dut.o, 40, stalls=Random(2) if stalls else None))

    simulate(dut, send, receive, watch=[dut.i, dut.o], **options)
    return received


@pytest.mark.parametrize("stalls", [False, True])
def test_payloads_arrive_in_order(stalls: bool) -> None:
    assert transfer(Register(), stalls=stalls) == list(range(40))


def test_without_stalls_a_transfer_takes_a_cycle() -> None:
    assert transfer(Register(), stalls=False, timeout_cycles=42) == list(range(40))


@pytest.mark.parametrize(
    ("fault", "message"),
    [("valid", "valid fell before"), ("payload", r"payload changed from \d+ to \d+ while")],
)
def test_the_monitor_finds_what_breaks_a_rule(fault: str, message: str) -> None:
    with pytest.raises(StreamRuleError, match=message):
        transfer(Register(fault=fault), stalls=True)


def test_benches_that_hang_are_stopped() -> None:
    async def wait(ctx):
        while True:
            await ctx.tick()

    with pytest.raises(BenchTimeoutError, match="not done after 50 cycles"):
        simulate(Register(), wait, timeout_cycles=50)


def test_a_waveform_is_written_where_asked(tmp_path: Path) -> None:
    transfer(Register(), stalls=False, vcd=tmp_path / "wave.vcd")
    assert "$enddefinitions" in (tmp_path / "wave.vcd").read_text()
