"""The grid of processing elements."""

from amaranth import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolic.pe import PE


class Array(wiring.Component):
    """``rows`` x ``cols`` processing elements, wired to their nearest neighbours only.

    Digits march east, partial sums and load tokens south. Row r takes its digit r cycles after row 0
    (:class:`systolic.skew.Skew`), column c's load token enters c cycles after column 0's; so PE (r, c)
    sees the word of cycle t in cycle t + r + c, and column c's sums leave at t + rows + c.

    Parameters
    ----------
    cols, weight_bits, digit_bits : int
        As in :class:`systolic.spec.config.ArrayConfig`.
    psum_bits : sequence of int
        Bits of the partial sum that leaves each row; its length is the number of rows.

    Members
    -------
    act_i : ``In(ArrayLayout(digit_bits, rows))``
        Skewed digits, into column 0.
    load_i : ``In(cols)``
        Load tokens, into row 0, column c's delayed by c cycles.
    psum_o : ``Out(ArrayLayout(ArrayLayout(signed(psum_bits[-1]), digit_bits), cols))``
        Sums out of the last row, by column and lane.
    """

    def __init__(self, *, cols: int, weight_bits: int, digit_bits: int, psum_bits: tuple[int, ...]):
        self._cols = cols
        self._weight_bits = weight_bits
        self._digit_bits = digit_bits
        self._psum_bits = psum_bits
        lanes = data.ArrayLayout(signed(psum_bits[-1]), digit_bits)
        super().__init__(
            {
                "act_i": In(data.ArrayLayout(digit_bits, len(psum_bits))),
                "load_i": In(cols),
                "psum_o": Out(data.ArrayLayout(lanes, cols)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a digit entering row 0 to column 0's sum."""
        return len(self._psum_bits) * PE.LATENCY

    def elaborate(self, platform):
        m = Module()
        rows = len(self._psum_bits)
        grid = {}
        for row in range(rows):
            # The first row starts from nothing; one bit of zero is as narrow as it gets.
            above_bits = self._psum_bits[row - 1] if row else 1
            for col in range(self._cols):
                pe = PE(
                    weight_bits=self._weight_bits,
                    digit_bits=self._digit_bits,
                    psum_i_bits=above_bits,
                    psum_o_bits=self._psum_bits[row],
                )
                m.submodules[f"pe_{row}_{col}"] = grid[row, col] = pe
        for (row, col), pe in grid.items():
            west = grid[row, col - 1].act_o if col else self.act_i[row]
            m.d.comb += pe.act_i.eq(west)
            if row:
                north = grid[row - 1, col]
                m.d.comb += [pe.load_i.eq(north.load_o), pe.psum_i.eq(north.psum_o)]
            else:
                m.d.comb += pe.load_i.eq(self.load_i[col])
        for col in range(self._cols):
            m.d.comb += self.psum_o[col].eq(grid[rows - 1, col].psum_o)
        return m
