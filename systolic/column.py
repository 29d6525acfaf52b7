"""Below the array: join lanes and digits of columns, and add the result up in accumulator RAM."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out


class Merge(wiring.Component):
    """Join the lanes of a column: ``o = sum(i[lane] << lane)``, in a pipelined adder tree.

    Latency :attr:`latency` cycles, one per level, throughput 1 per cycle.

    Parameters
    ----------
    psum_bits : int
        Bits of a lane's sum.
    lanes : int
        Lanes, ``digit_bits``.

    Members
    -------
    i : ``In(ArrayLayout(signed(psum_bits), lanes))``
        Sums by lane, least significant first.
    o : ``Out(signed(psum_bits + lanes))``
        Joined sum. It cannot overflow: a digit is below ``2**lanes``.
    """

    def __init__(self, *, psum_bits: int, lanes: int) -> None:
        self._lanes = lanes
        super().__init__(
            {
                "i": In(data.ArrayLayout(signed(psum_bits), lanes)),
                "o": Out(signed(psum_bits + lanes)),
            }
        )

    @property
    def latency(self) -> int:
        """Levels of the tree."""
        return (self._lanes - 1).bit_length()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Terms with the weight of their least significant bit.
        terms = [(lane, self.i[lane]) for lane in range(self._lanes)]
        for level in range(self.latency):
            joined = []
            for index in range(0, len(terms), 2):
                shift, low = terms[index]
                name = f"level_{level}_{index // 2}"
                if index + 1 < len(terms):
                    high_shift, high = terms[index + 1]
                    total = low + (high << high_shift - shift)
                    # A pair spans this many bits of the digit.
                    width = min(len(total), len(self.o) - shift)
                    term = Signal(signed(width), name=name, reset_less=True)
                    m.d.sync += term.eq(total)
                else:
                    term = Signal(signed(len(low)), name=name, reset_less=True)
                    m.d.sync += term.eq(low)
                joined.append((shift, term))
            terms = joined
        m.d.comb += self.o.eq(terms[0][1])
        return m


class ColumnGroup(wiring.Component):
    """Shift-and-add over digits and accumulator RAM of columns that work in the same cycle.

    ``token_i`` goes with the digits that enter in the same cycle; for each column::

        digits = digit_i if token.first_digit else (digits << digit_bits) + digit_i    (cycle 0)
        acc[token.addr] = digits if token.first else acc[token.addr] + digits          (cycles 1, 2)

    where the second line happens only for ``token.commit``. The old value is read in cycle 0, the
    sum formed in cycle 1 and written in cycle 2, so an address may be used again three cycles
    later. The RAM is one for all columns: as wide as they are where sums are added up, and as
    narrow as one of them at a second read port, the drain's (a block RAM has such ports, so that
    the drain needs no multiplexer between columns).

    Parameters
    ----------
    cols : int
        Columns, a power of two.
    digit_bits, merged_bits, sum_bits, acc_bits : int
        Bits of a digit, of the incoming sum, of the sum over all digits, of an accumulator.
    addr_bits : int
        Bits of an accumulator's address.

    Members
    -------
    digit_i : ``In(ArrayLayout(signed(merged_bits), cols))``
        Column sums of one digit.
    token_i : ``In(token_layout(addr_bits))``
        What to do with them.
    token_o : ``Out(token_layout(addr_bits))``
        The token for the next group, a cycle later.
    drain_addr_i : ``In(addr_bits)``
        Accumulator to read.
    drain_col_i : ``In(range(cols))``
        Its column.
    drain_o : ``Out(signed(acc_bits))``
        Its value, a cycle later.
    """

    def __init__(
        self,
        *,
        cols: int,
        digit_bits: int,
        merged_bits: int,
        sum_bits: int,
        acc_bits: int,
        addr_bits: int,
    ) -> None:
        self._cols = cols
        self._digit_bits = digit_bits
        self._sum_bits = sum_bits
        token = token_layout(addr_bits)
        super().__init__(
            {
                "digit_i": In(data.ArrayLayout(signed(merged_bits), cols)),
                "token_i": In(token),
                "token_o": Out(token),
                "drain_addr_i": In(addr_bits),
                "drain_col_i": In(range(cols)),
                "drain_o": Out(signed(acc_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        col_bits = (self._cols - 1).bit_length()
        m.submodules.acc = acc = memory.Memory(
            shape=self.drain_o.shape(),
            depth=1 << len(self.drain_addr_i) + col_bits,
            init=[],
            attrs={"ram_style": "block"},
        )
        drain = acc.read_port()
        m.d.comb += [
            drain.addr.eq(Cat(self.drain_col_i[:col_bits], self.drain_addr_i)),
            self.drain_o.eq(drain.data),
        ]

        # Cycle 0 is the token's, cycle 1 the next token's, which is the next group's cycle 0.
        token = self.token_i
        next_token = Signal(token.shape(), reset_less=True)
        addr = Signal.like(token.addr, reset_less=True)
        commit = Signal(reset_less=True)
        m.d.sync += [
            next_token.eq(token),
            addr.eq(next_token.addr),
            commit.eq(next_token.commit),
        ]
        m.d.comb += self.token_o.eq(next_token)
        for col in range(self._cols):
            write, old = acc.write_port(), acc.read_port()
            place = Const(col, col_bits)
            # Both adders end in a multiplexer for the sake of one logic cell per bit, like the
            # PE's.
            # Cycle 0: join digits, most significant first.
            digit = self.digit_i[col]
            digits = Signal(signed(self._sum_bits), name=f"digits_{col}", reset_less=True)
            joined = (digits << self._digit_bits) + digit
            m.d.sync += digits.eq(Mux(token.first_digit, digit, joined))
            # Cycle 1: add to what the earlier tiles left.
            total = Signal(self.drain_o.shape(), name=f"total_{col}", reset_less=True)
            m.d.comb += old.addr.eq(Cat(place, token.addr))
            m.d.sync += total.eq(Mux(next_token.first, digits, old.data + digits))
            # Cycle 2: write.
            m.d.comb += [
                write.addr.eq(Cat(place, addr)),
                write.data.eq(total),
                write.en.eq(commit),
            ]
        return m


def token_layout(addr_bits: int) -> data.StructLayout:
    """What accompanies a digit through the columns: see :class:`ColumnGroup`."""
    return data.StructLayout({"first_digit": 1, "commit": 1, "first": 1, "addr": addr_bits})
