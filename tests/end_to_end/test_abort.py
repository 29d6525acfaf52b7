"""Programs aborted anywhere: the next one runs as if nothing had been before it."""

from random import Random

import numpy as np
import pytest

from sim.compiled import CompiledModel, SimulationTimeout, compile_component
from sim.functional import FunctionalSimulator
from systolic.links.framed_accelerator import FramedAccelerator
from systolic.spec.config import ArrayConfig
from systolic.spec.packets import ABORT, Code, Command, Deframer, Reply, Request, bursts
from systolic.spec.registers import Identity, Registers
from tests.end_to_end.random_program import random_program

CONFIGS = (
    ArrayConfig(rows=10, cols=20, weight_bits=4, digit_bits=4, pe_cols=4, scratchpad_words=4000),
    # Instructions and parameters of several words: more that can be left half done.
    ArrayConfig(rows=4, cols=1, weight_bits=1, digit_bits=1, scratchpad_words=20_000),
)
PROGRAMS, ABORTS = 3, 8
LIMIT_CYCLES = 10_000_000


class Host:
    """A host that expects no faults."""

    def __init__(self, config: ArrayConfig) -> None:
        told = Identity(config.digest, window_log2=8)
        dut = FramedAccelerator(config, identity=told, waits=True)
        self.config = config
        self.model: CompiledModel = compile_component(dut, name="framed")
        self.model.reset()
        self.sequence = 0

    def abort(self) -> None:
        with pytest.raises(SimulationTimeout):
            self.model.exchange(ABORT, 1 << 10, 100)
        self.sequence = 0

    def ask(self, command: Command, addr: int = 0, words: int = 1, payload: bytes = b"") -> Reply:
        request = Request(command, self.sequence, addr, addr + words - 1, payload=payload)
        self.sequence = (self.sequence + command.is_sequenced) % 256
        sent, deframer = request.encode(), Deframer()
        for _ in range(LIMIT_CYCLES // 500):
            with pytest.raises(SimulationTimeout) as timeout:
                self.model.exchange(sent, 1 << 10, 500)
            sent = sent[timeout.value.sent :]
            for content in deframer.feed(timeout.value.received):
                assert content is not None
                reply = Reply.decode(content)
                assert reply.code is Code.DONE
                return reply
        raise AssertionError("no reply")

    def write(self, data: bytes) -> None:
        size = self.config.word_bytes
        for first, count in bursts(0, len(data) // size):
            payload = data[first * size : (first + count) * size]
            self.ask(Command.WRITE, first, count, payload)

    def read(self) -> bytes:
        parts = bursts(0, self.config.scratchpad_words)
        return b"".join(self.ask(Command.READ, *part).payload for part in parts)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_program_runs_as_ever_behind_aborts(config: ArrayConfig) -> None:
    host, rng = Host(config), Random(1)
    for seed in range(PROGRAMS):
        program = random_program(config, seed)
        functional = FunctionalSimulator(config)
        functional.write(0, program.image)
        (counters,) = functional.run(program.entry)
        for _ in range(ABORTS):
            # What it reads may be changed by now; where it stops does not depend on that.
            assert host.ask(Command.RUN, program.entry).is_running or counters.cycles < 200
            host.model.step(rng.randrange(counters.cycles))
            host.abort()
        host.write(program.image)
        host.ask(Command.RUN, program.entry)
        host.ask(Command.WAIT)
        assert Registers.decode(host.ask(Command.REGISTERS).payload) == Registers(
            Identity(config.digest, window_log2=8).encode(), counters.cycles, counters.busy_cycles
        )
        got, expected = (np.frombuffer(each, np.uint8) for each in (
            host.read(), functional.read(0, config.scratchpad_words)
        ))  # fmt: skip
        assert not ((got ^ expected) & program.defined.reshape(-1)).any()
