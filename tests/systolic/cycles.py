"""A component cycle by cycle: inputs in, outputs out, as plain numbers."""

from collections.abc import Iterable, Mapping
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import data, wiring

from sim.testbench import simulate


def plain(value: Any) -> Any:
    """Integers, and lists of them for arrays of signals."""
    if isinstance(value, data.Const) and isinstance(value.shape(), data.ArrayLayout):
        return [plain(value[index]) for index in range(value.shape().length)]
    return value


def trace(
    dut: wiring.Component, cycles: Iterable[Mapping[str, Any]], *outputs: str
) -> list[tuple[Any, ...]]:
    """Values of the outputs in each cycle, given the inputs that change in it.

    An output of cycle t is what the registers show after t clock edges, with cycle t's inputs.
    """
    rows: list[tuple[Any, ...]] = []

    async def bench(ctx):
        for inputs in cycles:
            for name, value in inputs.items():
                ctx.set(getattr(dut, name), value)
            rows.append(tuple(plain(ctx.get(getattr(dut, name))) for name in outputs))
            await ctx.tick()

    simulate(dut, bench)
    return rows


def converts(dut: wiring.Component) -> bool:
    """Whether it becomes RTLIL with all of its ports."""
    text = rtlil.convert(dut)
    return all(f"\\{name}" in text for name in dut.signature.members)
