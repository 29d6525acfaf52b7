"""The whole accelerator through its two byte streams, with random stalls, on Amaranth's simulator.

Whole programs and networks run on the compiled model, in ``tests/end_to_end``; here it is about
what the host sees.
"""

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest

from sim.functional import FunctionalSimulator
from sim.testbench import get, put, simulate
from systolic.accelerator import Accelerator
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import (
    Drain,
    Instruction,
    Load,
    LoadTarget,
    Matmul,
    Output,
    Store,
    Sync,
)
from systolic.spec.layout import pack_instructions, pack_parameters, pack_units, pack_weights
from systolic.spec.packets import FLAG_RESUME, FLAG_STEP, Command, Request
from systolic.spec.registers import REGISTER_BYTES, Identity, Registers, Status, identity
from tests.systolic.cycles import converts

CONFIGS = (
    ArrayConfig(rows=4, cols=2, weight_bits=4, digit_bits=4, acc_depth=16, scratchpad_words=256),
    ArrayConfig(rows=4, cols=8, weight_bits=3, digit_bits=8, pe_cols=2, scratchpad_words=200),
)
ENTRY, PARAMETERS, OFFSETS, WEIGHTS, ACTS, RESULTS = 0, 60, 110, 120, 150, 180


@dataclass
class Host:
    """The other end of both streams."""

    dut: Accelerator
    stalls: tuple[Random, Random] | tuple[None, None]

    async def ask(self, ctx, request: Request, count: int) -> bytes:
        """Send a request, receive as many bytes as asked for."""
        await put(ctx, self.dut.i, request.raw, stalls=self.stalls[0])
        return bytes(await get(ctx, self.dut.o, count, stalls=self.stalls[1]))

    async def write(self, ctx, addr: int, data: bytes, word_bytes: int) -> None:
        last = addr + len(data) // word_bytes - 1
        await self.ask(ctx, Request(Command.WRITE, addr=addr, last=last, payload=data), 0)

    async def run(self, ctx, addr: int, flags: int = 0) -> tuple[Status, Registers]:
        await self.ask(ctx, Request(Command.RUN, addr=addr, flags=flags), 0)
        status = Status((await self.ask(ctx, Request(Command.WAIT), 1))[0])
        registers = Request(Command.REGISTERS)
        return status, Registers.decode(await self.ask(ctx, registers, REGISTER_BYTES))


def converse(
    config: ArrayConfig, bench, *, seed: int | None = None, told: Identity | None = None
) -> None:
    """Run ``bench(ctx, host)`` on a monitored accelerator."""
    dut = Accelerator(config, identity=told)
    host = Host(dut, (None, None) if seed is None else (Random(seed), Random(seed + 1)))

    async def talk(ctx):
        await bench(ctx, host)

    simulate(dut, talk, watch=[dut.i, dut.o], timeout_cycles=12_000)


def example(config: ArrayConfig) -> tuple[dict[int, bytes], list[Instruction]]:
    """A layer of four pixels in two steps, and all that it reads."""
    rng = np.random.default_rng(1)
    limit = 1 << config.weight_bits - 1
    tile = rng.integers(-limit, limit, (config.rows, config.cols))
    channels = [(int(rng.integers(-99, 99)), 1 << 44, 1 << 8) for _ in range(config.cols)]
    data = {
        PARAMETERS: pack_parameters(channels, config),
        OFFSETS: pack_units([2 * config.max_digits * pixel for pixel in range(4)], config),
        WEIGHTS: pack_weights(tile, config),
        ACTS: rng.bytes(8 * config.max_digits * config.word_bytes),
    }
    digits = config.max_digits
    code = [
        Load(target=LoadTarget.OFFSETS, count=4, addr=OFFSETS),
        Load(target=LoadTarget.PARAMETERS, count=config.cols, addr=PARAMETERS),
        Output(digits=digits, zero=128, lo=0, hi=255),
        Matmul(first=1, half=0, digits=digits, count=4, base=ACTS, weights=WEIGHTS),
        Sync(halt=0),
        Drain(half=0, count=2, cols=config.cols, window=2),
        Store(digits=digits, count=2, base=RESULTS),
        # The accumulators are as they were, whatever has moved since.
        Drain(half=0, count=4, cols=config.cols),
        Store(digits=digits, count=4, base=RESULTS + digits, block=config.col_blocks - 1),
        Sync(halt=1),
    ]
    data[ENTRY] = pack_instructions([each.encode() for each in code], config)
    return data, code


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_program_runs_step_by_step(config: ArrayConfig, seed: int | None) -> None:
    data, code = example(config)
    functional = FunctionalSimulator(config)
    for addr, words in data.items():
        functional.write(addr, words)
    counters = functional.run(ENTRY, step=True)

    async def bench(ctx, host):
        for addr, words in data.items():
            await host.write(ctx, addr, words, config.word_bytes)
        assert await host.run(ctx, ENTRY, FLAG_STEP) == (Status.PAUSED, counters[0])
        behind = ENTRY + (1 + code.index(Sync(halt=0))) * config.instruction_words
        resumed = await host.run(ctx, behind, FLAG_STEP | FLAG_RESUME)
        assert resumed == (Status.HALTED, counters[1])
        digits = config.max_digits
        last = RESULTS + 8 * digits - 1
        read = Request(Command.READ, addr=RESULTS, last=last)
        answer = await host.ask(ctx, read, (last + 1 - RESULTS) * config.word_bytes)
        got = np.frombuffer(answer, np.uint8).reshape(-1, config.word_bytes)
        # Two pixels, and between and behind them four.
        firsts = [RESULTS + digits * at for at in (0, 2, 1, 3, 5, 7)]
        stored = [first + digit for first in firsts for digit in range(digits)]
        for addr in stored:
            word = functional.read(addr, 1)
            # Rows without a column hold anything.
            bits = min(config.rows, config.cols) * config.digit_bits
            mask = (1 << bits) - 1
            mine = got[addr - RESULTS].tobytes()
            assert int.from_bytes(mine, "little") & mask == int.from_bytes(word, "little") & mask

    converse(config, bench, seed=seed)


def test_the_host_learns_who_answers() -> None:
    config = CONFIGS[0]

    async def bench(ctx, host):
        answer = await host.ask(ctx, Request(Command.REGISTERS), REGISTER_BYTES)
        assert Registers.decode(answer) == Registers(identity(config), 0, 0)

    converse(config, bench)


def test_the_host_learns_of_link_and_board() -> None:
    config = CONFIGS[0]
    told = Identity(config.digest, window_log2=8, board_id=5, clock_mhz=24)

    async def bench(ctx, host):
        answer = await host.ask(ctx, Request(Command.REGISTERS), REGISTER_BYTES)
        assert Identity.decode(Registers.decode(answer).identity) == told

    converse(config, bench, told=told)


def test_an_illegal_instruction_is_reported_and_the_next_run_works() -> None:
    config = CONFIGS[0]
    halt = pack_instructions([Sync(halt=1).encode()], config)

    async def bench(ctx, host):
        await host.write(ctx, 8, pack_instructions([7], config), config.word_bytes)
        await host.write(ctx, 16, halt, config.word_bytes)
        status, registers = await host.run(ctx, 8)
        assert (status, registers.cycles) == (Status.ILLEGAL, config.fetch_cycles)
        status, registers = await host.run(ctx, 16)
        assert (status, registers.cycles) == (Status.HALTED, config.fetch_cycles)

    converse(config, bench)


def test_the_last_word_of_the_scratchpad_can_be_written_and_read() -> None:
    config = CONFIGS[1]
    data = bytes(range(2 * config.word_bytes))

    async def bench(ctx, host):
        await host.write(ctx, 198, data, config.word_bytes)
        read = Request(Command.READ, addr=198, last=199)
        assert await host.ask(ctx, read, len(data)) == data

    converse(config, bench, seed=3)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_it_converts_to_rtlil(config: ArrayConfig) -> None:
    assert converts(Accelerator(config))
