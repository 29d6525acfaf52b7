# amaranth: UnusedElaboratable=no
"""The search among thresholds, in the requantizer: codes and times, value by value."""

from typing import NamedTuple

import numpy as np
import pytest

from sim.testbench import simulate as run
from systolic.requantizer import Requantizer
from systolic.spec.arithmetic import search_thresholds
from systolic.spec.config import ArrayConfig
from systolic.spec.layout import pack_thresholds
from systolic.spec.thresholds import codes_of_nodes
from systolic.threshold_search import ThresholdSearch
from tests.systolic.cycles import converts

WEIGHT_BITS = 4
MULTIPLIER = 0xAAAA_AAAA_AAAA


class Value(NamedTuple):
    """A value's parts, most significant first, and its channel's nodes."""

    parts: tuple[int, ...]
    bias: tuple[int, ...]
    is_inverted: tuple[bool, ...]

    @property
    def code(self) -> int:
        """What the contract makes of it."""
        joined = 0
        for part in self.parts:
            joined = (joined << WEIGHT_BITS) + part
        return int(search_thresholds([joined], [self.bias], [self.is_inverted])[0])

    def entry(self, node: int) -> int:
        """A node's entry, as 32 bits; noise where there is no such node."""
        if node == 0:
            return 0x5A5A_5A5A
        one = [(self.bias[node - 1], self.is_inverted[node - 1])]
        return int.from_bytes(pack_thresholds(one, ArrayConfig())[:4], "little")


def random_values(
    rng: np.random.Generator, *, bits: int, acc_bits: int, parts: int, count: int
) -> list[Value]:
    """Values at and around random thresholds, some of them equal or at the ends of the range."""
    top = 1 << min(acc_bits, 31) - 2
    order = np.array(codes_of_nodes(bits)) - 1
    values = []
    for _ in range(count):
        reach = top >> int(rng.integers(0, acc_bits - 2))
        cuts = np.sort(rng.integers(-reach, reach + 1, (1 << bits) - 1))
        if rng.random() < 0.3:
            cuts[:] = rng.choice(cuts)
        falls = bool(rng.integers(0, 2))
        by_node = (cuts[::-1] if falls else cuts)[order]
        wanted = int(rng.choice(cuts)) + int(rng.integers(-1, 2))
        if rng.random() < 0.2:
            wanted = int(rng.choice([-top, top - 1]))
        low = [int(part) for part in rng.integers(-7, 8, parts - 1)]
        rest = sum(part << WEIGHT_BITS * place for place, part in enumerate(reversed(low)))
        first = (wanted - rest) >> WEIGHT_BITS * (parts - 1)
        bias = tuple((-by_node).tolist())
        values.append(Value((first, *low), bias, (falls,) * len(by_node)))
    return values


def simulate(dut: Requantizer, values: list[Value], interval: int) -> list[tuple[int, int]]:
    """Cycles and codes of all results; entries come a cycle after their node was asked for."""
    slots = [(value, index) for value in values for index in range(len(value.parts))]
    cycles = len(slots) * interval + dut.threshold_latency + 1
    results = []

    async def bench(ctx):
        ctx.set(dut.thresholds_i, 1)
        ctx.set(dut.multiplier_i, MULTIPLIER)
        entry = 0
        for cycle in range(cycles):
            slot, phase = divmod(cycle, interval)
            starts = phase == 0 and slot < len(slots)
            value, index = slots[min(slot, len(slots) - 1)]
            is_last = starts and index == len(value.parts) - 1
            ctx.set(dut.bias_i, entry)
            ctx.set(dut.acc_i, value.parts[index] if starts else 1)
            ctx.set(dut.valid_i, starts)
            ctx.set(dut.first_i, starts and index == 0)
            ctx.set(dut.last_i, is_last)
            ctx.set(dut.tag_i, is_last)
            if ctx.get(dut.valid_o):
                assert ctx.get(dut.tag_o)
                results.append((cycle, ctx.get(dut.code_o)))
            entry = value.entry(ctx.get(dut.node_o))
            await ctx.tick()

    run(dut, bench, timeout_cycles=cycles + 10)
    return results


def requantizer(bits: int, style: str = "dsp", cycles: int = 2, acc_bits: int = 32) -> Requantizer:
    """A requantizer with a search."""
    return Requantizer(
        acc_bits=acc_bits,
        weight_bits=WEIGHT_BITS,
        cycles=cycles,
        style=style,
        roundings=("tflite",),
        threshold_bits=bits,
    )


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("style", "cycles", "acc_bits", "parts", "pause"),
    # The slowest multiplier keeps its own strobes: the search must not depend on them.
    [("dsp", 2, 32, 1, 0), ("dsp", 1, 20, 1, 1), ("fabric", 48, 16, 1, 0), ("fabric", 4, 31, 2, 0),
     ("fabric", 24, 32, 3, 2)],
)  # fmt: skip
def test_codes_are_those_of_the_contract_and_in_time(
    bits: int, style: str, cycles: int, acc_bits: int, parts: int, pause: int
) -> None:
    rng = np.random.default_rng(bits * 100 + acc_bits)
    values = random_values(rng, bits=bits, acc_bits=acc_bits, parts=parts, count=40)
    dut = requantizer(bits, style, cycles, acc_bits)
    interval = 2 * bits - 1 + pause
    results = simulate(dut, values, interval)
    assert [code for _, code in results] == [value.code for value in values]
    last = parts - 1
    wanted = [(n * parts + last) * interval + dut.threshold_latency for n in range(len(values))]
    assert [cycle for cycle, _ in results] == wanted


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_a_slot_shorter_than_its_search_is_noticed(bits: int) -> None:
    values = random_values(np.random.default_rng(1), bits=bits, acc_bits=32, parts=1, count=30)
    results = simulate(requantizer(bits), values, 2 * bits - 2)
    assert [code for _, code in results] != [value.code for value in values]


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_it_converts_to_rtlil(bits: int) -> None:
    assert converts(ThresholdSearch(bits=bits))


def test_more_bits_than_there_are_entries_are_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold_bits must be in 0\.\.4, not 5"):
        requantizer(5)
