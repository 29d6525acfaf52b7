"""Framed requests, good and damaged, to the compiled accelerator: replies as the contract says."""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from random import Random

import pytest

from sim.compiled import CompiledModel, SimulationTimeout, compile_component
from systolic.links.framed_accelerator import FramedAccelerator
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Sync
from systolic.spec.layout import pack_instructions
from systolic.spec.packets import (
    ABORT,
    FCS_BYTES,
    FLAG,
    REPLY_BYTES,
    SEQUENCES,
    Code,
    Command,
    Deframer,
    PacketError,
    Reply,
    Request,
    frame,
    seal,
    unseal,
)
from systolic.spec.registers import REGISTER_BYTES, Identity, Registers, Status

CONFIG = ArrayConfig(
    rows=4, cols=2, weight_bits=4, digit_bits=4, acc_depth=16, scratchpad_words=256
)
TOLD = Identity(CONFIG.digest, window_log2=6, board_id=1, clock_mhz=12)
SIZE = CONFIG.word_bytes
HALT, ILLEGAL, FOREVER, FREE = 0, 8, 16, 40
"""Words of three programs (the last one is nothing but pauses), and behind them."""

ANSWER_BYTES = REPLY_BYTES + REGISTER_BYTES + 2 * FCS_BYTES
STATE, STATES = "accelerator.host_port.fsm_state", 10

EXACT_FRAMES = 2000
GARBAGE_PACKETS = 10_000


def programs() -> bytes:
    """Contents of words ``0 .. FREE - 1``."""
    halt, pause = (pack_instructions([Sync(halt=at).encode()], CONFIG) for at in (1, 0))
    illegal = pack_instructions([7], CONFIG)
    spaced = b"".join(code.ljust(8 * SIZE, b"\0") for code in (halt, illegal))
    return spaced + pause * ((FREE - FOREVER) * SIZE // len(pause))


@lru_cache(maxsize=1)
def compiled() -> CompiledModel:
    dut = FramedAccelerator(CONFIG, identity=TOLD, waits=True)
    return compile_component(dut, name="framed", trace_depth=3)


def fresh() -> CompiledModel:
    """A device with its programs, and known words behind them."""
    model = compiled()
    model.reset()
    free = Random(1).randbytes((CONFIG.scratchpad_words - FREE) * SIZE)
    request = Request(
        Command.WRITE, addr=0, last=CONFIG.scratchpad_words - 1, payload=programs() + free
    )
    (reply,) = replies(model, request.encode())
    assert (reply.code, reply.expected) == (Code.DONE, 1)
    replies(model, ABORT)
    return model


def listen(model: CompiledModel, sent: bytes, cycles: int | None = None) -> bytes:
    """Bytes that come while and after these are sent."""
    if cycles is None:
        # The longest reply is 256 words; a byte takes a dozen cycles at most.
        cycles = 14 * len(sent) + 12 * 256 * SIZE if sent != ABORT else 50
    with pytest.raises(SimulationTimeout) as timeout:
        model.exchange(sent, 1 << 16, cycles)
    assert timeout.value.sent == len(sent), "the device takes no more"
    return timeout.value.received


def replies(model: CompiledModel, sent: bytes, cycles: int | None = None) -> list[Reply]:
    contents = list(Deframer().feed(listen(model, sent, cycles)))
    assert None not in contents
    return [Reply.decode(content) for content in contents if content is not None]


@dataclass
class Oracle:
    """What the device must reply, by the contract."""

    memory: dict[int, bytes | None]
    expected: int = 0
    status: Status = Status.HALTED
    answers: list[tuple[Code, int, Status, bytes | None]] = field(default_factory=list)

    def take(self, content: bytes) -> None:
        try:
            request, rest = Request.decode_header(content)
        except PacketError:
            self.say(Code.BAD_HEADER)
            return
        if request.command.is_sequenced and request.sequence != self.expected:
            self.say(Code.BAD_SEQUENCE)
        elif request.command is Command.WRITE:
            self.write(request, rest)
        else:
            self.execute(request)

    def write(self, request: Request, rest: bytes) -> None:
        addrs = [(request.addr + at) % 256 for at in range(request.words)]
        end = len(addrs) * SIZE
        try:
            # What is behind the check sequence means nothing.
            payload = unseal(rest[: end + 4])
            good = len(payload) == end
        except PacketError:
            good, payload = False, b""
        for index, addr in enumerate(addrs):
            self.memory[addr] = payload[index * SIZE :][:SIZE] if good else None
        self.expected = (self.expected + good) % SEQUENCES
        self.say(Code.DONE if good else Code.BAD_PAYLOAD)

    def execute(self, request: Request) -> None:
        payload: bytes | None = b""
        if request.command is Command.READ:
            words = [self.memory[(request.addr + at) % 256] for at in range(request.words)]
            payload = None if None in words else b"".join(word or b"" for word in words)
        elif request.command is Command.REGISTERS:
            payload = None
        elif request.command is Command.RUN:
            self.status = Status.HALTED if request.addr == HALT else Status.ILLEGAL
        self.expected = (self.expected + request.command.is_sequenced) % SEQUENCES
        self.say(Code.DONE, payload)

    def say(self, code: Code, payload: bytes | None = b"") -> None:
        self.answers.append((code, self.expected, self.status, payload))


def random_frames(rng: Random, oracle: Oracle, count: int) -> bytes:
    """Requests of all kinds, damaged in all ways; the oracle is told of each."""
    sent = b""
    for _ in range(count):
        content = damaged(random_request(rng, oracle.expected), rng)
        if content:
            oracle.take(content)
        # Frames may have flags between them.
        sent += frame(content) + bytes([FLAG] * rng.choice([0, 0, 0, 1, 3]))
    return sent


def random_request(rng: Random, expected: int) -> Request:
    sequence = expected if rng.random() < 0.9 else rng.randrange(SEQUENCES)
    match rng.choice([*Command, Command.WRITE, Command.READ]):
        case Command.WRITE:
            words = rng.choice([1, 2, 3, 20])
            addr = rng.randrange(FREE, CONFIG.scratchpad_words - words)
            payload = bytes(rng.choices([0x7D, 0x7E, rng.randrange(256)], k=words * SIZE))
            return Request(Command.WRITE, sequence, addr, addr + words - 1, payload=payload)
        case Command.READ:
            addr, words = rng.randrange(200), rng.choice([1, 2, 3, 20])
            return Request(Command.READ, sequence, addr, addr + words - 1)
        case Command.RUN:
            return Request(
                Command.RUN, sequence, rng.choice([HALT, ILLEGAL]), flags=rng.choice([0, 2])
            )
        case command:
            return Request(command, sequence, rng.randrange(1 << 16), flags=rng.randrange(32))


def damaged(request: Request, rng: Random) -> bytes:
    """Content of a frame: the request, or mostly so."""
    header, payload = seal(request.header), seal(request.payload) if request.payload else b""
    match rng.randrange(12):
        case 0:
            content = bytearray(header + payload)
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            return bytes(content)
        case 1:
            return (header + payload)[: rng.randrange(len(header + payload))]
        case 2:
            return header + payload + rng.randbytes(rng.randint(1, 9))
        case 3:
            opcode = rng.choice([0, 6, 7])
            return seal(bytes([opcode]) + request.header[1:])
        case 4:
            return rng.randbytes(rng.randint(0, 30))
        case _:
            return header + payload


@pytest.mark.parametrize("seed", range(2))
def test_every_frame_is_replied_to_as_it_deserves(seed: int) -> None:
    model, rng = fresh(), Random(seed)
    words = programs() + Random(1).randbytes((CONFIG.scratchpad_words - FREE) * SIZE)
    oracle = Oracle({at: words[at * SIZE :][:SIZE] for at in range(CONFIG.scratchpad_words)})
    codes = set()
    for _ in range(EXACT_FRAMES // 100):
        oracle.answers.clear()
        got = replies(model, random_frames(rng, oracle, 100))
        assert len(got) == len(oracle.answers)
        for reply, (code, expected, status, payload) in zip(got, oracle.answers, strict=True):
            assert (reply.code, reply.expected) == (code, expected)
            # These programs end before even the reply to their RUN is sent.
            assert (reply.status, reply.is_running) == (status, False)
            assert payload is None or reply.payload == payload
            codes.add(reply.code)
    assert codes == set(Code)


def garbage(rng: Random) -> bytes:
    """Bytes of which nothing can be expected, among them aborts and empty frames."""
    alphabet = rng.choice([range(256), [0x7D, 0x7E, 1, 2, 3], [0x7E, rng.randrange(256)]])
    return bytes(rng.choices(alphabet, k=rng.randint(1, 60)))


def until_answered(model: CompiledModel, sent: bytes) -> list[bytes | None]:
    """Contents of frames that come, up to the answer to a REGISTERS, the last that is sent."""
    deframer = Deframer()
    contents: list[bytes | None] = [None]
    # Even a flag and a byte are replied to, which takes a hundred cycles.
    for _ in range(len(sent)):
        with pytest.raises(SimulationTimeout) as timeout:
            model.exchange(sent, 1 << 12, 500)
        sent = sent[timeout.value.sent :]
        contents += deframer.feed(timeout.value.received)
        if not sent and len(contents[-1] or b"") == ANSWER_BYTES:
            break
    return contents


def check_garbage(packets: int, seed: int) -> None:
    model, rng = fresh(), Random(seed)
    valid = bytes([FLAG]) + Request(Command.REGISTERS).encode()
    for _ in range(packets // 10):
        noise = b"".join(garbage(rng) + bytes([FLAG]) for _ in range(10))
        *others, last = until_answered(model, noise + valid)
        # Replies that an abort has cut are there as well.
        assert {content[:1] for content in others if content} <= {bytes([Code.BAD_HEADER])}
        assert last is not None
        reply = Reply.decode(last)
        assert (reply.code, reply.expected, reply.is_running) == (Code.DONE, 0, False)
        assert Identity.decode(Registers.decode(reply.payload).identity) == TOLD
    # Nothing of it was executed.
    listen(model, ABORT)
    (reply,) = replies(model, Request(Command.READ, 0, 0, CONFIG.scratchpad_words - 1).encode())
    assert len(reply.payload) == CONFIG.scratchpad_words * SIZE
    assert reply.payload == programs() + Random(1).randbytes(len(reply.payload) - FREE * SIZE)


def test_garbage_neither_hangs_nor_changes_anything() -> None:
    check_garbage(GARBAGE_PACKETS, 5)


@pytest.mark.slow
def test_much_garbage_neither_hangs_nor_changes_anything() -> None:
    check_garbage(100_000, 6)


def test_an_abort_reaches_every_state() -> None:
    """Aborts at any moment of any request, also behind runs that never end."""
    model, rng = fresh(), Random(3)
    seen = set()
    for _ in range(2000):
        requests = [random_request(rng, 0)]
        if rng.random() < 0.3:
            # What waits behind it, is never done.
            requests.insert(0, Request(Command.RUN, 0, FOREVER))
            requests[1] = replace(requests[1], sequence=1)
        sent = b"".join(request.encode() for request in requests)
        if rng.random() < 0.5:
            sent = sent[: rng.randrange(len(sent) + 1)]
        # Nobody takes replies, or somebody does.
        for byte in sent:
            model.exchange(bytes([byte]), 0, 100_000)
            model.set("o__ready", rng.random() < 0.9)
            model.step(rng.randrange(12))
        model.set("o__ready", 0)
        model.step(rng.choice([0, rng.randrange(20), rng.randrange(300)]))
        seen.add(model.get(STATE))
        listen(model, ABORT)
        (reply,) = replies(model, Request(Command.WAIT).encode(), 1500)
        assert (reply.code, reply.expected, reply.status) == (Code.DONE, 0, Status.HALTED)
    assert len(seen) == STATES, "some states were never met"
