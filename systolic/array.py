"""The grid of processing elements."""

from amaranth import Const, Module, Signal
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
    diagonal : bool
        Whether a row can be made to take the weight of one column only, and zeros for the others:
        row r of band b, ``r = b * cols + c``, that of column c. Whether it is that column's turn,
        it sees in the rows below, which the load token reaches later.

    Members
    -------
    act_i : ``In(ArrayLayout(digit_bits, rows))``
        Skewed digits, into group 0.
    load_i : ``In(groups)``
        Load tokens, into row 0, group g's delayed by g cycles.
    ahead_i : ``In(groups)``
        With ``diagonal``: ``load_i`` of the next cycle.
    bands_i : ``In(bands)``
        Likewise: whose rows take weights and not zeros.
    single_i : ``In(1)``
        Likewise: they take one column's only. Both stay while a tile is on its way.
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
        diagonal: bool = False,
    ) -> None:
        self._groups = groups
        self._pe_cols = pe_cols
        self._weight_bits = weight_bits
        self._digit_bits = digit_bits
        self._psum_bits = psum_bits
        self._diagonal = diagonal
        sums = psum_layout(psum_bits[-1], digit_bits, pe_cols)
        selection = {
            "ahead_i": In(groups),
            "bands_i": In(len(psum_bits) // (groups * pe_cols)),
            "single_i": In(1),
        }
        super().__init__(
            {
                "act_i": In(data.ArrayLayout(digit_bits, len(psum_bits))),
                "load_i": In(groups),
                **(selection if diagonal else {}),
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
                    diagonal=self._diagonal,
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
            if self._diagonal:
                self._build_selection(m, group, [grid[row, group] for row in range(rows)])
        return m

    def _build_selection(self, m: Module, group: int, pes: list[PE]) -> None:
        """Tell the PEs of a group which digits of weights to take."""
        cols, digits = self._groups * self._pe_cols, -(-self._weight_bits // self._digit_bits)
        # The load token, a cycle before row 0, in row 0, ... and in rows that there are not.
        tokens = [self.ahead_i[group], self.load_i[group], *(pe.load_o for pe in pes)]
        while len(tokens) < len(pes) + self._pe_cols * digits:
            token = Signal(name=f"token_{group}_{len(tokens)}", reset_less=True)
            m.d.sync += token.eq(tokens[-1])
            tokens.append(token)
        for row, pe in enumerate(pes):
            band, col = divmod(row, cols)
            first = row + (col - group * self._pe_cols) * digits
            is_turn = Const(0, 1)
            if row <= first < row + self._pe_cols * digits:
                is_turn = tokens[first] & ~tokens[first + digits]
            # Known a cycle ahead, so that a weight's register has one more input and no more.
            m.d.sync += pe.take_i.eq(self.bands_i[band] & (is_turn | ~self.single_i))
