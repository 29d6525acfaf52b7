"""Packets framed as they go."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from systolic.links.transfer import FRAMED_BYTE
from systolic.spec.packets import ESCAPE, ESCAPE_XOR, FLAG


class Framer(wiring.Component):
    """Bytes and ends of packets to bytes of a line, framed as :mod:`systolic.spec.packets` says.

    No latency; a byte that must be escaped goes out as two. The first byte after a reset is a flag:
    it ends the frame that the reset may have cut, so that the next one is whole.

    Members
    -------
    i : ``In(stream.Signature(FRAMED_BYTE))``
        Packets.
    o : ``Out(stream.Signature(8))``
        Bytes for the line.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(FRAMED_BYTE)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        has_begun, is_escaped = Signal(), Signal()
        byte = self.i.payload.data
        is_end = self.i.payload.end | ~has_begun
        needs_escape = ((byte == FLAG) | (byte == ESCAPE)) & ~is_end & ~is_escaped
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [has_begun.eq(1), is_escaped.eq(needs_escape)]
        escaped = byte ^ (ESCAPE_XOR & is_escaped.replicate(8))
        m.d.comb += [
            self.o.valid.eq(self.i.valid | ~has_begun),
            self.o.payload.eq(Mux(is_end, FLAG, Mux(needs_escape, ESCAPE, escaped))),
            self.i.ready.eq(self.o.ready & has_begun & ~needs_escape),
        ]
        return m
