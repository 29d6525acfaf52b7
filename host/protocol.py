"""Requests and replies over a line that may lose, damage, repeat and delay bytes.

:class:`Link` sends requests ahead, as many as the device's receive buffer allows, and matches
replies to them in order. A reply that is not exactly the one that must come (its code, its length
and the sequence number it announces are known beforehand), or none in time, starts a *recovery*:

1. ask for the registers, which the device answers in any state, until an answer comes;
2. it says which request the device will execute next; all before that one have been executed;
3. go on from there (go-back-N). A READ whose words got lost is asked again, behind the others.

A sequence number always stands for the same request, however often that is sent, so that nothing is
executed twice, whatever comes late. Only sequenced requests are sent ahead: nothing follows a WAIT
or REGISTERS until it is answered, as the device could miss it and go on.

Noise can look like an ABORT, after which the device expects number 0. It must not be mistaken for
one that has come to 0 by counting: the last number is spent on a request without effect, when all
before it are answered and no program runs.
"""

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from host.errors import DeviceTimeoutError, IdentityError, StateLostError
from host.pending import Pending, Turn
from host.transport import Transport
from systolic.spec.packets import (
    ABORT,
    FLAG,
    SEQUENCES,
    Code,
    Command,
    Deframer,
    PacketError,
    Reply,
    Request,
)
from systolic.spec.registers import MAGIC, REGISTER_BYTES, Registers

__all__ = ["DEFAULT_ATTEMPTS", "DEFAULT_TIMEOUT_S", "Link", "Statistics"]

DEFAULT_TIMEOUT_S: Final = 1.0
DEFAULT_ATTEMPTS: Final = 8

MAX_AHEAD: Final = 64
"""Requests on the way: far fewer than sequence numbers, so that old and new cannot be confused."""
MAX_AHEAD_BYTES: Final = 1 << 14
"""Bytes on the way: more than a USB bridge's delay (16 ms at 3 Mbaud), and a retry stays short."""
LAST_SEQUENCE: Final = SEQUENCES - 1
END_OF_REST: Final = bytes([0, FLAG])
"""Ends a request of which only a part was sent; a flag alone, behind an escape, were an ABORT."""
QUERY_ROOM_BYTES: Final = 24
"""Room left in the device's receive buffer for a recovery's query."""
QUIET_S: Final = 0.05
"""A line that is silent for so long, in the midst of answers, has no more of them: USB bridges
keep bytes for 16 ms at most."""
MAX_STRAY_BYTES: Final = 1 << 16
"""More than any reply: a line that gives so much without an answer is babbling."""

_log = logging.getLogger(__name__)


@dataclass
class Statistics:
    """What a link has gone through.

    Parameters
    ----------
    requests, recoveries, resent : int
        Requests sent for the first time, recoveries begun, and requests sent again.
    """

    requests: int = 0
    recoveries: int = 0
    resent: int = 0


class Link:
    """The host's end of the packet protocol.

    Parameters
    ----------
    transport : Transport
        Line to the device.
    timeout_s : float
        Longest silence while an answer is due.
    attempts : int
        Failures in a row, without any right answer between them, after which it gives up.

    Attributes
    ----------
    window_bytes : int
        Size of the device's receive buffer; 0 sends one request at a time.
    word_bytes : int
        Size of the device's words.
    statistics : Statistics
        Counts since the link was made.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        attempts: int = DEFAULT_ATTEMPTS,
    ) -> None:
        self.window_bytes = 0
        self.word_bytes = 0
        self.statistics = Statistics()
        self._transport = transport
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._deframer = Deframer()
        self._start_over()

    def _start_over(self) -> None:
        self._deframer.reset()
        self._queue: deque[Pending] = deque()  # to be sent
        self._sent: deque[Pending] = deque()  # unanswered; the last one perhaps in part
        self._unsent = b""  # rest of the last one
        self._done: int = 0  # sequence number before which everything is known to be executed
        self._next: int = 0  # of the next request to be sent
        self._numbered: int = 0  # behind the last that was ever given out
        self._failures = 0
        self._asked = 0  # recoveries' questions that are unanswered
        self._run_allowance_s = 0.0  # of the last RUN

    def reset(self) -> Registers:
        """Put the device into its initial state, and forget all requests.

        Raises
        ------
        DeviceTimeoutError
            If nothing answers.
        IdentityError
            If something does, but not as an accelerator.
        """
        self._start_over()
        stray, answers = 0, 0
        for _ in range(self._attempts):
            # The flag before it ends an escape that somebody left behind, which would hide it;
            # those behind it are nothing, and may get lost in the reset.
            self._transport.write(bytes([FLAG]) + ABORT + 4 * bytes([FLAG]))
            reply, heard = self._query()
            if reply is not None and reply.expected == 0 and not reply.is_running:
                return Registers.decode(reply.payload)
            stray, answers = stray + heard, answers + (reply is not None)
        if stray and not answers:
            raise IdentityError(
                self._transport.url,
                "what answers is no accelerator of ours: wrong port, wrong baud rate, or another "
                "bitstream (systolic build, systolic program)",
            )
        raise self._timeout("no answer: is the bitstream loaded, and is it the right port?")

    def post(self, request: Request, *, reply_bytes: int = 0, allowance_s: float = 0.0) -> Pending:
        """Send a request as soon as there is room for it, without waiting for the answer."""
        pending = Pending(request, reply_bytes, allowance_s)
        self._queue.append(pending)
        self._push()
        return pending

    def finish(self, pending: Pending) -> Reply:
        """Reply to a request that was posted.

        Raises
        ------
        DeviceTimeoutError
            If none comes.
        StateLostError
            If the device was reset meanwhile.
        DisconnectedError
            If the line is gone.
        """
        while pending.reply is None:
            self._push()
            data = self._transport.read(self._patience_s())
            if not data:
                self._recover("no answer")
                continue
            for content in self._deframer.feed(data):
                if not self._take(content):
                    # What else has come already answers requests that are asked again.
                    self._recover("a wrong answer")
                    break
        return pending.reply

    def finish_all(self, pendings: Iterable[Pending]) -> list[Reply]:
        """Replies to requests that were posted, in order."""
        return [self.finish(pending) for pending in pendings]

    def request(self, request: Request, *, reply_bytes: int = 0, allowance_s: float = 0.0) -> Reply:
        """Send a request and wait for its reply; raises what :meth:`finish` does."""
        return self.finish(self.post(request, reply_bytes=reply_bytes, allowance_s=allowance_s))

    # Sending --------------------------------------------------------------------------------------

    def _push(self) -> None:
        """Send what may be sent now."""
        while True:
            if not self._unsent:
                if not self._queue:
                    return
                if self._is_turn_due(self._queue[0]):
                    self._queue.extendleft(reversed(self._turn()))
                if not self._may_start(self._queue[0]):
                    return
                self._start(self._queue.popleft())
            room = self._room_bytes()
            if room <= 0:
                return
            part, self._unsent = self._unsent[:room], self._unsent[room:]
            self._sent[-1].sent_bytes += len(part)
            self._transport.write(part)

    def _may_start(self, pending: Pending) -> bool:
        if not self._sent:
            return True
        last = self._sent[-1]
        if self.window_bytes == 0 or isinstance(last, Turn):
            return False
        if not last.request.command.is_sequenced:
            return False
        ahead = sum(sent.sent_bytes for sent in self._sent)
        return len(self._sent) < MAX_AHEAD and ahead < MAX_AHEAD_BYTES and self._room_bytes() > 0

    def _is_turn_due(self, pending: Pending) -> bool:
        """Whether the last number would be given out to anything but the turn itself."""
        is_last = self._next == self._numbered == LAST_SEQUENCE
        return is_last and pending.request.command.is_sequenced and not isinstance(pending, Turn)

    def _turn(self) -> list[Pending]:
        """Requests that take the count from the last number to 0: the machine is idle meanwhile."""
        return [
            Turn(Request(Command.WAIT), allowance_s=self._run_allowance_s),
            Turn(Request(Command.READ), reply_bytes=self.word_bytes),
        ]

    def _start(self, pending: Pending) -> None:
        pending.request = replace(pending.request, sequence=self._next)
        if pending.request.command.is_sequenced:
            if self._next == self._numbered:
                self._numbered = (self._numbered + 1) % SEQUENCES
                self.statistics.requests += 1
            else:
                self.statistics.resent += 1
            self._next = (self._next + 1) % SEQUENCES
        if pending.request.command is Command.RUN:
            self._run_allowance_s = pending.allowance_s
        pending.expected = self._next
        pending.sent_bytes = 0
        self._sent.append(pending)
        self._unsent = pending.request.encode()
        _log.debug("%s", pending.request)

    def _room_bytes(self) -> int:
        """Bytes that the device can take now.

        A RUN may wait, and a reply may take long to be sent; what comes meanwhile stays in the
        device's receive buffer. Words of a WRITE are taken as they come.
        """
        if self.window_bytes == 0:
            return MAX_AHEAD_BYTES
        waiting, reply_bytes, is_held = 0, 0, False
        for sent in self._sent:
            waiting += sent.sent_bytes if is_held else 0
            if sent.request.command is not Command.WRITE:
                reply_bytes += sent.line_bytes
            # Its own rest is never behind itself.
            is_last = sent is self._sent[-1] and bool(self._unsent)
            is_held |= not is_last and (
                sent.request.command is Command.RUN or reply_bytes > self.window_bytes
            )
        return self.window_bytes - QUERY_ROOM_BYTES - waiting if is_held else MAX_AHEAD_BYTES

    def _patience_s(self) -> float:
        return self._timeout_s + sum(sent.allowance_s for sent in self._sent)

    # Receiving ------------------------------------------------------------------------------------

    def _take(self, content: bytes | None) -> bool:
        """Match a frame to the request it answers; False if it is not the answer."""
        if not self._sent:
            return True  # comes late, after all is done
        try:
            reply = Reply.decode(content or b"")
        except PacketError:
            return False
        pending = self._sent[0]
        wanted = (Code.DONE, pending.expected, pending.reply_bytes)
        if (reply.code, reply.expected, len(reply.payload)) != wanted:
            return False
        if pending.request.command is Command.WAIT and reply.is_running:
            return False  # what answered the RUN before it, once more
        _log.debug("%s", reply)
        self._sent.popleft()
        self._done = reply.expected
        self._failures = 0
        pending.reply = reply
        return True

    def _recover(self, reason: str) -> None:
        """Find out what was executed, and go on from there."""
        self.statistics.recoveries += 1
        # A late answer to one of these looks like one to the question below.
        self._asked += sum(sent.request.command is Command.REGISTERS for sent in self._sent)
        while True:
            self._failures += 1
            if self._failures > self._attempts:
                raise self._timeout(f"{reason} to a request")
            _log.info("%s: %s, recovering", self._transport.url, reason)
            reply, _ = self._query()
            if reply is not None:
                self._settle(reply)
                return

    def _query(self) -> tuple[Reply, int] | tuple[None, int]:
        """Ask for the registers; the reply, and how many bytes have come.

        Where several were asked for in vain, all their replies are waited for, or for silence: one
        that came later would be taken for another's.
        """
        self._unsent = b""
        self._deframer.reset()
        # Without a receive buffer, the reply to such an end would be in the way of what follows.
        end = END_OF_REST if self.window_bytes else bytes([FLAG])
        self._transport.write(end + Request(Command.REGISTERS).encode())
        self._asked += 1
        found, heard = None, 0
        while heard < MAX_STRAY_BYTES and not (found and self._asked == 0):
            quiet_s = min(self._timeout_s, QUIET_S)
            data = self._transport.read(quiet_s if found else self._patience_s())
            if not data:
                break
            heard += len(data)
            for content in self._deframer.feed(data):
                reply = _as_registers(content)
                if reply is not None:
                    found, self._asked = reply, max(0, self._asked - 1)
        if found is None:
            return None, heard
        self._asked = 0
        return found, heard

    def _settle(self, registers: Reply) -> None:
        """Put unanswered requests back, but for those that were executed before the registers."""
        executed = (registers.expected - self._done) % SEQUENCES
        given_out = (self._numbered - self._done) % SEQUENCES
        if executed > given_out:
            raise StateLostError(self._transport.url, registers.expected, self._done, given_out)
        waiting = [*self._sent, *self._queue]
        again: list[Pending] = []  # keep their numbers
        reread: list[Pending] = []
        fresh: list[Pending] = []
        sequenced = 0
        for pending in waiting:
            place, sequenced = sequenced, sequenced + pending.request.command.is_sequenced
            if pending in self._sent and pending.is_answered_by(registers):
                pending.reply = replace(registers, payload=registers.payload[: pending.reply_bytes])
            elif not pending.request.command.is_sequenced:
                (again if place <= given_out and not fresh else fresh).append(pending)
            elif place >= given_out:
                fresh.append(pending)
            elif place >= executed:
                again.append(pending)
            elif pending.reply_bytes:
                reread.append(pending)
            else:
                pending.reply = replace(registers, payload=b"")
        self._queue, self._sent = deque([*again, *reread, *fresh]), deque()
        self._done = self._next = registers.expected

    def _timeout(self, what: str) -> DeviceTimeoutError:
        return DeviceTimeoutError(self._transport.url, what, self._timeout_s, self._attempts)


def _as_registers(content: bytes | None) -> Reply | None:
    """Reply that holds an accelerator's registers, or None for anything else."""
    try:
        reply = Reply.decode(content or b"")
    except PacketError:
        return None
    is_answer = reply.code is Code.DONE and len(reply.payload) == REGISTER_BYTES
    return reply if is_answer and reply.payload.startswith(MAGIC) else None
