"""Input skew: row r of the array sees every word r cycles later than row 0."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolic.delay import DelayLine, DelayMemory

BLOCK_RAM_BITS = 16
"""Width of the narrowest block RAM that is worth a group of rows."""


class Skew(wiring.Component):
    """Triangle of delays in front of the array: ``o[r][t + r] = i[r][t]``.

    As registers the triangle costs ``digit_bits * rows * (rows - 1) / 2`` flip-flops. In memory,
    rows are grouped so that a group's digits fill one block RAM; a ring delays the whole group by
    its first row's delay and only the small triangle within the group stays in registers.

    Parameters
    ----------
    rows : int
        Rows.
    digit_bits : int
        Bits of a digit.
    in_memory : bool
        Whether groups of rows are delayed in block RAM.

    Members
    -------
    time_i : ``In(time_bits)``
        Counter that advances by one each cycle (unused when everything lies in registers).
    i : ``In(ArrayLayout(digit_bits, rows))``
        Word: one digit per row.
    o : ``Out(ArrayLayout(digit_bits, rows))``
        Digits, row r delayed by r cycles.
    """

    def __init__(self, *, rows: int, digit_bits: int, in_memory: bool, time_bits: int) -> None:
        self._rows = rows
        self._digit_bits = digit_bits
        self._in_memory = in_memory
        self._time_bits = time_bits
        word = data.ArrayLayout(digit_bits, rows)
        super().__init__({"time_i": In(time_bits), "i": In(word), "o": Out(word)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        group_rows = max(2, BLOCK_RAM_BITS // self._digit_bits) if self._in_memory else self._rows
        for first in range(0, self._rows, group_rows):
            last = min(first + group_rows, self._rows)
            group = self.i.as_value()[first * self._digit_bits : last * self._digit_bits]
            if first:
                ring = DelayMemory(width=len(group), cycles=first, time_bits=self._time_bits)
                m.submodules[f"ring_{first}"] = ring
                m.d.comb += [ring.time_i.eq(self.time_i), ring.i.eq(group)]
                group = ring.o
            for row in range(first, last):
                line = DelayLine(width=self._digit_bits, cycles=row - first)
                m.submodules[f"line_{row}"] = line
                m.d.comb += [
                    line.i.eq(group.word_select(row - first, self._digit_bits)),
                    self.o[row].eq(line.o),
                ]
        return m
