"""The host port, raw: random stalls on both streams and of the memories, played by Python."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from sim.testbench import get, put, simulate
from systolic.host_port import HostPort
from systolic.spec.config import ArrayConfig
from systolic.spec.packets import FLAG_RESUME, FLAG_STEP, Command, Request
from systolic.spec.registers import REGISTER_BYTES, Registers, Status, identity
from tests.systolic.cycles import converts

CONFIGS = (
    ArrayConfig(rows=4, cols=1, weight_bits=1, digit_bits=1),
    ArrayConfig(rows=5, cols=5, digit_bits=8),
    ArrayConfig(rows=64, cols=1, digit_bits=4),
)

STROBES = (
    "byte_o",
    "header_en_o",
    "address_step_o",
    "read_en_o",
    "byte_en_o",
    "byte_index_o",
    "buffer_en_o",
    "write_en_o",
    "run_o",
)


@dataclass
class Surroundings:
    """Feeder, scratchpad, output buffer and sequencer as far as the host port sees them.

    With ``busy`` a program seems to run: the host's turns come now and then, the address is not
    the host's but between ``follow`` and ``slot``, and a word read is gone a cycle later.
    """

    dut: HostPort
    word_bytes: int
    busy: Random | None = None
    words: dict[int, bytes] = field(default_factory=dict)
    runs: list[tuple[int, int]] = field(default_factory=list)

    def turns(self) -> Iterator[tuple[bool, bool, bool]]:
        """Of each cycle: follow, slot, and whether the output buffer takes a byte."""
        while True:
            if self.busy is None:
                yield True, True, True
                continue
            for _ in range(self.busy.randint(0, 6)):
                yield False, False, self.busy.random() < 0.5
            yield True, False, self.busy.random() < 0.5
            for _ in range(self.busy.randint(0, 3)):
                yield False, False, self.busy.random() < 0.5
            # Not every instruction lends the port.
            yield False, self.busy.random() < 0.7, self.busy.random() < 0.5

    async def bench(self, ctx) -> None:
        """Do in each cycle what the strobes say."""
        dut, host, last, shown = self.dut, 0, 0, bytes(self.word_bytes)
        addr: int | None = 0
        filling, out = bytearray(self.word_bytes), b""
        for follow, slot, is_ready in self.turns():
            ctx.set(dut.follow_i, follow)
            ctx.set(dut.slot_i, slot)
            ctx.set(dut.byte_ready_i, is_ready)
            ctx.set(dut.is_last_i, addr is not None and addr & 0xFF == last)
            unit = ctx.get(dut.unit_index_o)
            ctx.set(dut.unit_i, int.from_bytes(shown[2 * unit : 2 * unit + 2], "little"))
            values = await ctx.tick().sample(*(getattr(dut, name) for name in STROBES))
            now = dict(zip(STROBES, values[2:], strict=True))
            if self.busy is not None:
                shown = bytes(self.word_bytes)
            if now["read_en_o"]:
                assert slot
                shown = self.words.get(addr, b"\xee" * self.word_bytes)
            if now["write_en_o"]:
                assert slot
                assert addr is not None
                self.words[addr] = out
            if now["buffer_en_o"]:
                assert follow
                out = bytes(filling)
            if now["byte_en_o"] and is_ready:
                filling[now["byte_index_o"]] = now["byte_o"]
            if now["run_o"]:
                self.runs.append(host)
            if now["address_step_o"]:
                assert addr is not None
                advanced = addr + 1
            if follow:
                addr = host
            elif self.busy is not None and slot:
                addr = None
            if now["address_step_o"]:
                host = advanced
            if now["header_en_o"]:
                host, last = host >> 8 | last << 8, now["byte_o"]


def talk(
    config: ArrayConfig,
    sent: bytes,
    received: bytes,
    *,
    seed: int | None = None,
    is_busy: bool = False,
) -> Surroundings:
    """Send bytes; those given and no others must come back."""
    dut = HostPort(config)
    surroundings = Surroundings(dut, config.word_bytes, Random(seed) if is_busy else None)
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
        timeout_cycles=20_000,
    )
    assert bytes(answer) == received
    return surroundings


@pytest.mark.parametrize("is_busy", [False, True])
@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_words_written_are_read_back(config: ArrayConfig, seed: int | None, is_busy: bool) -> None:
    count = 5
    data = Random(3).randbytes(count * config.word_bytes)
    # Across the low byte's end.
    addrs = {"addr": 0x2FD, "last": 0x301}
    write = Request(Command.WRITE, **addrs, payload=data).raw
    read = Request(Command.READ, **addrs).raw
    middle = Request(Command.READ, addr=0x2FF, last=0x2FF).raw
    one = data[2 * config.word_bytes : 3 * config.word_bytes]
    surroundings = talk(config, write + read + middle, data + one, seed=seed, is_busy=is_busy)
    assert sorted(surroundings.words) == list(range(0x2FD, 0x302))
    assert b"".join(surroundings.words[addr] for addr in sorted(surroundings.words)) == data


def test_a_write_of_one_word_touches_no_other() -> None:
    config = CONFIGS[0]
    write = Request(Command.WRITE, addr=9, last=9, payload=b"ab").raw
    assert talk(config, write, b"").words == {9: b"ab"}


@pytest.mark.parametrize("opcode", [0, 6, 7, 8, 0xF6, 0xFF])
def test_other_opcodes_are_ignored_with_their_header(opcode: int) -> None:
    config = CONFIGS[0]
    ignored = bytes([opcode, 0xFF, 4, 3, 4])
    write = Request(Command.WRITE, addr=9, last=9, payload=b"ab").raw
    surroundings = talk(config, ignored + write + ignored, b"")
    assert (surroundings.words, surroundings.runs) == ({9: b"ab"}, [])


@pytest.mark.parametrize("seed", [None, 5])
def test_registers_before_any_run_are_identity_and_zeros(seed: int | None) -> None:
    config = CONFIGS[1]
    command = Request(Command.REGISTERS).raw
    answer = identity(config) + bytes(REGISTER_BYTES - len(identity(config)))
    talk(config, command * 2, answer * 2, seed=seed)


class Runs:
    """A sequencer that runs for given numbers of cycles, half of them with activations."""

    def __init__(self, dut: HostPort, runs: list[tuple[int, Status]]) -> None:
        self.dut, self.runs, self.steps = dut, runs, []

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
                *_, run, step = await ctx.tick().sample(self.dut.run_o, self.dut.step_o)
                assert not run, "a program runs already"
            self.steps.append(step)
            ctx.set(self.dut.running_i, 0)
            ctx.set(self.dut.stopped_i, 0)


PLAN = (
    (30, Status.PAUSED, FLAG_STEP),
    (11, Status.HALTED, FLAG_STEP | FLAG_RESUME),
    (17, Status.ILLEGAL, 0),
)


@pytest.mark.parametrize("seed", [None, 7])
def test_runs_are_counted_and_waited_for(seed: int | None) -> None:
    config = CONFIGS[0]
    dut = HostPort(config)
    surroundings = Surroundings(dut, config.word_bytes)
    runs = Runs(dut, [(cycles, status) for cycles, status, _ in PLAN])
    stalls = None if seed is None else Random(seed)
    counters = []

    async def host(ctx):
        for index, (_, status, flags) in enumerate(PLAN):
            run = Request(Command.RUN, addr=0x340 + index, flags=flags)
            await put(ctx, dut.i, run.raw + Request(Command.WAIT).raw, stalls=stalls)
            assert await get(ctx, dut.o, 1, stalls=stalls) == [status]
            await put(ctx, dut.i, Request(Command.REGISTERS).raw, stalls=stalls)
            data = bytes(await get(ctx, dut.o, REGISTER_BYTES, stalls=stalls))
            counters.append(Registers.decode(data))

    simulate(dut, host, background=[surroundings.bench, runs.bench], watch=[dut.i, dut.o])
    counted = [(registers.cycles, registers.busy_cycles) for registers in counters]
    assert counted == [(30, 15), (41, 20), (17, 8)]
    assert surroundings.runs == [0x340, 0x341, 0x342]
    assert runs.steps == [1, 1, 0]


def test_a_run_waits_for_the_one_before_it() -> None:
    config = CONFIGS[0]
    dut = HostPort(config)
    surroundings = Surroundings(dut, config.word_bytes)
    runs = Runs(dut, [(cycles, status) for cycles, status, _ in PLAN])
    # Flags of those that wait are no concern of the one that runs.
    requests = [Request(Command.RUN, addr=9 + at, flags=PLAN[at][2]).raw for at in range(3)]

    async def host(ctx):
        await put(ctx, dut.i, b"".join(requests) + Request(Command.WAIT).raw)
        assert await get(ctx, dut.o, 1) == [Status.ILLEGAL]

    simulate(dut, host, background=[surroundings.bench, runs.bench], watch=[dut.i, dut.o])
    assert surroundings.runs == [9, 10, 11]
    assert runs.steps == [1, 1, 0]


def test_it_converts_to_rtlil() -> None:
    assert converts(HostPort(CONFIGS[2]))
