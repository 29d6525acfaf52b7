"""What waits between a line that does not and a device that is busy."""

from amaranth import Module
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from systolic.links.transfer import FRAMED_BYTE


class ByteQueue(wiring.Component):
    """First in, first out, in block RAM (but for a single byte); one may leave every other cycle.

    A line cannot wait, but its host knows how much fits, and sends no more. If more comes
    nevertheless, all that wait are lost, which the check sequences of their packets will tell.

    Parameters
    ----------
    depth_log2 : int
        ``2**depth_log2`` bytes fit; the oldest stands at ``o``, out of the memory.

    Members
    -------
    i : ``In(FRAMED_BYTE)``
        Byte, or end of a packet.
    valid_i : ``In(1)``
        There is one.
    ready_o : ``Out(1)``
        It fits.
    o : ``Out(stream.Signature(FRAMED_BYTE))``
        The oldest.
    """

    def __init__(self, *, depth_log2: int) -> None:
        self._depth_log2 = depth_log2
        super().__init__(
            {
                "i": In(FRAMED_BYTE),
                "valid_i": In(1),
                "ready_o": Out(1),
                "o": Out(stream.Signature(FRAMED_BYTE)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self._depth_log2 == 0:
            self._build_register(m)
        else:
            self._build_memory(m)
        return m

    def _build_register(self, m: Module) -> None:
        m.d.comb += self.ready_o.eq(~self.o.valid)
        with m.If(self.valid_i):
            m.d.sync += [self.o.payload.eq(self.i), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

    def _build_memory(self, m: Module) -> None:
        m.submodules.bytes = words = memory.Memory(
            shape=FRAMED_BYTE, depth=1 << self._depth_log2, init=[], attrs={"ram_style": "block"}
        )
        write, read = words.write_port(), words.read_port()
        m.d.comb += [
            write.data.eq(self.i),
            write.en.eq(self.valid_i),
            read.en.eq(~self.o.valid),
            self.ready_o.eq((write.addr + 1)[: len(write.addr)] != read.addr),
            self.o.payload.eq(read.data),
        ]
        with m.If(self.valid_i):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(self.o.valid):
            m.d.sync += self.o.valid.eq(~self.o.ready)
        with m.Elif(read.addr != write.addr):
            m.d.sync += [self.o.valid.eq(1), read.addr.eq(read.addr + 1)]
