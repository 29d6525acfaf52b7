"""Bytes to a simulated device and what comes back, frame by frame."""

from sim.board.device import ByteDevice
from systolic.spec.packets import Command, Deframer, Reply, Request, frame
from systolic.spec.registers import REGISTER_BYTES

QUIET_S = 0.01
"""Longer, at the 1 MHz of a simulated device, than any reply takes to begin."""


def drain(device: ByteDevice) -> bytes:
    """All that comes until it is quiet."""
    received = b""
    while part := device.receive(QUIET_S):
        received += part
    return received


def replies(device: ByteDevice, data: bytes) -> list[Reply]:
    """Replies to some bytes."""
    device.send(data)
    return [Reply.decode(content or b"") for content in Deframer().feed(drain(device))]


def ask(device: ByteDevice, request: Request) -> Reply:
    """Only reply to a request."""
    (reply,) = replies(device, request.encode())
    return reply


def registers(device: ByteDevice) -> Reply:
    """Registers, which every state answers; an open frame, even in an escape, is ended first."""
    reply = replies(device, frame(b"\0") + Request(Command.REGISTERS).encode())[-1]
    assert len(reply.payload) == REGISTER_BYTES
    return reply
