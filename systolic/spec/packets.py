"""What travels between host and accelerator: requests, replies, and how they are framed.

A *request* is five bytes of header, and words for a WRITE; a *reply* is three, and data for READ
and REGISTERS. Behind the header, and behind what follows it, stand four bytes of frame check
sequence (:func:`fcs`), each over its own section. The host may send many requests ahead; the device
executes them in order, one at a time, and answers each with one reply.

On a link a packet is framed as in RFC 1662: :data:`FLAG` ends it (and begins the next; an empty
frame is nothing, and what follows a packet within its frame means nothing), :data:`ESCAPE` stands
before a byte that would be one of the two, with :data:`ESCAPE_XOR` applied to it. :data:`ABORT` is
what no frame contains; it puts the device into its initial state, whatever it was doing, and only
its memories stay. It is not answered.

WRITE, READ and RUN are *sequenced*: the device executes them only if their ``sequence`` is the one
it expects, and then expects the next, modulo 256. So nothing is ever executed twice, and after an
error the host learns from any reply's ``expected`` where to go on.

An accelerator without a link takes the same requests *raw*: header and words, no check sequence, no
frame, ``sequence`` ignored; it answers with nothing but the data of READ and REGISTERS and, to a
WAIT, the byte ``status``.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from systolic.spec.registers import Status

FLAG = 0x7E
ESCAPE = 0x7D
ESCAPE_XOR = 0x20
ABORT = bytes([ESCAPE, FLAG])

FCS_BYTES = 4
FCS_POLYNOMIAL = 0xEDB88320
"""CRC-32 of RFC 1662 (and of Ethernet), bits reversed: least significant bit first."""
FCS_RESIDUE = 0xDEBB20E3
"""What the shift register holds behind a section and its right check sequence."""

REQUEST_BYTES = 5
REPLY_BYTES = 3
OPCODE_BITS = 3
BURST_WORDS = 256
SEQUENCES = 256

FLAG_STEP = 1
"""RUN: stop at every SYNC."""
FLAG_RESUME = 2
"""RUN: let the counters count on instead of starting from 0."""

STATUS_RUNNING = 0x80
"""Added to a reply's status while a program runs."""


class Command(IntEnum):
    """What a request asks for: its opcode.

    ``WRITE`` writes words ``addr .. last``, as they come; ``READ`` answers them. ``RUN`` waits
    until no program runs, starts the one at ``addr`` and replies at once; as long as it runs, the
    reply's status tells how the program before it ended. ``WAIT`` replies when no program runs.
    ``REGISTERS`` answers identity and counters, also while a program runs; what changes while it is
    sent may be torn.
    """

    WRITE = 1
    READ = 2
    RUN = 3
    WAIT = 4
    REGISTERS = 5

    @property
    def is_sequenced(self) -> bool:
        """Whether it is executed only in its turn."""
        return self <= Command.RUN


class Code(IntEnum):
    """What became of a request."""

    DONE = 0
    BAD_HEADER = 1
    """Cut short, wrong check sequence, or no known opcode: whatever it was, it was not executed."""
    BAD_SEQUENCE = 2
    """Not the sequence number expected: not executed."""
    BAD_PAYLOAD = 3
    """Words cut short, or with a wrong check sequence: memory ``addr .. last`` holds anything, and
    the sequence number is still expected."""


class PacketError(ValueError):
    """Bytes that are no packet."""


def fcs(section: bytes) -> bytes:
    """Frame check sequence of a section.

    >>> fcs(b"123456789").hex()
    '2639f4cb'
    """
    return zlib.crc32(section).to_bytes(FCS_BYTES, "little")


def seal(section: bytes) -> bytes:
    """Section with its check sequence behind it."""
    return section + fcs(section)


def unseal(data: bytes) -> bytes:
    """Section of which :func:`seal` made ``data``.

    Raises
    ------
    PacketError
        If the check sequence is missing or wrong.
    """
    section, check = data[:-FCS_BYTES], data[-FCS_BYTES:]
    if len(data) < FCS_BYTES or fcs(section) != check:
        raise PacketError(f"wrong check sequence behind {len(section)} bytes")
    return section


def frame(content: bytes) -> bytes:
    """Content of a frame as it is sent: escaped, with a flag behind it.

    >>> frame(b"a~b").hex()
    '617d5e627e'
    """
    # The escape first: what the flag becomes contains one.
    for byte in (ESCAPE, FLAG):
        content = content.replace(bytes([byte]), bytes([ESCAPE, byte ^ ESCAPE_XOR]))
    return content + bytes([FLAG])


class Deframer:
    """Takes a byte stream apart into the contents of its frames.

    Parameters
    ----------
    max_bytes : int
        Longest content that can mean anything. Of a longer one only one byte more is kept, so that
        garbage takes no memory and is still seen to be too long.
    """

    def __init__(self, max_bytes: int = 1 << 16) -> None:
        self._max_bytes = max_bytes
        self._content = bytearray()
        self._is_escaped = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Contents of the frames that end in ``data``, in order; None for an ABORT."""
        for byte in data:
            if byte == FLAG:
                content, is_abort = bytes(self._content), self._is_escaped
                self.reset()
                if is_abort or content:
                    yield None if is_abort else content
            elif byte == ESCAPE:
                # Also behind another one, which means nothing: so an ABORT is seen behind anything.
                self._is_escaped = True
            else:
                if len(self._content) <= self._max_bytes:
                    self._content.append(byte ^ ESCAPE_XOR if self._is_escaped else byte)
                self._is_escaped = False

    def reset(self) -> None:
        """Forget the frame that has begun."""
        self._content.clear()
        self._is_escaped = False


@dataclass(frozen=True)
class Request:
    """What the host asks for.

    Parameters
    ----------
    command : Command
        What to do.
    sequence : int
        Sequence number, 0 .. 255.
    addr : int
        First word, 0 .. 65535; a RUN's entry.
    last : int
        Last word; only its low byte travels, so that a request moves 256 words at most.
    flags : int
        :data:`FLAG_STEP`, :data:`FLAG_RESUME`.
    payload : bytes
        A WRITE's words.
    """

    command: Command
    sequence: int = 0
    addr: int = 0
    last: int = 0
    flags: int = 0
    payload: bytes = b""

    @property
    def words(self) -> int:
        """Number of words ``addr .. last``, 1 .. 256."""
        return (self.last - self.addr) % BURST_WORDS + 1

    @property
    def header(self) -> bytes:
        """Five bytes: opcode and flags, sequence, address (little-endian), low byte of the last."""
        code = self.command | self.flags << OPCODE_BITS
        return bytes([code, self.sequence, self.addr & 0xFF, self.addr >> 8, self.last & 0xFF])

    @property
    def raw(self) -> bytes:
        """Request for an accelerator without a link."""
        return self.header + self.payload

    def encode(self) -> bytes:
        """Frame of the request."""
        return frame(seal(self.header) + (seal(self.payload) if self.payload else b""))

    @classmethod
    def decode_header(cls, content: bytes) -> tuple["Request", bytes]:
        """Request without payload, and what follows its header (a WRITE's words, sealed).

        Parameters
        ----------
        content : bytes
            Content of a frame.

        Raises
        ------
        PacketError
            If the header is short or damaged, or of no known opcode.
        """
        end = REQUEST_BYTES + FCS_BYTES
        if len(content) < end:
            raise PacketError(f"a request has at least {end} bytes, not {len(content)}")
        code, sequence, low, high, last = unseal(content[:end])
        opcode, flags = code % (1 << OPCODE_BITS), code >> OPCODE_BITS
        if opcode not in set(Command):
            raise PacketError(f"no command has opcode {opcode}")
        addr = low | high << 8
        last = addr + (last - addr) % BURST_WORDS
        return cls(Command(opcode), sequence, addr, last, flags), content[end:]


@dataclass(frozen=True)
class Reply:
    """What the device answers.

    Parameters
    ----------
    code : Code
        What became of the request.
    expected : int
        Sequence number that the device will execute next, 0 .. 255.
    status : Status
        How the last run that has ended did.
    is_running : bool
        Whether a program runs.
    payload : bytes
        Words, or registers.
    """

    code: Code
    expected: int
    status: Status
    is_running: bool = False
    payload: bytes = b""

    @property
    def header(self) -> bytes:
        """Three bytes: code, expected, status."""
        running = STATUS_RUNNING if self.is_running else 0
        return bytes([self.code, self.expected, self.status | running])

    def encode(self) -> bytes:
        """Frame of the reply."""
        return frame(seal(self.header) + (seal(self.payload) if self.payload else b""))

    @classmethod
    def decode(cls, content: bytes) -> "Reply":
        """Reply in the content of a frame.

        Raises
        ------
        PacketError
            If it is short, damaged, or says what no device says.
        """
        end = REPLY_BYTES + FCS_BYTES
        if len(content) < end:
            raise PacketError(f"a reply has at least {end} bytes, not {len(content)}")
        code, expected, status = unseal(content[:end])
        payload = unseal(content[end:]) if len(content) > end else b""
        is_running, reason = bool(status & STATUS_RUNNING), status & ~STATUS_RUNNING
        if code not in set(Code) or reason not in set(Status):
            raise PacketError(f"a reply cannot have code {code} and status {status}")
        return cls(Code(code), expected, Status(reason), is_running, payload)


def bursts(addr: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut words ``addr .. addr + count - 1`` into what a request can move: (first, count) pairs."""
    for first in range(addr, addr + count, BURST_WORDS):
        yield first, min(BURST_WORDS, addr + count - first)
