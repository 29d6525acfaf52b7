"""An accelerator at the end of a line: who it is, its memory, its runs.

:class:`Device` has the calls of a simulator (``write``, ``read``, ``run``), so that whatever runs
programs on one runs them on the other. The ``post`` calls do the same without waiting for answers.
"""

import logging
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self

from host.errors import (
    BoardMismatchError,
    ConfigMismatchError,
    IdentityError,
    ProgramFailedError,
    ProtocolError,
)
from host.pending import Pending
from host.protocol import DEFAULT_ATTEMPTS, DEFAULT_TIMEOUT_S, Link
from host.transport import Transport, open_transport
from systolic.spec.boards import Board, board_by_id
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import InstructionError
from systolic.spec.layout import address_behind_sync
from systolic.spec.packets import (
    FCS_BYTES,
    FLAG_RESUME,
    FLAG_STEP,
    REPLY_BYTES,
    Command,
    Reply,
    Request,
    bursts,
)
from systolic.spec.registers import COUNTER_BITS, REGISTER_BYTES, Identity, Registers, Status

__all__ = ["Device", "board_name", "identify"]

UNKNOWN_CLOCK_HZ: Final = 1e6
"""Clock that is assumed of a device that does not tell: a slow one, such as a simulation."""
LONGEST_RUN_CYCLES: Final = 1 << COUNTER_BITS
"""What a run may take of which nothing is known."""
SHORT_READS: Final = 4
"""Up to so many bursts, words are read in pieces that leave the line free for words to write."""

_log = logging.getLogger(__name__)


class Device:
    """An accelerator of a known configuration.

    Opening it resets it; what it holds in memory stays.

    Parameters
    ----------
    connect : callable
        Opens the line; called again by :meth:`reconnect`.
    config : ArrayConfig
        What it must be.
    board : Board, optional
        The board it must be on.
    timeout_s : float
        Longest silence while an answer is due, beside the time it computes.
    attempts : int
        Failures in a row after which to give up.

    Attributes
    ----------
    identity : Identity
        What it says about itself.
    link : Link
        Where its requests go.
    generation : int
        Times it was reset; who finds another number than before has to load its memory again.

    Raises
    ------
    DeviceError
        Any of :mod:`host.errors`: no line, no answer, not an accelerator, not the wanted one.
    """

    def __init__(
        self,
        connect: Callable[[], Transport],
        config: ArrayConfig,
        *,
        board: Board | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        attempts: int = DEFAULT_ATTEMPTS,
    ) -> None:
        self.config = config
        self.generation = 0
        self._connect, self._board = connect, board
        self._timeout_s, self._attempts = timeout_s, attempts
        self._written: dict[int, bytes] = {}
        self._open()

    @classmethod
    def open(
        cls,
        url: str,
        config: ArrayConfig,
        *,
        board: Board | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        attempts: int = DEFAULT_ATTEMPTS,
    ) -> "Device":
        """Device at the end of the line of a URL; see :func:`host.transport.open_transport`."""
        return cls(
            lambda: open_transport(url), config, board=board, timeout_s=timeout_s, attempts=attempts
        )

    def _open(self) -> None:
        self._transport = self._connect()
        try:
            self.link = Link(self._transport, timeout_s=self._timeout_s, attempts=self._attempts)
            self.reset()
        except BaseException:
            self._transport.close()
            raise

    @property
    def url(self) -> str:
        """Where it is."""
        return self._transport.url

    @property
    def clock_hz(self) -> float:
        """Its clock; a slow one if it does not tell."""
        return self.identity.clock_mhz * 1e6 or UNKNOWN_CLOCK_HZ

    def reset(self) -> None:
        """Put it into its initial state, whatever it was doing; memories stay."""
        self.identity = _identity(self.url, self.link.reset())
        self.generation += 1
        if self._board is not None and self.identity.board_id != self._board.board_id:
            found = board_name(self.identity)
            raise BoardMismatchError(self.url, self._board.name, found)
        if self.identity.digest != self.config.digest:
            raise ConfigMismatchError(self.url, self.config.digest, self.identity.digest)
        self.link.window_bytes = 1 << self.identity.window_log2 if self.identity.window_log2 else 0
        self.link.word_bytes = self.config.word_bytes
        _log.info("%s: %s", self.url, self.identity)

    def reconnect(self) -> None:
        """Close the line and open it again, as after the device was unplugged."""
        self._transport.close()
        self._open()

    def close(self) -> None:
        """Close the line."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # As a simulator -------------------------------------------------------------------------------

    def write(self, addr: int, data: bytes) -> None:
        """Write whole words from ``addr`` on.

        Raises
        ------
        ValueError
            If ``data`` is not whole words, or they do not lie in the scratchpad.
        DeviceError
            If the device does not answer.
        """
        self.link.finish_all(self.post_write(addr, data))

    def read(self, addr: int, count: int) -> bytes:
        """Words ``addr .. addr + count - 1``; raises what :meth:`write` does."""
        return b"".join(
            reply.payload for reply in self.link.finish_all(self.post_read(addr, count))
        )

    def run(self, addr: int, *, step: bool = False, resume: bool = False) -> list[Registers]:
        """Run a program that was written to its end.

        Parameters
        ----------
        addr : int
            Word of the first instruction.
        step : bool
            Pause at every SYNC to read the counters; else only the last is read.
        resume : bool
            Let the counters count on, and the program go on where the one before it has ended.

        Returns
        -------
        list of Registers
            Counters at each SYNC where the program stopped.

        Raises
        ------
        ProgramFailedError
            If it meets an illegal instruction.
        DeviceError
            If the device does not answer.
        """
        start, marks = addr, list[Registers]()
        while True:
            self.link.finish(self.post_run(addr, step=step, resume=resume))
            status = self.wait().status
            marks.append(self.registers())
            if status is Status.HALTED:
                return marks
            if status is not Status.PAUSED:
                raise ProgramFailedError(self.url, start)
            try:
                addr, resume = address_behind_sync(self._written, addr, self.config), True
            except InstructionError as error:
                raise ProtocolError(
                    self.url, f"the device paused in what is no program ({error})"
                ) from None

    def wait(self, cycles: int = LONGEST_RUN_CYCLES) -> Reply:
        """Wait for the program that runs; the reply tells how it ended."""
        return self.link.finish(self.post_wait(cycles))

    def registers(self) -> Registers:
        """Identity and counters, as they are now."""
        reply = self.link.request(Request(Command.REGISTERS), reply_bytes=REGISTER_BYTES)
        return Registers.decode(reply.payload)

    # Without waiting ------------------------------------------------------------------------------

    def post_write(self, addr: int, data: bytes) -> list[Pending]:
        """Send words to be written; in bursts."""
        word_bytes = self.config.word_bytes
        if len(data) % word_bytes:
            raise ValueError(
                f"data must be whole words of {word_bytes} bytes, not {len(data)} bytes"
            )
        self._check_range(addr, len(data) // word_bytes)
        for index in range(0, len(data), word_bytes):
            self._written[addr + index // word_bytes] = data[index : index + word_bytes]
        pendings: list[Pending] = []
        for first, count in bursts(addr, len(data) // word_bytes):
            start = (first - addr) * word_bytes
            payload = data[start : start + count * word_bytes]
            request = Request(Command.WRITE, addr=first, last=first + count - 1, payload=payload)
            pendings.append(self.link.post(request))
        return pendings

    def post_read(self, addr: int, count: int) -> list[Pending]:
        """Ask for words, in bursts.

        As answers may get lost, they may be read later than what is posted behind them: post
        nothing that changes them before they have come.
        """
        self._check_range(addr, count)
        pendings: list[Pending] = []
        for first, part in self._read_bursts(addr, count):
            request = Request(Command.READ, addr=first, last=first + part - 1)
            pendings.append(self.link.post(request, reply_bytes=part * self.config.word_bytes))
        return pendings

    def post_run(
        self,
        addr: int,
        *,
        step: bool = False,
        resume: bool = False,
        previous_cycles: int = LONGEST_RUN_CYCLES,
    ) -> Pending:
        """Start a program when the one before it, of so many cycles, has ended.

        The reply's status tells how that one ended.
        """
        flags = FLAG_STEP * step | FLAG_RESUME * resume
        request = Request(Command.RUN, addr=addr, flags=flags)
        return self.link.post(request, allowance_s=previous_cycles / self.clock_hz)

    def post_wait(self, cycles: int = LONGEST_RUN_CYCLES) -> Pending:
        """Ask for an answer when no program runs; the one that runs takes so many cycles."""
        return self.link.post(Request(Command.WAIT), allowance_s=cycles / self.clock_hz)

    def _read_bursts(self, addr: int, count: int) -> Iterator[tuple[int, int]]:
        overhead = 2 * (REPLY_BYTES + 2 * FCS_BYTES) + 1
        short = (self.link.window_bytes - overhead) // (2 * self.config.word_bytes)
        if not 0 < short * SHORT_READS >= count:
            yield from bursts(addr, count)
            return
        for first in range(addr, addr + count, short):
            yield first, min(short, addr + count - first)

    def _check_range(self, addr: int, count: int) -> None:
        words = self.config.scratchpad_words
        if not 0 <= addr <= addr + count <= words:
            raise ValueError(f"words must be 0..{words - 1}, not {addr}..{addr + count - 1}")


def identify(
    url: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, attempts: int = DEFAULT_ATTEMPTS
) -> Identity:
    """Who answers at a URL, of whatever configuration; it is reset.

    Raises
    ------
    DeviceError
        If no accelerator answers.
    """
    with open_transport(url) as transport:
        link = Link(transport, timeout_s=timeout_s, attempts=attempts)
        return _identity(url, link.reset())


def board_name(identity: Identity) -> str:
    """Name of the board that a device is on, for messages."""
    if identity.board_id == 0:
        return "no board"
    board = board_by_id(identity.board_id)
    return board.name if board is not None else f"unknown board {identity.board_id}"


def _identity(url: str, registers: Registers) -> Identity:
    try:
        return Identity.decode(registers.identity)
    except ValueError as error:
        raise IdentityError(url, str(error)) from None
