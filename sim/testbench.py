"""Test benches on Amaranth's own simulator: streams, their rules, time limits, waveforms.

:func:`simulate` runs a component under any number of benches. :func:`put` and :func:`get` are the
two ends of a stream, at full speed or with random stalls, and every stream named in ``watch`` is
monitored: what is offered must stay until it is taken.

Everything here waits in steps of one tick: Amaranth's ``until`` and ``repeat`` leave an unraisable
error behind where a bench ends while they wait.
"""

from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random
from typing import Any

from amaranth import ClockDomain, Elaboratable, Module
from amaranth.sim import Simulator

__all__ = ["BenchTimeoutError", "StreamRuleError", "get", "put", "simulate"]

Bench = Callable[[Any], Coroutine[Any, Any, None]]

CLOCK_PERIOD_S = 1e-6


class BenchTimeoutError(TimeoutError):
    """The benches were not done in the cycles they had."""


class StreamRuleError(AssertionError):
    """A stream took back or changed what it had offered."""


def simulate(
    dut: Elaboratable,
    *benches: Bench,
    background: Iterable[Bench] = (),
    timeout_cycles: int = 10_000,
    watch: Iterable[Any] = (),
    vcd: Path | None = None,
) -> None:
    """Run benches on a component until all of them are done.

    Parameters
    ----------
    dut : Elaboratable
        Component in the ``sync`` domain, or of nothing but combinational logic.
    *benches : async callable
        Called with the simulator's context, side by side.
    background : iterable of async callables
        Run as well, but nobody waits for them.
    timeout_cycles : int
        Cycles the benches may take.
    watch : iterable of stream interfaces
        Streams whose rules are checked in every cycle.
    vcd : Path, optional
        Waveform to write.

    Raises
    ------
    BenchTimeoutError
        If the benches take longer.
    StreamRuleError
        If a watched stream breaks a rule.
    """
    top: Any = Module()
    top.domains.sync = ClockDomain()
    top.submodules.dut = dut
    simulator: Any = Simulator(top)
    simulator.add_clock(CLOCK_PERIOD_S)
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in (*background, *map(_monitor, watch), _limit(timeout_cycles)):
        simulator.add_testbench(bench, background=True)
    writer: AbstractContextManager[Any] = nullcontext()
    if vcd is not None:
        writer = simulator.write_vcd(str(vcd))
    with writer:
        simulator.run()


async def put(
    ctx: Any,
    stream: Any,
    payloads: Iterable[Any],
    *,
    stalls: Random | None = None,
) -> None:
    """Send payloads into a stream, after random pauses if ``stalls`` is given."""
    for payload in payloads:
        await _stall(ctx, stalls)
        ctx.set(stream.valid, 1)
        ctx.set(stream.payload, payload)
        ready = False
        while not ready:
            *_, ready = await ctx.tick().sample(stream.ready)
        ctx.set(stream.valid, 0)


async def get(
    ctx: Any,
    stream: Any,
    count: int,
    *,
    stalls: Random | None = None,
) -> list[Any]:
    """Take ``count`` payloads from a stream, after random pauses if ``stalls`` is given."""
    payloads: list[Any] = []
    for _ in range(count):
        await _stall(ctx, stalls)
        ctx.set(stream.ready, 1)
        valid, payload = False, None
        while not valid:
            *_, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        ctx.set(stream.ready, 0)
        payloads.append(payload)
    return payloads


async def _stall(ctx: Any, stalls: Random | None) -> None:
    """Let no cycle pass, or a few, now and then many."""
    if stalls is None or stalls.random() < 0.5:
        return
    cycles = stalls.randint(1, 3) if stalls.random() < 0.9 else stalls.randint(4, 20)
    for _ in range(cycles):
        await ctx.tick()


def _monitor(stream: Any) -> Bench:
    async def check(ctx: Any) -> None:
        offered, payload, cycle = False, None, 0
        while True:
            *_, valid, ready, value = await ctx.tick().sample(
                stream.valid, stream.ready, stream.payload
            )
            if offered and not valid:
                raise StreamRuleError(f"cycle {cycle}: valid fell before the payload was taken")
            if offered and value != payload:
                raise StreamRuleError(
                    f"cycle {cycle}: the payload changed from {payload} to {value} while it waited"
                )
            offered, payload = bool(valid and not ready), value
            cycle += 1

    return check


def _limit(cycles: int) -> Bench:
    async def check(ctx: Any) -> None:
        for _ in range(cycles):
            await ctx.tick()
        raise BenchTimeoutError(f"the benches were not done after {cycles} cycles")

    return check
