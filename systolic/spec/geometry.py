"""The numbers that follow from an array's parameters: widths, layouts and latencies."""

from typing import Literal

from systolic.spec.thresholds import ENTRY_BITS

PARAMETER_BITS = 128
"""Bits of one channel's requantization, as :func:`systolic.spec.layout.pack_parameters` has them.

See :mod:`systolic.spec.arithmetic`.
"""

INSTRUCTION_BITS = 64
"""Bits of one instruction (see :mod:`systolic.spec.isa`)."""

UNIT_BITS = 16
"""The scratchpad word is a multiple of this; offset and table entries are one unit each."""

OFFSET_DEPTH = 256
"""Entries of the offset table, of the lookup table and of the channel parameter memory."""


def _ceil_log2(value: int) -> int:
    return (value - 1).bit_length()


class Geometry:
    """What follows from the fields of :class:`systolic.spec.config.ArrayConfig`, its only heir."""

    rows: int
    cols: int
    weight_bits: int
    digit_bits: int
    pe_cols: int
    acc_depth: int
    scratchpad_words: int
    out_pixels: int
    requantize_cycles: int
    multiplier: Literal["dsp", "fabric"]
    diagonal: bool
    threshold_bits: int

    # Widths ---------------------------------------------------------------------------------------

    @property
    def word_bits(self) -> int:
        """Bits of a scratchpad word: ``rows`` digits, filled up to whole 16-bit units."""
        return -(-self.rows * self.digit_bits // UNIT_BITS) * UNIT_BITS

    @property
    def word_bytes(self) -> int:
        """Bytes of a scratchpad word."""
        return self.word_bits // 8

    @property
    def word_units(self) -> int:
        """16-bit units in a scratchpad word."""
        return self.word_bits // UNIT_BITS

    def psum_bits(self, row: int) -> int:
        """Bits of the partial sum that leaves ``row``: ``row + 1`` weights added."""
        return self.weight_bits + _ceil_log2(row + 1)

    @property
    def merged_bits(self) -> int:
        """Bits of a column's sum over all digit lanes of one cycle.

        The digit reaches ``2**digit_bits - 1`` and each lane sums ``rows`` weights.
        """
        return self.psum_bits(self.rows - 1) + self.digit_bits

    @property
    def column_sum_bits(self) -> int:
        """Bits of a column's sum over all (whole) digits of an 8-bit activation."""
        return self.psum_bits(self.rows - 1) + self.max_digits * self.digit_bits

    @property
    def max_digits(self) -> int:
        """Digits of an 8-bit activation."""
        return -(-8 // self.digit_bits)

    @property
    def acc_addr_bits(self) -> int:
        """Bits that address an accumulator within its half."""
        return _ceil_log2(self.acc_depth)

    @property
    def addr_bits(self) -> int:
        """Bits that address a scratchpad word."""
        return _ceil_log2(self.scratchpad_words)

    @property
    def groups(self) -> int:
        """PEs per row: groups of ``pe_cols`` columns that work in the same cycle."""
        return self.cols // self.pe_cols

    # Layout ---------------------------------------------------------------------------------------

    @property
    def instruction_words(self) -> int:
        """Scratchpad words per instruction."""
        return -(-INSTRUCTION_BITS // self.word_bits)

    @property
    def parameter_words(self) -> int:
        """Scratchpad words per channel's requantization parameters."""
        return -(-PARAMETER_BITS // self.word_bits)

    @property
    def threshold_words(self) -> int:
        """Scratchpad words per entry of the search among thresholds."""
        return -(-ENTRY_BITS // self.word_bits)

    @property
    def threshold_channels(self) -> int:
        """Channels whose thresholds the parameter memory holds: node n of all is its n-th part."""
        return OFFSET_DEPTH >> self.threshold_bits

    @property
    def weight_digits(self) -> int:
        """Scratchpad words that load one column of weights."""
        return -(-self.weight_bits // self.digit_bits)

    @property
    def weight_words(self) -> int:
        """Scratchpad words of one weight tile (``rows`` x ``cols`` weights)."""
        return self.cols * self.weight_digits

    @property
    def bands(self) -> int:
        """Tiles with one weight per row that ``rows`` rows hold."""
        return self.rows // self.cols

    @property
    def constant_step(self) -> int:
        """What addresses of a program's constants are a multiple of."""
        return self.weight_digits if self.diagonal else 1

    @property
    def col_blocks(self) -> int:
        """Blocks of ``rows`` output channels that one tile spans (1 unless ``cols > rows``)."""
        return max(1, self.cols // self.rows)

    @property
    def drain_pixels(self) -> int:
        """Pixels of the output buffer that a program may use: all but the last of each block.

        There the bytes of a word that the host writes come together, also while a program runs:
        the memory has the room, registers would cost a logic cell per bit.
        """
        return self.out_pixels - 1

    def digits(self, act_bits: int) -> int:
        """Words per channel block of an activation of ``act_bits`` bits."""
        return -(-act_bits // self.digit_bits)

    # Cycles ---------------------------------------------------------------------------------------

    @property
    def fetch_cycles(self) -> int:
        """Cycles of an instruction before its action: fetch its words, decode, execute."""
        return self.instruction_words + 2

    @property
    def weight_cycles(self) -> int:
        """Cycles of the weight load of a MATMUL (two at least, to prime the offset table)."""
        return max(2, self.weight_words)

    @property
    def select_cycles(self) -> int:
        """Fewest cycles from a load's execution to one that takes other rows (``diagonal``).

        The first word reaches row 0 two cycles later, the last one, which is the last group's, the
        last row of that group so much later; of DIAGONAL as well, whose few words go round. What a
        row takes is known a cycle beforehand.
        """
        return self.rows + self.groups + self.weight_words - 2

    @property
    def merge_levels(self) -> int:
        """Levels of the pipelined adder tree that joins the digit lanes."""
        return _ceil_log2(self.digit_bits)

    @property
    def column_latency(self) -> int:
        """Cycles from a word's read being issued to its digit entering column 0's shift-and-add."""
        # One cycle of scratchpad, one per row, one per merge level.
        return 1 + self.rows + self.merge_levels

    @property
    def requantizer_latency(self) -> int:
        """Most cycles from an accumulator entering the requantizer to its code.

        A bound that drains wait for, with a little room for the pipeline to be rebalanced: it is
        paid once per drain, and mostly beside other work.
        """
        # In fabric: a step per cycle, and an adder row for every bit of a step.
        steps = self.requantize_cycles
        product = 5 if self.multiplier == "dsp" else steps + max(1, 48 // steps - 1)
        return product + 7

    @property
    def drain_wait_cycles(self) -> int:
        """Cycles a drain waits before its first slot, and again behind its last.

        Before: the last word's read is issued ``fetch_cycles`` before the drain starts (at the
        earliest); its sum enters the first columns' shift-and-add ``column_latency`` later, is
        added in the next cycle, written in the one after, and each further group of columns follows
        a cycle later.

        Behind: two cycles read the accumulator, the requantizer takes its time, one looks up the
        table, then the digits are written. (That the slot itself took some of them makes the engine
        idle a little late.)
        """
        flush = self.column_latency + self.groups + 1 - self.fetch_cycles
        tail = 2 + self.requantizer_latency + 1 + self.max_digits
        return max(flush, tail)

    @property
    def out_cols(self) -> int:
        """Columns whose results are written into the output buffer together.

        Two where results have several digits, so that a result a cycle can be taken; a DRAIN takes
        whole groups of them.
        """
        return 2 if self.max_digits > 1 and self.cols % 2 == self.rows % 2 == 0 else 1

    @property
    def channel_step(self) -> int:
        """What a DRAIN's first entry of parameters is a multiple of: columns, to a power of two.

        So that an entry's number is put together, not added up.
        """
        return 1 << _ceil_log2(self.cols)

    def drain_interval(self, digits: int, *, thresholds: bool = False) -> int:
        """Cycles from one drained accumulator to the next where results have so many digits.

        ``thresholds`` is whether they come from the search among thresholds.
        """
        # Of two results, the first may be replaced when the last but one digit is written.
        written = digits if self.out_cols == 1 else digits - 1
        # Two cycles per comparison; behind the last one begins, the next value may come.
        taken = 2 * self.threshold_bits - 1 if thresholds else self.requantize_cycles
        return max(taken, written, 1)
