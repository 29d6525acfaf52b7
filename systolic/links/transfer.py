"""Bytes of packets on their way in and out: raw, or through the check sequence."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolic.links.crc32 import Crc32

FRAMED_BYTE = data.StructLayout({"data": 8, "end": 1})
"""What a framed packet is made of: bytes, and behind them an ``end`` without ``data``."""


class RawTransfer(wiring.Component):
    """Takes or sends one byte at a time, in a cycle if there is one and it is wanted.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes received.
    o : ``Out(stream.Signature(8))``
        Bytes sent.
    receive_i : ``In(1)``
        Take a byte.
    taken_o : ``Out(1)``
        The byte on ``i`` is taken in this cycle.
    send_i : ``In(1)``
        Send ``byte_i``; both hold until ``sent_o``.
    byte_i : ``In(8)``
        See above.
    sent_o : ``Out(1)``
        The byte is taken from ``o`` in this cycle.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "receive_i": In(1),
                "taken_o": Out(1),
                "send_i": In(1),
                "byte_i": In(8),
                "sent_o": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.i.ready.eq(self.receive_i),
            self.taken_o.eq(self.receive_i & self.i.valid),
            self.o.valid.eq(self.send_i),
            self.o.payload.eq(self.byte_i),
            self.sent_o.eq(self.send_i & self.o.ready),
        ]
        return m


class CheckedTransfer(wiring.Component):
    """Takes or sends one byte at a time and runs it through the check sequence, bit by bit.

    A byte takes eight cycles, from ``receive_i`` to ``taken_o`` or from ``send_i`` to ``sent_o``.
    Packets go in one direction at a time, so one check sequence does for both.

    Members
    -------
    i : ``In(stream.Signature(FRAMED_BYTE))``
        Packets received.
    o : ``Out(stream.Signature(FRAMED_BYTE))``
        Packets sent.
    receive_i : ``In(1)``
        Wait for a byte, and take it.
    skip_i : ``In(1)``
        Take whatever comes, unchecked.
    taken_o : ``Out(1)``
        The byte on ``i`` is taken in this cycle.
    ended_o : ``Out(1)``
        Instead of a byte, the packet's end is taken.
    send_i : ``In(1)``
        Send ``byte_i``; both hold until ``sent_o``.
    end_i : ``In(1)``
        Send the packet's end, likewise.
    byte_i : ``In(8)``
        See above.
    sent_o : ``Out(1)``
        The byte or the end is taken from ``o`` in this cycle.
    in_check_i : ``In(1)``
        The byte is one of the check sequence.
    differs_o : ``Out(1)``
        In this cycle the check sequence received turns out to be wrong.
    check_byte_o : ``Out(8)``
        Byte of the check sequence to be sent next.
    restart_i : ``In(1)``
        A packet begins, whatever became of the one before.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(FRAMED_BYTE)),
                "o": Out(stream.Signature(FRAMED_BYTE)),
                "receive_i": In(1),
                "skip_i": In(1),
                "taken_o": Out(1),
                "ended_o": Out(1),
                "send_i": In(1),
                "end_i": In(1),
                "byte_i": In(8),
                "sent_o": Out(1),
                "in_check_i": In(1),
                "differs_o": Out(1),
                "check_byte_o": Out(8),
                "restart_i": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = Crc32()
        bit = Signal(3)
        is_last_bit = bit.all()
        has_byte = self.i.valid & ~self.i.payload.end
        step = (self.receive_i & has_byte) | (self.send_i & (~is_last_bit | self.o.ready))
        with m.If(step):
            m.d.sync += bit.eq(bit + 1)
        m.d.comb += [
            crc.bit_i.eq(Mux(self.send_i, self.byte_i, self.i.payload.data).bit_select(bit, 1)),
            crc.step_i.eq(step),
            crc.seal_i.eq(self.in_check_i),
            crc.restart_i.eq(self.restart_i),
            self.check_byte_o.eq(crc.byte_o),
            self.differs_o.eq(step & self.in_check_i & crc.differs_o),
            self.taken_o.eq(self.receive_i & has_byte & is_last_bit),
            self.ended_o.eq((self.receive_i | self.skip_i) & self.i.valid & self.i.payload.end),
            self.i.ready.eq(self.taken_o | self.ended_o | self.skip_i),
            self.o.valid.eq((self.send_i & is_last_bit) | self.end_i),
            self.o.payload.data.eq(self.byte_i),
            self.o.payload.end.eq(self.end_i),
            self.sent_o.eq(self.o.valid & self.o.ready),
        ]
        return m
