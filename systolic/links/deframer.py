"""Frames taken apart as they come."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolic.links.transfer import FRAMED_BYTE
from systolic.spec.packets import ESCAPE, ESCAPE_XOR, FLAG


class Deframer(wiring.Component):
    """Bytes of a line to bytes and ends of packets, as :mod:`systolic.spec.packets` frames them.

    There is no latency and no flow control: the line does not wait. Of empty frames the ends are
    shown; whoever reads them knows that they mean nothing.

    Members
    -------
    byte_i : ``In(8)``
        Byte from the line.
    valid_i : ``In(1)``
        There is one.
    o : ``Out(FRAMED_BYTE)``
        Byte or end of a packet.
    valid_o : ``Out(1)``
        There is one.
    abort_o : ``Out(1)``
        Instead, the host aborts everything.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "byte_i": In(8),
                "valid_i": In(1),
                "o": Out(FRAMED_BYTE),
                "valid_o": Out(1),
                "abort_o": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        is_escaped = Signal()
        is_escape, is_flag = self.byte_i == ESCAPE, self.byte_i == FLAG
        with m.If(self.valid_i):
            m.d.sync += is_escaped.eq(is_escape)
        m.d.comb += [
            self.o.data.eq(self.byte_i ^ (ESCAPE_XOR & is_escaped.replicate(8))),
            self.o.end.eq(is_flag),
            self.abort_o.eq(self.valid_i & is_flag & is_escaped),
            self.valid_o.eq(self.valid_i & ~is_escape & ~self.abort_o),
        ]
        return m
