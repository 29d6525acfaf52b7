"""Delay lines: registers, or a ring in block RAM where that is cheaper."""

from amaranth import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class DelayLine(wiring.Component):
    """Word delayed by a fixed number of cycles, in registers.

    ``o[t + cycles] = i[t]``. Throughput 1 word per cycle, no flow control.

    Parameters
    ----------
    width : int
        Bits of a word.
    cycles : int
        Delay, 0 or more.

    Members
    -------
    i : ``In(width)``
        Word.
    o : ``Out(width)``
        The word ``cycles`` later.
    """

    def __init__(self, *, width: int, cycles: int) -> None:
        self.cycles = cycles
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = self.i
        for index in range(self.cycles):
            stage = Signal.like(self.i, name=f"stage_{index}", reset_less=True)
            m.d.sync += stage.eq(word)
            word = stage
        m.d.comb += self.o.eq(word)
        return m


class DelayMemory(wiring.Component):
    """Word delayed by a fixed number of cycles, in a ring of block RAM.

    ``o[t + cycles] = i[t]``, as :class:`DelayLine`, but the time comes from outside so that several
    rings share one counter. What comes out in the first ``cycles`` cycles is undefined.

    Parameters
    ----------
    width : int
        Bits of a word.
    cycles : int
        Delay: 2 at least, as a word can be read no sooner than the cycle after it was written, and
        the read takes one; ``2**time_bits`` at most.
    time_bits : int
        Bits of the counter; the ring has ``2**time_bits`` words.

    Members
    -------
    time_i : ``In(time_bits)``
        Counter that advances by one each cycle.
    i : ``In(width)``
        Word.
    o : ``Out(width)``
        The word ``cycles`` later.

    Raises
    ------
    :exc:`ValueError`
        If the delay does not fit.
    """

    def __init__(self, *, width: int, cycles: int, time_bits: int) -> None:
        if not 2 <= cycles <= 1 << time_bits:
            raise ValueError(f"cycles must be between 2 and {1 << time_bits}, not {cycles}")
        self.cycles = cycles
        self._time_bits = time_bits
        super().__init__({"time_i": In(time_bits), "i": In(width), "o": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ring = ring = memory.Memory(
            shape=len(self.i),
            depth=1 << self._time_bits,
            init=[],
            attrs={"ram_style": "block"},
        )
        write, read = ring.write_port(), ring.read_port()
        m.d.comb += [
            write.addr.eq(self.time_i),
            write.data.eq(self.i),
            write.en.eq(1),
            # Read in cycle t + cycles - 1 what was written in cycle t.
            read.addr.eq(self.time_i - (self.cycles - 1)),
            self.o.eq(read.data),
        ]
        return m
