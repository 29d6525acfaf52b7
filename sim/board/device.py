"""A simulated device: the whole packet protocol in Python, over the functional simulator.

It has no clock. Time is counted in bytes, both directions being equally fast, and a program ends as
late as it can: when something waits for it. So a host that reads results too early, overwrites an
input that is still needed or sends more than the receive buffer holds is found out.
"""

from collections import Counter, deque
from typing import Final, Protocol

from sim.functional import FunctionalSimulator, SimulationError
from systolic.spec.config import ArrayConfig
from systolic.spec.packets import (
    ESCAPE,
    ESCAPE_XOR,
    FCS_BYTES,
    FLAG,
    FLAG_RESUME,
    FLAG_STEP,
    REQUEST_BYTES,
    SEQUENCES,
    Code,
    Command,
    PacketError,
    Reply,
    Request,
    fcs,
)
from systolic.spec.registers import COUNTER_BITS, Identity, Registers, Status

__all__ = ["ByteDevice", "FunctionalDevice"]

END: Final = -1
"""Stands in the receive buffer where a frame ends."""


class ByteDevice(Protocol):
    """Something at the device's end of a line, in simulated time."""

    def send(self, data: bytes) -> None:
        """Give it bytes."""
        ...

    def receive(self, timeout_s: float) -> bytes:
        """Bytes from it; none if none comes within that (simulated) time, or ever."""
        ...


class FunctionalDevice:
    """An accelerator with its link.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    window_log2 : int
        Logarithm of the receive buffer's bytes; 0 for none.
    board_id, clock_mhz : int
        What it says about itself.

    Attributes
    ----------
    simulator : FunctionalSimulator
        Holds its memory.
    executed : Counter of Command
        Requests that were done.
    overflows : int
        Bytes lost because the receive buffer was full.
    error : SimulationError or None
        Why the last program that failed did.
    """

    def __init__(
        self, config: ArrayConfig, *, window_log2: int = 8, board_id: int = 0, clock_mhz: int = 0
    ) -> None:
        self.config = config
        self.simulator = FunctionalSimulator(config)
        self.executed: Counter[Command] = Counter()
        self.overflows = 0
        self.error: SimulationError | None = None
        self._identity = Identity(config.digest, window_log2, board_id, clock_mhz).encode()
        self._buffer_bytes = 1 << window_log2
        self._max_content = (
            REQUEST_BYTES + 2 * FCS_BYTES + Request(Command.WRITE, last=255).words
            * config.word_bytes
        )  # fmt: skip
        self._abort()

    def _abort(self) -> None:
        """Initial state of everything but memories."""
        self._is_escaped = self._is_frame = False
        self._buffer: deque[int] = deque()
        self._content = bytearray()
        self._sending: deque[int] = deque()
        self._sent = bytearray()
        self._waiting: Request | None = None
        self._running: Request | None = None
        self._expected = 0
        self._status = Status.HALTED
        self._registers = Registers(self._identity, 0, 0)

    def send(self, data: bytes) -> None:
        """Give it bytes, at line rate: for each, it sends one of those it has to send."""
        for byte in data:
            if self._sending:
                self._sent.append(self._sending.popleft())
            self._deframe(byte)
            self._consume()

    def receive(self, timeout_s: float = 0.0) -> bytes:
        """Bytes from it, once nothing more is sent to it; there is no clock to time out by."""
        while True:
            data = bytes(self._sent) + bytes(self._sending)
            self._sent.clear()
            self._sending.clear()
            self._consume()
            if data or self._waiting is None:
                return data
            request, self._waiting = self._waiting, None
            self._finish()
            self._execute(request)

    # Link -----------------------------------------------------------------------------------------

    def _deframe(self, byte: int) -> None:
        if byte == FLAG and self._is_escaped:
            self._abort()
        elif byte == FLAG:
            # An end that finds no room comes with the next flag.
            self._is_frame = self._is_frame and not self._put(END)
        elif byte == ESCAPE and not self._is_escaped:
            self._is_escaped = True
        else:
            self._put(byte ^ ESCAPE_XOR if self._is_escaped else byte)
            self._is_escaped, self._is_frame = False, True

    def _put(self, item: int) -> bool:
        has_room = len(self._buffer) < self._buffer_bytes
        if has_room:
            self._buffer.append(item)
        self.overflows += not has_room
        return has_room

    def _consume(self) -> None:
        """Take bytes from the receive buffer, unless a reply is being sent or a RUN waits."""
        while self._buffer and not self._sending and self._waiting is None:
            item = self._buffer.popleft()
            if item != END:
                if len(self._content) <= self._max_content:
                    self._content.append(item)
                continue
            content = bytes(self._content)
            self._content.clear()
            self._handle(content)

    def _reply(self, code: Code, payload: bytes = b"") -> None:
        is_running = self._running is not None
        reply = Reply(code, self._expected, self._status, is_running, payload)
        self._sending.extend(reply.encode())

    # Requests -------------------------------------------------------------------------------------

    def _handle(self, content: bytes) -> None:
        try:
            request, rest = Request.decode_header(content)
        except PacketError:
            self._reply(Code.BAD_HEADER)
            return
        if request.command.is_sequenced and request.sequence != self._expected:
            self._reply(Code.BAD_SEQUENCE)
        elif request.command is Command.WRITE:
            self._write(request, rest)
        elif request.command in (Command.RUN, Command.WAIT) and self._running is not None:
            self._waiting = request
        else:
            self._execute(request)

    def _write(self, request: Request, rest: bytes) -> None:
        """Write words as they come; only then is it known whether they were right."""
        wanted, word_bytes = request.words * self.config.word_bytes, self.config.word_bytes
        for index in range(min(len(rest), wanted) // word_bytes):
            word = rest[index * word_bytes : (index + 1) * word_bytes]
            self.simulator.write((request.addr + index) % self.config.scratchpad_words, word)
        end = wanted + FCS_BYTES
        if len(rest) >= end and rest[wanted:end] == fcs(rest[:wanted]):
            self._done(request)  # what else there is until the flag is nobody's
        else:
            self._reply(Code.BAD_PAYLOAD)

    def _execute(self, request: Request) -> None:
        """Do a request that needs no waiting any more."""
        payload = b""
        if request.command is Command.READ:
            words = range(request.addr, request.addr + request.words)
            addrs = (word % self.config.scratchpad_words for word in words)
            payload = b"".join(self.simulator.read(addr, 1) for addr in addrs)
        elif request.command is Command.RUN:
            self._running = request
        elif request.command is Command.REGISTERS:
            registers = self._registers
            payload = registers.identity + b"".join(
                count.to_bytes(COUNTER_BITS // 8, "little")
                for count in (registers.cycles, registers.busy_cycles)
            )
        self._done(request, payload)
        if request.command is Command.REGISTERS:
            self._finish()  # who asks again finds it idle

    def _done(self, request: Request, payload: bytes = b"") -> None:
        self.executed[request.command] += 1
        if request.command.is_sequenced:
            self._expected = (self._expected + 1) % SEQUENCES
        self._reply(Code.DONE, payload)

    def _finish(self) -> None:
        """Let the program end that runs."""
        request, self._running = self._running, None
        if request is None:
            return
        step, resume = bool(request.flags & FLAG_STEP), bool(request.flags & FLAG_RESUME)
        try:
            stop = self.simulator.run_to_stop(request.addr, step=step, resume=resume)
        except SimulationError as error:
            self._status, self.error = Status.ILLEGAL, error
            return
        self._status = stop.status
        counts = stop.registers.cycles, stop.registers.busy_cycles
        self._registers = Registers(self._identity, *counts)
