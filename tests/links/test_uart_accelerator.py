# amaranth: UnusedElaboratable=no
"""The accelerator at its two pins, compiled: requests bit by bit, at rates that are off."""

from functools import lru_cache
from random import Random

import numpy as np
import pytest

from sim.compiled import CompiledModel, compile_component
from systolic.links.uart_accelerator import UartAccelerator
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Sync
from systolic.spec.layout import pack_instructions
from systolic.spec.packets import ABORT, Code, Command, Deframer, Reply, Request
from systolic.spec.registers import Identity, Registers, Status
from tests.systolic.cycles import converts

CONFIG = ArrayConfig(
    rows=4, cols=2, weight_bits=4, digit_bits=4, acc_depth=16, scratchpad_words=256
)
CLOCK_HZ, BAUD, BIT_CYCLES = 12e6, 3_000_000, 4
REGISTERS = Request(Command.REGISTERS)


@lru_cache(maxsize=1)
def compiled() -> CompiledModel:
    dut = UartAccelerator(CONFIG, clock_hz=CLOCK_HZ, baud=BAUD, board_id=7)
    return compile_component(dut, name="uart_accelerator")


def fresh() -> CompiledModel:
    model = compiled()
    model.reset()
    return model


def levels(data: bytes, rate: float) -> np.ndarray:
    """Line of ``data``, a level per clock cycle; bits are ``rate`` times as long as they ought."""
    bits = [bit for byte in data for bit in (0, *(byte >> at & 1 for at in range(8)), 1)]
    cycles = np.arange(int(len(bits) * BIT_CYCLES * rate))
    return np.array(bits, np.uint8)[(cycles / (BIT_CYCLES * rate)).astype(int)]


def sent_bytes(line: np.ndarray) -> bytes:
    """Bytes in a line of exact rate."""
    data, at = bytearray(), 0
    while (starts := np.flatnonzero(line[at:] == 0)).size:
        at += int(starts[0])
        frame = line[at + BIT_CYCLES // 2 :: BIT_CYCLES][:10]
        assert frame[9] == 1
        data.append(int(frame[1:9] @ (1 << np.arange(8))))
        at += 10 * BIT_CYCLES
    return bytes(data)


def talk(
    model: CompiledModel, data: bytes, cycles: int = 5000, *, rate: float = 1.0
) -> list[Reply]:
    """Replies that come while data is sent, and so many cycles later."""
    line = np.concatenate([levels(data, rate), np.ones(cycles, np.uint8)])
    tx = model.run_vectors({"rx": line}, ["tx"])["tx"]
    contents = Deframer().feed(sent_bytes(tx.astype(np.uint8)))
    return [Reply.decode(content) for content in contents if content is not None]


def test_it_says_who_it_is() -> None:
    model = fresh()
    (reply,) = talk(model, REGISTERS.encode())
    told = Identity(CONFIG.digest, window_log2=8, board_id=7, clock_mhz=12)
    assert Identity.decode(Registers.decode(reply.payload).identity) == told


@pytest.mark.parametrize("rate", [1.0, 0.98, 1.02])
def test_words_are_written_at_line_rate_and_read_back(rate: float) -> None:
    model = fresh()
    words = Random(5).randbytes(256 * CONFIG.word_bytes)
    write = Request(Command.WRITE, 0, 0, 255, payload=words)
    read = Request(Command.READ, 1, 0, 255)
    # A request right behind the words waits in the queue for its turn.
    replies = talk(model, write.encode() + read.encode(), 60 * len(words), rate=rate)
    assert [reply.code for reply in replies] == [Code.DONE, Code.DONE]
    assert replies[1].payload == words


def test_replies_leave_without_pauses() -> None:
    model = fresh()
    words = Random(6).randbytes(64 * CONFIG.word_bytes)
    write = Request(Command.WRITE, 0, 0, 63, payload=words)
    talk(model, write.encode())
    line = np.concatenate([levels(Request(Command.READ, 1, 0, 63).encode(), 1.0), np.ones(9000)])
    tx = model.run_vectors({"rx": line.astype(np.uint8)}, ["tx"])["tx"]
    data = sent_bytes(tx.astype(np.uint8))
    busy = np.flatnonzero(tx == 0)
    # From the first start bit to the last zero there is less than one byte more.
    assert len(data) * 10 * BIT_CYCLES - int(busy[-1] - busy[0]) in range(10 * BIT_CYCLES)


def test_without_a_window_one_request_at_a_time_is_served() -> None:
    dut = UartAccelerator(CONFIG, clock_hz=CLOCK_HZ, baud=BAUD, window_log2=0)
    model = compile_component(dut, name="uart_accelerator")
    model.reset()
    words = Random(8).randbytes(256 * CONFIG.word_bytes)
    (told,) = talk(model, REGISTERS.encode())
    assert Identity.decode(Registers.decode(told.payload).identity).window_log2 == 0
    (written,) = talk(model, Request(Command.WRITE, 0, 0, 255, payload=words).encode())
    (read,) = talk(model, Request(Command.READ, 1, 0, 255).encode(), 60 * len(words))
    assert (written.code, read.code, read.payload) == (Code.DONE, Code.DONE, words)


def test_an_abort_ends_a_program_and_the_reply_that_is_being_sent() -> None:
    model = fresh()
    pause, halt = (pack_instructions([Sync(halt=at).encode()], CONFIG) for at in (0, 1))
    forever = pause * (256 * CONFIG.word_bytes // len(pause))
    talk(model, Request(Command.WRITE, 0, 0, 255, payload=forever).encode())
    run = Request(Command.RUN, 1, 0).encode()
    (reply,) = talk(model, run)
    assert reply.is_running
    assert talk(model, Request(Command.WAIT).encode()) == []
    assert talk(model, REGISTERS.encode() + ABORT, 2000) == []
    end = Request(Command.WRITE, 0, 9, 9 + CONFIG.instruction_words - 1, payload=halt)
    replies = talk(model, end.encode() + Request(Command.RUN, 1, 9).encode() + REGISTERS.encode())
    assert [reply.expected for reply in replies] == [1, 2, 2]
    assert (replies[2].is_running, replies[2].status) == (False, Status.HALTED)
    assert Registers.decode(replies[2].payload).cycles == CONFIG.fetch_cycles


def test_a_rate_that_the_clock_does_not_give_is_refused() -> None:
    with pytest.raises(ValueError, match="baud must be at most a 4th of the clock"):
        UartAccelerator(CONFIG, clock_hz=10e6, baud=3_000_000)


def test_it_converts_to_rtlil() -> None:
    assert converts(UartAccelerator(CONFIG, clock_hz=CLOCK_HZ, baud=BAUD))
