"""The host port: commands with random stalls on both streams, memories played by Python."""

from dataclasses import dataclass, field
from random import Random

import pytest

from sim.testbench import get, put, simulate
from systolic.host_port import HostPort
from systolic.spec.config import ArrayConfig
from systolic.spec.registers import (
    FLAG_RESUME,
    FLAG_STEP,
    REGISTER_BYTES,
    Command,
    Registers,
    Status,
    encode_command,
    identity,
)
from tests.systolic.cycles import converts

CONFIGS = (
    ArrayConfig(rows=4, cols=1, weight_bits=1, digit_bits=1),
    ArrayConfig(rows=5, cols=5, digit_bits=8),
    ArrayConfig(rows=64, cols=1, digit_bits=4),
)


@dataclass
class Surroundings:
    """Feeder, scratchpad and output buffer as far as the host port drives them."""

    dut: HostPort
    word_bytes: int
    words: dict[int, bytes] = field(default_factory=dict)
    runs: list[tuple[int, int]] = field(default_factory=list)

    async def bench(self, ctx) -> None:
        """Do in each cycle what the strobes say."""
        dut, addr, pc, last, shown = self.dut, 0, 0, 0, bytes(self.word_bytes)
        filling, out = bytearray(self.word_bytes), b""
        while True:
            (
                *_,
                byte,
                header,
                fetch,
                step,
                read,
                enables,
                buffer,
                write,
                run,
                steps,
            ) = await ctx.tick().sample(
                dut.i.payload,
                dut.header_en_o,
                dut.fetch_o,
                dut.address_step_o,
                dut.read_en_o,
                dut.byte_en_o,
                dut.buffer_en_o,
                dut.write_en_o,
                dut.run_o,
                dut.step_o,
            )
            if read:
                shown = self.words.get(addr, b"\xee" * self.word_bytes)
            if write:
                self.words[addr] = out
            if buffer:
                out = bytes(filling)
            if enables:
                filling[enables.bit_length() - 1] = byte
            if run:
                self.runs.append((pc, steps))
            if fetch:
                addr = pc
            elif step:
                addr += 1
            if header:
                pc, last = pc >> 8 | last << 8, byte
            ctx.set(dut.is_last_i, addr & 0xFF == last)
            unit = ctx.get(dut.unit_index_o)
            ctx.set(dut.unit_i, int.from_bytes(shown[2 * unit : 2 * unit + 2], "little"))


def talk(
    config: ArrayConfig, sent: bytes, received: bytes, *, seed: int | None = None
) -> Surroundings:
    """Send bytes; those given and no others must come back."""
    dut = HostPort(config)
    surroundings = Surroundings(dut, config.word_bytes)
    stalls = [None if seed is None else Random(seed + index) for index in range(2)]
    answer: list[int] = []

    async def send(ctx):
        await put(ctx, dut.i, sent, stalls=stalls[0])
        for _ in range(20):
            await ctx.tick()

    async def receive(ctx):
        answer.extend(await get(ctx, dut.o, len(received), stalls=stalls[1]))
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(dut.o.valid), "more came than was asked for"

    simulate(
        dut,
        send,
        receive,
        background=[surroundings.bench],
        watch=[dut.i, dut.o],
        timeout_cycles=4000,
    )
    assert bytes(answer) == received
    return surroundings


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_words_written_are_read_back(config: ArrayConfig, seed: int | None) -> None:
    count = 5
    data = Random(3).randbytes(count * config.word_bytes)
    # Across the low byte's end.
    addrs = {"addr": 0x2FD, "last": 0x301}
    write = encode_command(Command.WRITE, **addrs) + data
    read = encode_command(Command.READ, **addrs)
    middle = encode_command(Command.READ, addr=0x2FF, last=0x2FF)
    one = data[2 * config.word_bytes : 3 * config.word_bytes]
    surroundings = talk(config, write + read + middle, data + one, seed=seed)
    assert sorted(surroundings.words) == list(range(0x2FD, 0x302))
    assert b"".join(surroundings.words[addr] for addr in sorted(surroundings.words)) == data


def test_a_write_of_one_word_touches_no_other() -> None:
    config = CONFIGS[0]
    write = encode_command(Command.WRITE, addr=9, last=9) + b"ab"
    assert talk(config, write, b"").words == {9: b"ab"}


@pytest.mark.parametrize("opcode", [0, 5, 6, 7, 9, 10, 11, 12, 0x81, 0xFF])
def test_other_opcodes_are_ignored_with_their_header(opcode: int) -> None:
    config = CONFIGS[0]
    ignored = bytes([opcode, 0xFF, 4, 3, 4])
    write = encode_command(Command.WRITE, addr=9, last=9) + b"ab"
    surroundings = talk(config, ignored + write + ignored, b"")
    assert (surroundings.words, surroundings.runs) == ({9: b"ab"}, [])


@pytest.mark.parametrize("seed", [None, 5])
def test_registers_before_any_run_are_identity_and_zeros(seed: int | None) -> None:
    config = CONFIGS[1]
    command = encode_command(Command.REGISTERS)
    answer = identity(config) + bytes(REGISTER_BYTES - len(identity(config)))
    talk(config, command * 2, answer * 2, seed=seed)


class Runs:
    """A sequencer that runs for given numbers of cycles, half of them with activations."""

    def __init__(self, dut: HostPort, runs: list[tuple[int, Status]]) -> None:
        self.dut, self.runs = dut, runs

    async def bench(self, ctx) -> None:
        for cycles, status in self.runs:
            run = False
            while not run:
                *_, run = await ctx.tick().sample(self.dut.run_o)
            ctx.set(self.dut.running_i, 1)
            for cycle in range(cycles):
                ctx.set(self.dut.stream_i, cycle % 2)
                ctx.set(self.dut.stopped_i, cycle == cycles - 1)
                ctx.set(self.dut.status_i, status)
                await ctx.tick()
            ctx.set(self.dut.running_i, 0)
            ctx.set(self.dut.stopped_i, 0)


@pytest.mark.parametrize("seed", [None, 7])
def test_runs_are_counted_and_answered(seed: int | None) -> None:
    config = CONFIGS[0]
    dut = HostPort(config)
    surroundings = Surroundings(dut, config.word_bytes)
    plan = [
        (30, Status.PAUSED, FLAG_STEP),
        (11, Status.HALTED, FLAG_STEP | FLAG_RESUME),
        (17, Status.ILLEGAL, 0),
    ]
    runs = Runs(dut, [(cycles, status) for cycles, status, _ in plan])
    stalls = None if seed is None else Random(seed)
    counters = []

    async def host(ctx):
        for index, (_, status, flags) in enumerate(plan):
            command = encode_command(Command.RUN, addr=0x340 + index, flags=flags)
            await put(ctx, dut.i, command, stalls=stalls)
            assert await get(ctx, dut.o, 1, stalls=stalls) == [status]
            await put(ctx, dut.i, encode_command(Command.REGISTERS), stalls=stalls)
            data = bytes(await get(ctx, dut.o, REGISTER_BYTES, stalls=stalls))
            counters.append(Registers.decode(data))

    simulate(dut, host, background=[surroundings.bench, runs.bench], watch=[dut.i, dut.o])
    counted = [(registers.cycles, registers.busy_cycles) for registers in counters]
    assert counted == [(30, 15), (41, 20), (17, 8)]
    assert surroundings.runs == [(0x340, 1), (0x341, 1), (0x342, 0)]


def test_it_converts_to_rtlil() -> None:
    assert converts(HostPort(CONFIGS[2]))
