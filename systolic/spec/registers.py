"""What the host sees of the accelerator: identity, counters and how programs end.

:mod:`systolic.spec.packets` says how it asks for them.
"""

from dataclasses import dataclass
from enum import IntEnum

from systolic.spec.config import ArrayConfig

MAGIC = b"SYST"
VERSION = 2
IDENTITY_BYTES = 16
COUNTER_BITS = 24
REGISTER_BYTES = IDENTITY_BYTES + 2 * COUNTER_BITS // 8


class Status(IntEnum):
    """How a program ended."""

    HALTED = 0
    PAUSED = 1
    ILLEGAL = 2


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
