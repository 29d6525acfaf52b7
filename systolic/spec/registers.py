"""What the host sees of the accelerator: commands on its byte streams, identity and counters.

Commands are five bytes, ``opcode, flags, addr (16 bits, little-endian), last``; they address
scratchpad words, ``last`` being the low byte of the last word's address, so that a command moves
256 words at most. They are taken one at a time, while no program runs:

=========== ========================================== ==========================================
command     then, to the accelerator                   then, from the accelerator
=========== ========================================== ==========================================
WRITE       words ``addr .. last``                     nothing
READ        nothing                                    words ``addr .. last``
RUN         nothing                                    one byte, :class:`Status`, when it stops
REGISTERS   nothing                                    the :data:`REGISTER_BYTES` register bytes
=========== ========================================== ==========================================

RUN starts at ``addr``. With flag :data:`FLAG_STEP` it stops at every SYNC; the host goes on from
there by a RUN at the instruction behind it with :data:`FLAG_RESUME`, which lets the counters count
on. A WRITE goes through the output buffer: what was drained into it before is lost, also between a
pause and its resumption. Any other opcode is ignored, with its five bytes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from systolic.spec.config import ArrayConfig

MAGIC = b"SYST"
VERSION = 2
IDENTITY_BYTES = 16
COUNTER_BITS = 24
REGISTER_BYTES = IDENTITY_BYTES + 2 * COUNTER_BITS // 8

HEADER_BYTES = 5
BURST_WORDS = 256

FLAG_STEP = 1
FLAG_RESUME = 2


class Command(IntEnum):
    """First byte of a command."""

    WRITE = 1
    READ = 2
    RUN = 3
    REGISTERS = 4


class Status(IntEnum):
    """Answer to a RUN."""

    HALTED = 0
    PAUSED = 1
    ILLEGAL = 2


def encode_command(command: Command, *, addr: int = 0, last: int = 0, flags: int = 0) -> bytes:
    """Five bytes of a command."""
    return struct.pack("<BBHB", command, flags, addr, last & 0xFF)


def bursts(addr: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut words ``addr .. addr + count - 1`` into what a command can move: (first, count) pairs."""
    for first in range(addr, addr + count, BURST_WORDS):
        yield first, min(BURST_WORDS, addr + count - first)


@dataclass(frozen=True)
class Identity:
    """Who answers: 16 bytes, the first thing a host reads.

    Parameters
    ----------
    digest : bytes
        :attr:`systolic.spec.config.ArrayConfig.digest` of the array, 8 bytes.
    window_log2 : int
        The link takes ``2**window_log2`` bytes that wait for a request before them to be done; 0 if
        it takes one request at a time.
    board_id : int
        Number of the board, 0 .. 255; 0 if it has none.
    clock_mhz : int
        Clock of the array, MHz, rounded, 0 .. 255; 0 if it is not known.
    """

    digest: bytes
    window_log2: int = 0
    board_id: int = 0
    clock_mhz: int = 0

    def encode(self) -> bytes:
        """The 16 bytes: magic, version, window, board, clock, digest."""
        numbers = (VERSION, self.window_log2, self.board_id, self.clock_mhz)
        return MAGIC + bytes(numbers) + self.digest

    @classmethod
    def decode(cls, data: bytes) -> "Identity":
        """Identity of the 16 bytes.

        Raises
        ------
        ValueError
            If they are no identity, or one of another version.
        """
        if len(data) != IDENTITY_BYTES or not data.startswith(MAGIC):
            raise ValueError(f"{data.hex(' ')} is not the identity of an accelerator")
        version, window_log2, board_id, clock_mhz = data[len(MAGIC) : len(MAGIC) + 4]
        if version != VERSION:
            raise ValueError(f"the accelerator speaks version {version}, not {VERSION}")
        return cls(data[len(MAGIC) + 4 :], window_log2, board_id, clock_mhz)


def identity(config: ArrayConfig) -> bytes:
    """The identity bytes of an accelerator without link and board."""
    return Identity(config.digest).encode()


@dataclass(frozen=True)
class Registers:
    """What REGISTERS answers.

    Parameters
    ----------
    identity : bytes
        See :class:`Identity`.
    cycles : int
        Cycles since the last RUN without FLAG_RESUME, standing still while stopped, modulo
        ``2**COUNTER_BITS``.
    busy_cycles : int
        Those of them in which the array was given activations, likewise.
    """

    identity: bytes
    cycles: int
    busy_cycles: int

    @classmethod
    def decode(cls, data: bytes) -> "Registers":
        """Registers of the answer's bytes: identity, cycles, busy_cycles, little-endian."""
        middle = IDENTITY_BYTES + COUNTER_BITS // 8
        counters = data[IDENTITY_BYTES:middle], data[middle:]
        return cls(data[:IDENTITY_BYTES], *(int.from_bytes(part, "little") for part in counters))
