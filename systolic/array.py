"""The grid of processing elements."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolic.pe import PE, psum_layout


class Array(wiring.Component):
    """Grid of processing elements, wired to their nearest neighbours only.

    Digits march east, partial sums and load tokens south. Row r takes its digit r cycles after
    row 0 (:class:`systolic.skew.Skew`), group g's load token enters g cycles after group 0's; so
    PE (r, g) sees the word of cycle t in cycle t + r + g, and group g's sums leave at
    t + rows + g.

    Parameters
    ----------
    groups : int
        PEs per row.
    pe_cols, weight_bits, digit_bits : int
        As in :class:`systolic.spec.config.ArrayConfig`.
    psum_bits : sequence of int
        Bits of the partial sum that leaves each row; its length is the number of rows.

    Members
    -------
    act_i : ``In(ArrayLayout(digit_bits, rows))``
        Skewed digits, into group 0.
    load_i : ``In(groups)``
        Load tokens, into row 0, group g's delayed by g cycles.
    psum_o : ``Out(ArrayLayout(psum_layout(psum_bits[-1], digit_bits, pe_cols), groups))``
        Sums out of the last row, by group.
    """

    def __init__(
        self,
        *,
        groups: int,
        pe_cols: int,
        weight_bits: int,
        digit_bits: int,
        psum_bits: tuple[int, ...],
    ) -> None:
        self._groups = groups
        self._pe_cols = pe_cols
        self._weight_bits = weight_bits
        self._digit_bits = digit_bits
        self._psum_bits = psum_bits
        sums = psum_layout(psum_bits[-1], digit_bits, pe_cols)
        super().__init__(
            {
                "act_i": In(data.ArrayLayout(digit_bits, len(psum_bits))),
                "load_i": In(groups),
                "psum_o": Out(data.ArrayLayout(sums, groups)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a digit entering row 0 to group 0's sums."""
        return len(self._psum_bits) * PE.LATENCY

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = len(self._psum_bits)
        grid = {}
        for row in range(rows):
            # The first row starts from nothing; one bit of zero is as narrow as it gets.
            above_bits = self._psum_bits[row - 1] if row else 1
            for group in range(self._groups):
                pe = PE(
                    cols=self._pe_cols,
                    weight_bits=self._weight_bits,
                    digit_bits=self._digit_bits,
                    psum_i_bits=above_bits,
                    psum_o_bits=self._psum_bits[row],
                )
                m.submodules[f"pe_{row}_{group}"] = grid[row, group] = pe
        for (row, group), pe in grid.items():
            west = grid[row, group - 1].act_o if group else self.act_i[row]
            m.d.comb += pe.act_i.eq(west)
            if row:
                north = grid[row - 1, group]
                m.d.comb += [pe.load_i.eq(north.load_o), pe.psum_i.eq(north.psum_o)]
            else:
                m.d.comb += pe.load_i.eq(self.load_i[group])
        for group in range(self._groups):
            m.d.comb += self.psum_o[group].eq(grid[rows - 1, group].psum_o)
        return m
