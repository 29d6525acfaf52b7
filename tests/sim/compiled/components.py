"""Small components that the tests of the compiled simulator share."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Chain", "Counter", "Echo", "Element", "Grid", "Store"]


class Counter(wiring.Component):
    """Counts while `en` is high."""

    en: In(1)
    y: Out(8)
    next: Out(signed(9))

    def elaborate(self, platform: object) -> Module:
        """Output the count and its negative."""
        m = Module()
        count = Signal(8, init=3)
        with m.If(self.en):
            m.d.sync += count.eq(count + 1)
        m.d.comb += [self.y.eq(count), self.next.eq(-count)]
        return m


class Element(wiring.Component):
    """Element of an array: adds its weight where the bit from the west is set."""

    def __init__(self, psum_i_bits: int = 12, psum_o_bits: int = 12) -> None:
        super().__init__(
            {
                "act_i": In(1),
                "act_o": Out(1),
                "load_i": In(1),
                "load_o": Out(1),
                "psum_i": In(signed(psum_i_bits)),
                "psum_o": Out(signed(psum_o_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Register every output."""
        m = Module()
        weight = Signal(signed(8))
        with m.If(self.load_i):
            m.d.sync += weight.eq(Cat(self.act_i, weight))
        m.d.sync += [
            self.act_o.eq(self.act_i),
            self.load_o.eq(self.load_i),
            self.psum_o.eq(Mux(self.act_i, self.psum_i + weight, self.psum_i)),
        ]
        return m


class Grid(wiring.Component):
    """Array of elements, fed from the west and the north; sums may grow from row to row."""

    def __init__(self, rows: int, cols: int, *, is_growing: bool = False) -> None:
        self._rows, self._cols = rows, cols
        self._bits = [8 + row.bit_length() if is_growing else 12 for row in range(rows)]
        sums = data.ArrayLayout(signed(self._bits[-1]), cols)
        super().__init__({"act_i": In(rows), "load_i": In(cols), "psum_o": Out(sums)})

    def elaborate(self, platform: object) -> Module:
        """Wire each element to its neighbours."""
        m = Module()
        grid = {}
        for row in range(self._rows):
            for col in range(self._cols):
                bits = self._bits[max(row - 1, 0)], self._bits[row]
                grid[row, col] = element = Element(*bits)
                m.submodules[f"element_{row}_{col}"] = element
                west = grid[row, col - 1].act_o if col else self.act_i[row]
                load = grid[row - 1, col].load_o if row else self.load_i[col]
                m.d.comb += [element.act_i.eq(west), element.load_i.eq(load)]
                if row:
                    m.d.comb += element.psum_i.eq(grid[row - 1, col].psum_o)
        for col in range(self._cols):
            m.d.comb += self.psum_o[col].eq(grid[self._rows - 1, col].psum_o)
        return m


class _Link(wiring.Component):
    """Adds its register to what comes in, within the cycle."""

    a: In(8)
    y: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(8, init=1)
        m.d.sync += held.eq(held + self.a)
        m.d.comb += self.y.eq(self.a + held)
        return m


class Chain(wiring.Component):
    """Like elements that depend on each other combinationally, one after the other."""

    a: In(8)
    y: Out(8)

    def elaborate(self, platform: object) -> Module:
        """Connect eight links."""
        m = Module()
        value = self.a
        for index in range(8):
            m.submodules[f"link_{index}"] = link = _Link()
            m.d.comb += link.a.eq(value)
            value = link.y
        m.d.comb += self.y.eq(value)
        return m


class Echo(wiring.Component):
    """Returns each byte plus one; accepts only in every third cycle, and holds one byte."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        """Hold a byte until it is taken."""
        m = Module()
        phase = Signal(2)
        m.d.sync += phase.eq(Mux(phase == 2, 0, phase + 1))
        m.d.comb += self.i.ready.eq((phase == 0) & ~self.o.valid)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(self.i.payload + 1)]
        return m


class Store(wiring.Component):
    """Memory of 70-bit words with one port for each direction."""

    addr: In(3)
    data: In(70)
    en: In(1)
    q: Out(70)

    def elaborate(self, platform: object) -> Module:
        """Read and write at the same address."""
        m = Module()
        m.submodules.store = store = memory.Memory(shape=70, depth=6, init=[5, 1 << 69])
        write, read = store.write_port(), store.read_port()
        m.d.comb += [
            write.addr.eq(self.addr),
            write.data.eq(self.data),
            write.en.eq(self.en),
            read.addr.eq(self.addr),
            self.q.eq(read.data),
        ]
        return m
