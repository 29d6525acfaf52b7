"""What tests put into a board instead of an accelerator: small, so that a build takes seconds."""

from amaranth import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class Line(wiring.Component):
    """Sends what it receives, inverted, some cycles later.

    Parameters
    ----------
    cycles : int
        How many; a flip-flop each.
    """

    def __init__(self, cycles: int = 8) -> None:
        self._cycles = cycles
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(self._cycles)
        m.d.sync += line.eq((line << 1) | ~self.rx)
        m.d.comb += self.tx.eq(line[-1])
        return m


class Sum(wiring.Component):
    """Adds up what it receives in one long adder, as slow as one likes.

    Parameters
    ----------
    bits : int
        Its bits.
    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line, total = Signal(self._bits), Signal(self._bits)
        m.d.sync += [line.eq((line << 1) | self.rx), total.eq(total + line)]
        m.d.comb += self.tx.eq(total[-1])
        return m


class Store(wiring.Component):
    """Sends what it received many cycles ago, out of block RAM.

    Parameters
    ----------
    words : int
        Words of 16 bits.
    """

    def __init__(self, words: int) -> None:
        self._words = words
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.store = store = memory.Memory(
            shape=16, depth=self._words, init=[], attrs={"ram_style": "block"}
        )
        write, read = store.write_port(), store.read_port()
        line, address = Signal(16), Signal(range(self._words))
        m.d.sync += [line.eq((line << 1) | self.rx), address.eq(address + 1)]
        m.d.comb += [write.addr.eq(address), write.data.eq(line), write.en.eq(self.rx)]
        m.d.comb += [read.addr.eq(address + 1), self.tx.eq(read.data.xor())]
        return m
