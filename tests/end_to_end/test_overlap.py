"""The host at the scratchpad while programs run: neither notices the other."""

from random import Random

import numpy as np
import pytest

from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from systolic.spec.config import ArrayConfig
from systolic.spec.packets import Command, Request
from systolic.spec.registers import REGISTER_BYTES, Registers, Status
from tests.end_to_end.random_program import RandomProgram, random_program

CONFIGS = (
    ArrayConfig(scratchpad_words=6000),
    ArrayConfig(rows=4, cols=1, weight_bits=1, digit_bits=1, scratchpad_words=20_000),
    ArrayConfig(rows=10, cols=20, weight_bits=4, digit_bits=4, pe_cols=4, scratchpad_words=7000),
    ArrayConfig(rows=64, cols=2, digit_bits=3, pe_cols=2, scratchpad_words=3000),
)
PROGRAMS = 8
LIMIT_CYCLES = 10_000_000


def traffic(program: RandomProgram, count: int, seed: int) -> tuple[list[Request], bytes, bytes]:
    """Requests within memory that the program does not use, the answer, and that memory after."""
    config, rng = program.config, Random(seed)
    first = program.entry + len(program.code) * config.instruction_words
    size = config.word_bytes
    memory = bytearray(program.image[first * size :])
    requests, answer = [], b""
    for _ in range(count):
        words = rng.randint(1, 4)
        at = rng.randrange(len(memory) // size - words)
        span = slice(at * size, (at + words) * size)
        addrs = {"addr": first + at, "last": first + at + words - 1}
        if rng.random() < 0.7:
            memory[span] = rng.randbytes(words * size)
            requests.append(Request(Command.WRITE, **addrs, payload=bytes(memory[span])))
        else:
            requests.append(Request(Command.READ, **addrs))
            answer += memory[span]
    return requests, answer, bytes(memory)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_host_may_move_words_while_a_program_runs(config: ArrayConfig) -> None:
    rtl = RtlSimulator(config)
    overlapped = 0
    for seed in range(PROGRAMS):
        program = random_program(config, seed)
        functional = FunctionalSimulator(config)
        functional.write(0, program.image)
        (counters,) = functional.run(program.entry)
        rtl.write(0, program.image)

        requests, answer, memory = traffic(program, 2 + counters.cycles // 1500, seed)
        registers = Request(Command.REGISTERS)
        run = Request(Command.RUN, addr=program.entry)
        sent = [run, *requests, registers, Request(Command.WAIT), registers]
        received, _ = rtl.model.exchange(
            b"".join(request.raw for request in sent),
            len(answer) + 1 + 2 * REGISTER_BYTES,
            LIMIT_CYCLES,
        )
        assert received[: len(answer)] == answer
        early, status, late = (
            received[len(answer) :][:REGISTER_BYTES],
            received[-REGISTER_BYTES - 1],
            received[-REGISTER_BYTES:],
        )
        assert status == Status.HALTED
        assert Registers.decode(late) == counters
        overlapped += Registers.decode(early).cycles < counters.cycles
        words = np.frombuffer(rtl.read(0, config.scratchpad_words), np.uint8)
        expected = np.frombuffer(functional.read(0, config.scratchpad_words), np.uint8).copy()
        expected[len(expected) - len(memory) :] = np.frombuffer(memory, np.uint8)
        wrong = (words ^ expected) & program.defined.reshape(-1)
        assert not wrong.any(), f"words {np.flatnonzero(wrong)[:8] // config.word_bytes} differ"
    assert overlapped, "all programs had ended before the host was done"


@pytest.mark.parametrize("config", CONFIGS[:2], ids=str)
def test_runs_queue_up_behind_each_other(config: ArrayConfig) -> None:
    rtl = RtlSimulator(config)
    program = random_program(config, 3)
    functional = FunctionalSimulator(config)
    functional.write(0, program.image)
    (counters,) = functional.run(program.entry)
    rtl.write(0, program.image)
    run = Request(Command.RUN, addr=program.entry)
    sent = [run, run, run, Request(Command.WAIT), Request(Command.REGISTERS)]
    received, cycles = rtl.model.exchange(
        b"".join(request.raw for request in sent), 1 + REGISTER_BYTES, LIMIT_CYCLES
    )
    assert Registers.decode(received[1:]) == counters
    # Between two runs, the machine stands for a cycle or two.
    assert 3 * counters.cycles < cycles < 3 * counters.cycles + 200
