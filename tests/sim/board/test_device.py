"""Simulated devices: the packet protocol, in Python and in gateware alike."""

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.board.device import ByteDevice, FunctionalDevice
from sim.board.rtl import RtlDevice, UartDevice
from systolic.spec.isa import Sync
from systolic.spec.layout import pack_instructions
from systolic.spec.packets import (
    ABORT,
    FLAG_RESUME,
    FLAG_STEP,
    Code,
    Command,
    Reply,
    Request,
    frame,
    seal,
)
from systolic.spec.registers import Identity, Registers, Status
from tests.host.small import CONFIG
from tests.sim.board.exchange import ask, drain, registers, replies

WORD = CONFIG.word_bytes
CODE_ADDR = 64
"""Where the tests' program lies: a SYNC, and one that halts."""


@cache
def gateware(kind: str) -> RtlDevice | UartDevice:
    """Elaborated and compiled once."""
    return RtlDevice(CONFIG) if kind == "rtl" else UartDevice(CONFIG)


def make(kind: str) -> ByteDevice:
    if kind == "functional":
        return FunctionalDevice(CONFIG)
    device = gateware(kind)
    device.power_on()
    return device


@pytest.fixture(params=["functional", "rtl", "uart"])
def device(request: pytest.FixtureRequest) -> ByteDevice:
    return make(request.param)


def write(addr: int, data: bytes, sequence: int) -> Request:
    last = addr + len(data) // WORD - 1
    return Request(Command.WRITE, sequence, addr, last, payload=data)


def load_program(device: ByteDevice) -> None:
    code = pack_instructions([Sync(halt=0).encode(), Sync(halt=1).encode()], CONFIG)
    assert ask(device, write(CODE_ADDR, code, 0)).expected == 1


def test_words_are_written_and_read(device: ByteDevice) -> None:
    data = bytes(Random(1).randbytes(256 * WORD))
    assert ask(device, write(7, data, 0)) == Reply(Code.DONE, 1, Status.HALTED)
    reply = ask(device, Request(Command.READ, 1, 7, 7 + 255))
    assert reply == Reply(Code.DONE, 2, Status.HALTED, payload=data)


def test_registers_say_who_it_is(device: ByteDevice) -> None:
    found = Identity.decode(Registers.decode(registers(device).payload).identity)
    assert (found.digest, found.window_log2) == (CONFIG.digest, 8)


def test_a_request_out_of_turn_is_not_executed(device: ByteDevice) -> None:
    ask(device, write(0, bytes([1]) * WORD, 0))
    for sequence in (0, 2, 255):
        reply = ask(device, write(0, bytes([2]) * WORD, sequence))
        assert (reply.code, reply.expected) == (Code.BAD_SEQUENCE, 1)
        assert ask(device, Request(Command.READ, sequence)).code is Code.BAD_SEQUENCE
        assert ask(device, Request(Command.RUN, sequence)).code is Code.BAD_SEQUENCE
    assert ask(device, Request(Command.READ, 1)).payload == bytes([1]) * WORD


def test_wait_and_registers_have_no_turn(device: ByteDevice) -> None:
    for command in (Command.WAIT, Command.REGISTERS):
        reply = ask(device, Request(command, sequence=77))
        assert (reply.code, reply.expected) == (Code.DONE, 0)


def test_a_damaged_header_is_refused(device: ByteDevice) -> None:
    content = bytearray(seal(Request(Command.READ).header))
    for index in range(len(content)):
        content[index] ^= 4
        (reply,) = replies(device, frame(bytes(content)))
        assert (reply.code, reply.expected) == (Code.BAD_HEADER, 0)
        content[index] ^= 4
    (reply,) = replies(device, frame(seal(bytes([7, 0, 0, 0, 0]))))
    assert reply.code is Code.BAD_HEADER


def test_damaged_words_are_refused_and_asked_again(device: ByteDevice) -> None:
    request = write(3, bytes(range(2 * WORD)), 0)
    good = seal(request.header) + seal(request.payload)
    for bad in (good[:-1], good[:-6], good[:12], good[:-1] + b"x"):
        (reply,) = replies(device, frame(bad))
        assert (reply.code, reply.expected) == (Code.BAD_PAYLOAD, 0)
    assert ask(device, request).code is Code.DONE
    reply = ask(device, Request(Command.READ, 1, 3, 4))
    assert reply.payload == request.payload


def test_a_program_runs_to_its_end(device: ByteDevice) -> None:
    load_program(device)
    assert ask(device, Request(Command.RUN, 1, CODE_ADDR)).expected == 2
    assert ask(device, Request(Command.WAIT)) == Reply(Code.DONE, 2, Status.HALTED)
    cycles = Registers.decode(registers(device).payload).cycles
    assert cycles == 2 * CONFIG.fetch_cycles
    # Counting on:
    ask(device, Request(Command.RUN, 2, CODE_ADDR, flags=FLAG_RESUME))
    ask(device, Request(Command.WAIT))
    assert Registers.decode(registers(device).payload).cycles == 2 * cycles


def test_a_program_stops_at_a_sync_and_goes_on(device: ByteDevice) -> None:
    load_program(device)
    behind = CODE_ADDR + CONFIG.instruction_words
    ask(device, Request(Command.RUN, 1, CODE_ADDR, flags=FLAG_STEP))
    assert ask(device, Request(Command.WAIT)).status is Status.PAUSED
    ask(device, Request(Command.RUN, 2, behind, flags=FLAG_STEP | FLAG_RESUME))
    assert ask(device, Request(Command.WAIT)).status is Status.HALTED


def test_an_illegal_instruction_stops_it(device: ByteDevice) -> None:
    ask(device, write(0, b"\xff" * WORD * CONFIG.instruction_words, 0))
    ask(device, Request(Command.RUN, 1, 0))
    assert ask(device, Request(Command.WAIT)).status is Status.ILLEGAL


def test_a_run_waits_for_the_one_before_and_tells_how_it_ended(device: ByteDevice) -> None:
    # Long enough that it still runs when its reply is sent.
    code = pack_instructions([Sync(halt=index == 49).encode() for index in range(50)], CONFIG)
    ask(device, write(CODE_ADDR, code, 0))
    ask(device, write(0, b"\xff" * WORD * CONFIG.instruction_words, 1))
    runs = [Request(Command.RUN, 2, 0), Request(Command.RUN, 3, CODE_ADDR)]
    _, second = replies(device, b"".join(run.encode() for run in runs))
    assert (second.status, second.is_running) == (Status.ILLEGAL, True)
    assert ask(device, Request(Command.WAIT)).status is Status.HALTED


def test_an_abort_brings_back_the_initial_state_but_keeps_memory(device: ByteDevice) -> None:
    load_program(device)
    ask(device, Request(Command.RUN, 1, CODE_ADDR, flags=FLAG_STEP))
    half = Request(Command.WRITE, 2, 0, 255).encode()[:8]
    device.send(half + frame(b"") + ABORT)
    drain(device)  # perhaps part of a reply
    assert registers(device).expected == 0
    reply = ask(device, Request(Command.READ, 0, CODE_ADDR, CODE_ADDR))
    assert reply.payload == pack_instructions([Sync(halt=0).encode()], CONFIG)[:WORD]


@pytest.mark.parametrize("kind", ["functional", "rtl"])
def test_garbage_neither_hangs_nor_corrupts(kind: str) -> None:
    """100,000 packets: random bytes, cut and damaged requests, with a look in between."""
    device, random = make(kind), Random(5)
    kept = random.randbytes(64 * WORD)
    assert ask(device, write(512, kept, 0)).code is Code.DONE
    for _ in range(100):
        garbage = b"".join(garbage_packet(random) for _ in range(1000))
        device.send(garbage)
        drain(device)
        assert registers(device).code is Code.DONE
    device.send(frame(b"") + ABORT)
    drain(device)
    assert registers(device).expected == 0
    assert ask(device, Request(Command.READ, 0, 512, 512 + 63)).payload == kept


def garbage_packet(random: Random) -> bytes:
    """A frame's worth of noise; half of them are damaged requests for words 0..255."""
    if random.random() < 0.5:
        return random.randbytes(random.randrange(40)) + b"~"
    command = Command(random.randint(1, 5))
    payload = random.randbytes(WORD) if command is Command.WRITE else b""
    addr = random.randrange(256)
    request = Request(command, random.randrange(256), addr, addr, payload=payload)
    packet = bytearray(request.encode())
    # In what is left of it, but not in its flag: a request is not damaged by what follows it.
    packet = packet[: random.randrange(2, len(packet) + 1)]
    packet[random.randrange(len(packet) - 1)] ^= 1 << random.randrange(8)
    return bytes(packet)


CONTENTS = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda command, sequence, addr, words, cut, extra: (
            seal(Request(command, sequence, addr, addr + words - 1).header)
            + (seal(bytes([addr]) * words * WORD) if command is Command.WRITE else b"")
        )[:cut] + extra,
        st.sampled_from([Command.WRITE, Command.READ, Command.WAIT]),
        st.integers(0, 6),
        st.integers(0, 40),
        st.integers(1, 4),
        st.one_of(st.none(), st.integers(0, 40)),
        st.sampled_from([b"", b"", b"x", bytes(20)]),
    ),
)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(CONTENTS, max_size=20))
def test_the_model_answers_as_the_gateware_does(contents: list[bytes]) -> None:
    model, real = make("functional"), make("rtl")
    for device in (model, real):
        ask(device, write(0, bytes(64 * WORD), 0))
    for content in contents:
        data = frame(content)
        assert replies(model, data) == replies(real, data), content.hex()
