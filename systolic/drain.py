"""The drain engine: walks over finished accumulators and times the requantizer."""

from collections.abc import Sequence

from amaranth import Array, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolic.spec.isa import Drain as DrainInstruction
from systolic.spec.isa import Field, Output


class Drain(wiring.Component):
    """Counters of a DRAIN instruction.

    After ``wait_cycles`` (the last sums are still on their way down) every interval cycles make
    a slot: one accumulator of one column. ``slot_o`` marks a slot's first cycle; addresses and
    flags hold for the whole slot. ``wait_cycles`` after the last slot (the last results are still
    on their way out) the engine is idle again.

    Parameters
    ----------
    addr_bits : int
        Bits of an accumulator's address in its half.
    cols : int
        Columns.
    intervals : sequence of int
        Cycles of a slot where results have 1, 2, ... digits.
    threshold_intervals : sequence of int
        Likewise, where they come from a search among thresholds; empty if there is none.
    wait_cycles : int
        Cycles before the first and after the last slot.

    Members
    -------
    instruction_i : ``In(64)``
        Instruction.
    output_en_i : ``In(1)``
        It is an OUTPUT: take its number of digits, and whether there are thresholds.
    start_i : ``In(1)``
        It is a DRAIN: start.
    will_be_busy_o : ``Out(1)``
        Whether it runs in the next cycle, from ``start_i`` on.
    slot_o : ``Out(1)``
        First cycle of a slot.
    addr_o : ``Out(addr_bits + 1)``
        Accumulator; the top bit is the half.
    col_o : ``Out(range(cols))``
        Column.
    channel_o : ``Out(8)``
        Its parameters.
    is_first_part_o, is_last_part_o : ``Out(1)``
        Whether the slot is the first or last part of its value.
    is_window_end_o : ``Out(1)``
        Whether it is the last part of a pooling window's last value.
    """

    def __init__(
        self,
        *,
        addr_bits: int,
        cols: int,
        intervals: Sequence[int],
        wait_cycles: int,
        threshold_intervals: Sequence[int] = (),
    ) -> None:
        self._intervals = tuple(intervals)
        self._threshold_intervals = tuple(threshold_intervals)
        self._wait_cycles = wait_cycles
        super().__init__(
            {
                "instruction_i": In(64),
                "output_en_i": In(1),
                "start_i": In(1),
                "will_be_busy_o": Out(1),
                "slot_o": Out(1),
                "addr_o": Out(addr_bits + 1),
                "col_o": Out(range(cols)),
                "channel_o": Out(8),
                "is_first_part_o": Out(1),
                "is_last_part_o": Out(1),
                "is_window_end_o": Out(1),
            }
        )

    def _field(self, name: str, layout: dict[str, Field] = DrainInstruction.LAYOUT) -> Value:
        field = layout[name]
        return self.instruction_i[field.lsb : field.lsb + field.width]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pause = self._build_pause(m)
        # Its sign says that it is over: N cycles are N - 2 down to -1.
        longest = max(*self._intervals, *self._threshold_intervals, self._wait_cycles)
        timer = Signal(range(-1, longest - 1))
        is_over = timer[-1]
        slot_ends, is_last = Signal(), Signal()
        m.d.comb += self.will_be_busy_o.eq(1)
        m.d.sync += [timer.eq(timer - 1), self.slot_o.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.will_be_busy_o.eq(self.start_i)
                m.d.sync += timer.eq(self._wait_cycles - 2)
                with m.If(self.start_i):
                    m.next = "FLUSH"
            with m.State("FLUSH"), m.If(is_over):
                m.d.sync += [timer.eq(pause), self.slot_o.eq(1)]
                m.next = "SLOTS"
            with m.State("SLOTS"), m.If(is_over):
                m.d.comb += slot_ends.eq(1)
                m.d.sync += [timer.eq(pause), self.slot_o.eq(1)]
                with m.If(is_last):
                    m.d.sync += [timer.eq(self._wait_cycles - 2), self.slot_o.eq(0)]
                    m.next = "TAIL"
            with m.State("TAIL"), m.If(is_over):
                m.d.comb += self.will_be_busy_o.eq(0)
                m.next = "IDLE"
        self._build_counters(m, slot_ends, is_last)
        return m

    def _build_pause(self, m: Module) -> Value:
        """Cycles of a slot but two, as the last OUTPUT had it."""
        if len({*self._intervals, *self._threshold_intervals}) == 1:
            return Const(self._intervals[0] - 2)
        digits = Signal(range(len(self._intervals)))
        with m.If(self.output_en_i):
            m.d.sync += digits.eq(self._field("digits", Output.LAYOUT))
        pause = Array(Const(interval - 2) for interval in self._intervals)[digits]
        if not self._threshold_intervals:
            return pause
        thresholds = Signal()
        with m.If(self.output_en_i):
            m.d.sync += thresholds.eq(self._field("thresholds", Output.LAYOUT))
        searching = Array(Const(interval - 2) for interval in self._threshold_intervals)[digits]
        return Mux(thresholds, searching, pause)

    def _build_counters(self, m: Module, slot_ends: Signal, is_last: Signal) -> None:
        half = Signal()
        # There are no more pixels or values of a window than accumulators in a half.
        addr_bits = len(self.addr_o) - 1
        parts, windows, cols, count = (
            Signal(3), Signal(addr_bits), Signal.like(self.col_o), Signal(addr_bits)
        )  # fmt: skip
        part, start = Signal(3), Signal(8)
        # Values of the window up to the next one; whether this one is the last is known beforehand,
        # and so it is of its parts.
        values, is_last_value, is_single = Signal(addr_bits), Signal(), Signal()
        is_whole = Signal()
        addr, pixel_addr = Signal(addr_bits), Signal(addr_bits)
        pixel_ends = Signal()
        m.d.comb += [
            self.is_first_part_o.eq(part == 0),
            self.is_window_end_o.eq(self.is_last_part_o & is_last_value),
            pixel_ends.eq(self.is_window_end_o & (self.col_o == cols)),
            is_last.eq(pixel_ends & (count == 0)),
            self.addr_o.eq(addr | half << len(addr)),
            self.channel_o.eq(start | self.col_o),
        ]
        with m.If(slot_ends):
            m.d.sync += [
                part.eq(Mux(self.is_last_part_o, 0, part + 1)),
                self.is_last_part_o.eq(Mux(self.is_last_part_o, is_whole, part + 1 == parts)),
                addr.eq(addr + 1),
            ]
            with m.If(self.is_last_part_o):
                m.d.sync += [values.eq(values + 1), is_last_value.eq(values == windows)]
            with m.If(self.is_window_end_o):
                m.d.sync += [values.eq(1), is_last_value.eq(is_single)]
                m.d.sync += [self.col_o.eq(self.col_o + 1), addr.eq(pixel_addr)]
            with m.If(pixel_ends):
                m.d.sync += [
                    self.col_o.eq(0),
                    addr.eq(addr + 1),
                    pixel_addr.eq(addr + 1),
                    count.eq(count - 1),
                ]
        with m.If(self.start_i):
            m.d.sync += [
                half.eq(self._field("half")),
                parts.eq(self._field("parts")),
                is_whole.eq(self._field("parts") == 0),
                self.is_last_part_o.eq(self._field("parts") == 0),
                windows.eq(self._field("window")),
                is_single.eq(self._field("window") == 0),
                is_last_value.eq(self._field("window") == 0),
                values.eq(1),
                cols.eq(self._field("cols")),
                count.eq(self._field("count")),
                start.eq(self._field("start")),
            ]
            m.d.sync += [sig.eq(0) for sig in (part, self.col_o, addr, pixel_addr)]
