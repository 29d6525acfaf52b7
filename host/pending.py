"""Requests on their way to their replies."""

from dataclasses import dataclass, field

from systolic.spec.packets import FCS_BYTES, REPLY_BYTES, Command, Reply, Request

__all__ = ["Pending", "Turn"]


@dataclass(eq=False)
class Pending:
    """A request on its way to its reply.

    Parameters
    ----------
    request : Request
        What was asked; the link numbers it when it is sent.
    reply_bytes : int
        Length of the reply's payload.
    allowance_s : float
        How long the device may compute before it answers, beside the link's timeout.
    reply : Reply or None
        The answer, once it is known. Where only the answer was lost, the request being executed,
        it tells the state at the time of the recovery.
    """

    request: Request
    reply_bytes: int = 0
    allowance_s: float = 0.0
    reply: Reply | None = None
    expected: int = field(default=0, init=False)
    """Sequence number that the reply must announce."""
    sent_bytes: int = field(default=0, init=False)

    @property
    def line_bytes(self) -> int:
        """Most bytes that the reply can take on the line, all of them escaped."""
        payload = self.reply_bytes + FCS_BYTES if self.reply_bytes else 0
        return 2 * (REPLY_BYTES + FCS_BYTES + payload) + 1

    def is_answered_by(self, registers: Reply) -> bool:
        """Whether a recovery's registers answer it, once sent, as well as its own reply."""
        if registers.expected != self.expected:
            return False
        is_idle = not registers.is_running
        command = self.request.command
        return command is Command.REGISTERS or (command is Command.WAIT and is_idle)


class Turn(Pending):
    """A request that belongs to the turn from the last sequence number to 0."""
