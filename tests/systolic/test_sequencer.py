"""The sequencer: what every instruction moves, in which order, in how many cycles."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.testbench import simulate
from systolic.sequencer import Sequencer
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import (
    INSTRUCTIONS,
    Drain,
    Instruction,
    Load,
    LoadTarget,
    Matmul,
    Output,
    Store,
    Sync,
    decode,
)
from systolic.spec.registers import Status
from systolic.spec.timing import drain_cycles, program_cycles
from tests.systolic.cycles import converts

CONFIGS = (
    ArrayConfig(rows=4, cols=1, weight_bits=1, digit_bits=1),
    ArrayConfig(rows=8, cols=4, weight_bits=5, digit_bits=3, pe_cols=2, threshold_bits=2),
    ArrayConfig(rows=16, cols=2, digit_bits=8),
)
CODE, DATA, HOST = 0, 1000, 5000
STROBES = (
    "decode_o",
    "jump_o",
    "follow_o",
    "fetch_o",
    "address_step_o",
    "prime_o",
    "gather_o",
    "count_o",
    "entry_o",
    "hold_pixel_o",
    "slot_o",
    "unit_o",
    "offset_en_o",
    "table_en_o",
    "parameter_en_o",
    "output_en_o",
    "drain_start_o",
    "read_en_o",
    "buffer_en_o",
    "store_o",
    "load_o",
    "stream_o",
    "running_o",
    "stopped_o",
    "status_o",
    "instruction_o",
)


@dataclass
class Machine:
    """Everything around a sequencer, cycle by cycle, and a record of what moved."""

    config: ArrayConfig
    words: dict[int, int]
    events: list[tuple] = field(default_factory=list)
    cycles: int = 0
    addr: int = CODE
    pc: int = 0
    word: int = 0
    index: int = 0
    count: int = 0
    digit: int = 0
    pixel: int = 0
    drain_left: int = 0
    output: Output = field(default_factory=lambda: Output(digits=1, zero=0, lo=0, hi=0))
    instruction: Instruction = field(default_factory=lambda: Sync(halt=1))
    offsets: dict[int, int] = field(default_factory=dict)
    offset: int = 0
    buffered: tuple[int, int] = (0, 0)
    slots: int = 0

    @property
    def digits(self) -> int:
        return getattr(self.instruction, "digits", 1)

    def inputs(self) -> dict[str, int]:
        """What the sequencer sees in the next cycle."""
        is_pixel_end = self.digit == self.digits - 1
        return {
            "word_i": self.word,
            "pixel_end_i": is_pixel_end,
            "will_pixel_end_i": (0 if is_pixel_end else self.digit + 1) == self.digits - 1,
            "end_i": is_pixel_end and self.count == 1,
            "flags_i": self.instruction.encode() >> 3 & 3,
            "drain_will_be_busy_i": self.drain_left > 1,
        }

    def clock(self, now: dict[str, int]) -> None:
        """One clock edge, with the strobes before it."""
        self.cycles += now["running_o"]
        self.drain_left = max(0, self.drain_left - 1)
        self.note(now)
        if now["read_en_o"]:
            self.word = self.words.get(self.addr, 0)
        if now["slot_o"]:
            # The host reads, and so the instruction is gone.
            assert self.addr == HOST
            assert not now["read_en_o"]
            assert not now["store_o"]
            self.slots += 1
            self.word = self.cycles * 0x9E3779B97F4A7C15 & (1 << self.config.word_bits) - 1
        self.move(now)
        if now["prime_o"] or now["gather_o"]:
            self.offset = self.offsets.get(self.index, 0)
        # What the feeder takes of an illegal instruction does not matter.
        if now["decode_o"] and now["instruction_o"] & 7 in INSTRUCTIONS:
            self.take(decode(now["instruction_o"]))
        elif now["prime_o"] or now["gather_o"] or now["entry_o"]:
            self.index = (self.index + 1) % 256

    def note(self, now: dict[str, int]) -> None:
        """Record what leaves the sequencer or the memories in this cycle."""
        if now["offset_en_o"]:
            self.offsets[self.index] = now["unit_o"]
        for name in ("offset_en_o", "table_en_o"):
            if now[name]:
                self.events.append((name, self.index, now["unit_o"]))
        if now["parameter_en_o"]:
            self.events.append(("parameter", self.index, now["parameter_en_o"], self.word))
        if now["output_en_o"]:
            self.output = decode(now["instruction_o"])
        if now["drain_start_o"]:
            # The strobe comes in the drain's first cycle.
            drain = decode(now["instruction_o"])
            digits, thresholds = self.output.digits, bool(self.output.thresholds)
            cycles = drain_cycles(drain, digits, self.config, thresholds=thresholds)
            self.drain_left = cycles - 1
        for name in ("output_en_o", "drain_start_o"):
            if now[name]:
                self.events.append((name, decode(now["instruction_o"])))
        if now["load_o"]:
            self.events.append(("load", now["load_o"], self.addr))
        if now["stream_o"]:
            assert now["read_en_o"]
            self.events.append(("stream", self.addr))
        if now["store_o"]:
            assert not now["read_en_o"]
            self.events.append(("store", self.addr, *self.buffered))
        if now["buffer_en_o"]:
            self.buffered = (self.pixel, self.digit)

    def move(self, now: dict[str, int]) -> None:
        """Address and counters, as the feeder moves them."""
        if now["jump_o"]:
            self.addr = decode(now["instruction_o"]).encode() >> 48
        elif now["follow_o"]:
            self.pc, self.addr = self.addr, HOST
        elif now["fetch_o"]:
            self.addr = self.pc
        elif now["gather_o"]:
            self.addr = (self.instruction.base + self.offset) % (1 << 16)
        elif now["address_step_o"]:
            self.addr += 1
        is_pixel_end = self.digit == self.digits - 1
        if now["entry_o"] or (now["count_o"] and is_pixel_end):
            self.count -= 1
        if now["count_o"]:
            self.digit = 0 if is_pixel_end else self.digit + 1
            self.pixel += is_pixel_end and not now["hold_pixel_o"]

    def take(self, instruction: Instruction) -> None:
        """Start an instruction."""
        self.instruction, self.index = instruction, getattr(instruction, "start", 0)
        self.count, self.digit, self.pixel = getattr(instruction, "count", 0), 0, 0


def place(config: ArrayConfig, code: list[int], seed: int = 0) -> dict[int, int]:
    """Words of a program, and random ones behind :data:`DATA`."""
    rng = np.random.default_rng(seed)
    words = {DATA + at: int.from_bytes(rng.bytes(config.word_bytes)) for at in range(80)}
    for index, each in enumerate(code):
        for part in range(config.instruction_words):
            shifted = each >> part * config.word_bits & (1 << config.word_bits) - 1
            words[CODE + index * config.instruction_words + part] = shifted
    return words


def run(machine: Machine, *, step: bool = False) -> Status:
    """Run from :data:`CODE` on until the sequencer stops."""
    dut, result = Sequencer(machine.config), []

    async def bench(ctx):
        ctx.set(dut.run_i, 1)
        ctx.set(dut.step_i, step)
        while not result:
            for name, value in machine.inputs().items():
                ctx.set(getattr(dut, name), value)
            values = await ctx.tick().sample(*(getattr(dut, name) for name in STROBES))
            now = dict(zip(STROBES, values[2:], strict=True))
            ctx.set(dut.run_i, 0)
            if not now["running_o"]:
                # Idle: the address follows the host's, here to where the program begins.
                assert now["follow_o"]
                assert now["slot_o"]
                continue
            if now["stopped_o"]:
                machine.cycles += 1
                result.append(Status(now["status_o"]))
            else:
                machine.clock(now)
        await ctx.tick()
        assert not ctx.get(dut.running_o)

    simulate(dut, bench, timeout_cycles=3000)
    return result[0]


def table_events(load: Load, machine: Machine) -> list[tuple]:
    """What a LOAD writes, entry by entry."""
    config = machine.config
    if load.target in (LoadTarget.PARAMETERS, LoadTarget.THRESHOLDS):
        is_threshold = load.target is LoadTarget.THRESHOLDS
        words = config.threshold_words if is_threshold else config.parameter_words
        return [
            ("parameter", load.start + at // words, 1 << at % words, machine.words[load.addr + at])
            for at in range(load.count * words)
        ]
    name = "offset_en_o" if load.target is LoadTarget.OFFSETS else "table_en_o"
    events = []
    for at in range(load.count):
        word, unit = divmod(at, config.word_units)
        value = machine.words[load.addr + word] >> 16 * unit & 0xFFFF
        events.append((name, load.start + at, value))
    return events


def expected_events(code: list[Instruction], machine: Machine) -> list[tuple]:
    """What a program moves, instruction by instruction."""
    config, events, offsets = machine.config, [], {}

    def addresses(move: Matmul | Store) -> list[tuple[int, int, int]]:
        return [
            ((move.base + offsets.get(move.start + pixel, 0)) % (1 << 16) + digit, pixel, digit)
            for pixel in range(move.count)
            for digit in range(move.digits)
        ]

    for each in code:
        match each:
            case Load():
                events += table_events(each, machine)
                if each.target is LoadTarget.OFFSETS:
                    offsets |= {index: value for _, index, value in events[-each.count :]}
            case Matmul():
                for at in range(config.weight_words):
                    group = at // (config.weight_digits * config.pe_cols)
                    events.append(("load", 1 << group, each.weights + at))
                events += [("stream", addr) for addr, _, _ in addresses(each)]
            case Store():
                for addr, pixel, digit in addresses(each):
                    events.append(("store", addr, 0 if each.repeat else pixel, digit))
            case Output():
                events.append(("output_en_o", each))
            case Drain():
                events.append(("drain_start_o", each))
    return events


def random_instruction(rng: np.random.Generator, config: ArrayConfig) -> Instruction:
    """Any instruction, with small counts."""
    count, start, digits = (int(rng.integers(low, 7)) for low in (1, 0, 1))
    move = {"count": count, "start": start, "digits": digits, "base": int(rng.integers(0, 9999))}
    match int(rng.integers(0, 6)):
        case 0:
            return Sync(halt=0)
        case 1:
            targets = list(LoadTarget)[: 4 if config.threshold_bits else 3]
            target, addr = targets[rng.integers(0, len(targets))], DATA + int(rng.integers(0, 40))
            return Load(target=target, count=count, start=start, addr=addr)
        case 2:
            return Matmul(first=0, half=0, weights=DATA + int(rng.integers(0, 40)), **move)
        case 3:
            thresholds = int(rng.integers(0, 2)) if config.threshold_bits else 0
            digits = int(rng.integers(1, 3))
            return Output(digits=digits, zero=0, lo=0, hi=255, thresholds=thresholds)
        case 4:
            return Drain(half=0, count=int(rng.integers(1, 4)), cols=2)
        case _:
            return Store(repeat=int(rng.integers(0, 2)), **move)


@settings(max_examples=30)
@given(st.sampled_from(CONFIGS), st.integers(0, 2**32 - 1))
def test_programs_move_what_they_say_in_the_cycles_they_say(config: ArrayConfig, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = Output(digits=1, zero=0, lo=0, hi=0)
    code = [start, *(random_instruction(rng, config) for _ in range(8)), Sync(halt=1)]
    machine = Machine(config, place(config, [each.encode() for each in code], seed))
    assert run(machine) is Status.HALTED
    assert machine.events == expected_events(code, machine)
    assert machine.cycles == program_cycles(code, config)[-1].cycle
    # The last one's is not counted, as the machine has stopped.
    lent = [each for each in code if not isinstance(each, Output | Drain)]
    assert machine.slots == len(lent) - 1


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_step_stops_at_the_first_sync(config: ArrayConfig) -> None:
    code = [Drain(half=0, count=1, cols=1), Sync(halt=0), Sync(halt=1)]
    machine = Machine(config, place(config, [each.encode() for each in code]))
    assert run(machine, step=True) is Status.PAUSED
    assert machine.cycles == program_cycles(code, config)[0].cycle


@pytest.mark.parametrize("target", LoadTarget)
def test_only_loads_of_offsets_and_matmuls_run_beside_a_drain(target: LoadTarget) -> None:
    config = CONFIGS[1]
    code = [
        Drain(half=0, count=3, cols=4),
        Load(target=target, count=2, addr=DATA),
        Matmul(first=1, half=1, digits=2, count=3, base=DATA, weights=DATA),
        Sync(halt=1),
    ]
    machine = Machine(config, place(config, [each.encode() for each in code]))
    assert run(machine) is Status.HALTED
    assert machine.events == expected_events(code, machine)
    drained = program_cycles([code[0], code[-1]], config)[0].cycle
    load = program_cycles([*code[1:]], config)[0].cycle
    assert machine.cycles == program_cycles(code, config)[0].cycle
    # The drain is longer than both others together; what waits for it comes on top.
    assert (machine.cycles == drained) == (target is LoadTarget.OFFSETS)
    assert load < drained


@pytest.mark.parametrize("opcode", [6, 7])
def test_illegal_instructions_stop_when_the_drain_is_done(opcode: int) -> None:
    config = CONFIGS[1]
    drain = Drain(half=0, count=2, cols=3)
    machine = Machine(config, place(config, [drain.encode(), opcode]))
    assert run(machine) is Status.ILLEGAL
    assert machine.drain_left == 0
    assert machine.cycles == program_cycles([drain, Sync(halt=1)], config)[-1].cycle


def test_the_host_sees_any_unit() -> None:
    dut, seen = Sequencer(CONFIGS[2]), []

    async def bench(ctx):
        ctx.set(dut.word_i, 0x7777_6666_5555_4444_3333_2222_1111_0000)
        for unit in range(8):
            ctx.set(dut.unit_index_i, unit)
            await ctx.tick()
            seen.append(ctx.get(dut.unit_o))

    simulate(dut, bench)
    assert seen == [0x1111 * unit for unit in range(8)]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_it_converts_to_rtlil(config: ArrayConfig) -> None:
    assert converts(Sequencer(config))
