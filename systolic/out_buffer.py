"""Results on their way back: max-pool, split into digits, collected into scratchpad words."""

from math import gcd

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from systolic.spec.isa import Drain as DrainInstruction
from systolic.spec.isa import Field, Output


class OutBuffer(wiring.Component):
    """Takes codes in the order of a DRAIN, gives whole words for a STORE.

    Codes of a pooling window arrive one after the other; their largest is a result. With the last
    result of a group of ``group_cols`` columns, the group's digits are written, one digit of all
    its results per cycle, into their rows of that digit's word. So words fill up without any
    register, and leave at one a cycle. The last digit is written ``digits`` cycles after its code
    arrived.

    The host's words come this way as well, byte by byte, into the memory's last word, in any cycle
    that writes no digits.

    Parameters
    ----------
    rows, digit_bits, cols, word_bits : int
        As in :class:`systolic.spec.config.ArrayConfig`.
    group_cols : int, 1 or 2
        Its ``out_cols``.
    max_digits : int
        Digits of the widest result.
    pixels : int
        Pixels the buffer holds, a power of two.

    Members
    -------
    instruction_i : ``In(64)``
        Instruction.
    output_en_i : ``In(1)``
        It is an OUTPUT: take the number of digits.
    start_i : ``In(1)``
        It is a DRAIN: take its shape and begin at its pixel.
    code_i : ``In(8)``
        Result.
    valid_i : ``In(1)``
        There is one. Two are at least ``ArrayConfig.drain_interval(digits)`` cycles apart.
    window_end_i : ``In(1)``
        Then, whether it is the last of its pooling window.
    byte_i : ``In(8)``
        Byte from the host.
    byte_index_i : ``In(range(word_bits // 8))``
        Its place in the word.
    byte_en_i : ``In(1)``
        Write it, if ``byte_ready_o``.
    byte_ready_o : ``Out(1)``
        No digits are written in this cycle.
    read_en_i : ``In(1)``
        Read a word.
    read_host_i : ``In(1)``
        Read the host's; else the one that the next three name.
    read_block_i : ``In(3)``
        Block of ``rows`` channels.
    read_digit_i : ``In(3)``
        Digit, 0 is the most significant.
    read_pixel_i : ``In(range(pixels))``
        Pixel.
    word_o : ``Out(word_bits)``
        What was read in the cycle before.
    """

    def __init__(
        self,
        *,
        rows: int,
        digit_bits: int,
        cols: int,
        group_cols: int,
        word_bits: int,
        max_digits: int,
        pixels: int,
    ) -> None:
        self._digit_bits = digit_bits
        self._word_bits = word_bits
        self._max_digits = max_digits
        # Everything is counted in groups.
        self._group_cols = group_cols
        self._rows, self._cols = rows // group_cols, cols // group_cols
        self._blocks = max(1, cols // rows)
        super().__init__(
            {
                "instruction_i": In(64),
                "output_en_i": In(1),
                "start_i": In(1),
                "code_i": In(8),
                "valid_i": In(1),
                "window_end_i": In(1),
                "byte_i": In(8),
                "byte_index_i": In(range(word_bits // 8)),
                "byte_en_i": In(1),
                "byte_ready_o": Out(1),
                "read_en_i": In(1),
                "read_host_i": In(1),
                "read_block_i": In(3),
                "read_digit_i": In(3),
                "read_pixel_i": In(range(pixels)),
                "word_o": Out(word_bits),
            }
        )

    def _field(self, name: str, layout: dict[str, Field] = DrainInstruction.LAYOUT) -> Value:
        field = layout[name]
        return self.instruction_i[field.lsb : field.lsb + field.width]

    def _group_field(self, name: str) -> Value:
        """Field that counts columns, in groups."""
        return self._field(name)[self._group_cols - 1 :]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        digits = Signal(range(max(2, self._max_digits)))
        with m.If(self.output_en_i):
            m.d.sync += digits.eq(self._field("digits", Output.LAYOUT))

        best, fresh, starts = Signal(8), Signal(), Signal()
        self._build_pool(m, best, fresh, starts)
        # Most significant digit first. The first one is written in the cycle in which the group's
        # last result is in `best`, which the next result may leave no later than in the last.
        # Whether digits are written is in a register: from here the way to the memory is long.
        writing, write_ends = Signal(), Signal()
        digit, remaining = Signal.like(digits), Signal.like(digits)
        m.d.comb += [
            write_ends.eq(writing & (remaining == 0)),
            self.byte_ready_o.eq(~writing),
        ]
        m.d.sync += writing.eq(starts | (writing & ~write_ends))
        with m.If(writing):
            m.d.sync += [
                digit.eq(Mux(write_ends, 0, digit + 1)),
                remaining.eq(Mux(write_ends, digits, remaining - 1)),
            ]
        with m.If(self.start_i):
            m.d.sync += [digit.eq(0), remaining.eq(digits)]
        group = self._build_group(m, best, fresh, starts, remaining)
        row, block, pixel = self._build_position(m, write_ends)
        self._build_memory(m, (block, digit, pixel), row, writing, group)
        return m

    def _build_group(
        self, m: Module, best: Signal, fresh: Signal, starts: Signal, remaining: Signal
    ) -> Value:
        """Digit number ``remaining`` (from below) of all results of a group.

        ``fresh`` when a result is in ``best``; ``starts`` in the cycle before, if it is a group's
        last.
        """
        top = (self._max_digits - 1) * self._digit_bits
        # What is left of the group's last result behind its first digit.
        rest, is_last = Signal(max(1, top)), Signal()
        m.d.sync += is_last.eq(starts)
        with m.If(fresh):
            m.d.sync += rest.eq(best)
        last = Mux(is_last, self._digit(best, remaining), self._digit(rest, remaining))
        if self._group_cols == 1:
            return last
        held = Signal(8)
        with m.If(fresh & ~is_last):
            m.d.sync += held.eq(best)
        return Cat(self._digit(held, remaining), last)

    def _digit(self, code: Signal, index: Signal) -> Value:
        whole = self._max_digits * self._digit_bits
        return Cat(code, Const(0, whole - len(code))).word_select(index, self._digit_bits)

    def _build_memory(
        self,
        m: Module,
        place: tuple[Value, Value, Value],
        row: Value,
        writing: Value,
        group: Value,
    ) -> None:
        """Buffer: write a group's digits at a place, or a byte into the last word; read a word."""
        digit_addr_bits = (self._max_digits - 1).bit_length()
        block_bits = (self._blocks - 1).bit_length()
        pixel_bits = len(self.read_pixel_i)

        def address(block: Value, digit: Value, pixel: Value) -> Value:
            parts = [(pixel, pixel_bits), (digit, digit_addr_bits), (block, block_bits)]
            return Cat(value[:width] for value, width in parts)

        # Groups and bytes overlap in pieces of this many bits.
        group_bits = len(group)
        piece_bits = gcd(group_bits, 8)
        m.submodules.words = words = memory.Memory(
            shape=self._word_bits,
            depth=1 << pixel_bits + digit_addr_bits + block_bits,
            init=[],
            attrs={"ram_style": "block"},
        )
        write, read = words.write_port(granularity=piece_bits), words.read_port()
        is_byte = ~writing
        # One decoder does for both where they are as wide as each other.
        index = Mux(writing, row, self.byte_index_i)
        row_bits = self._rows * group_bits
        for bit in range(0, self._word_bits, piece_bits):
            data, byte = self.byte_i[bit % 8 :][:piece_bits], bit // 8
            if group_bits == 8:
                en = (writing | self.byte_en_i) & (index == byte)
            else:
                en = is_byte & self.byte_en_i & (self.byte_index_i == byte)
            # What lies behind the last row belongs to no digit.
            if bit < row_bits:
                data = Mux(writing, group[bit % group_bits :][:piece_bits], data)
                if group_bits != 8:
                    en |= writing & (row == bit // group_bits)
            m.d.comb += [
                write.data[bit : bit + piece_bits].eq(data),
                write.en[bit // piece_bits].eq(en),
            ]
        host_place = Const(-1, len(write.addr))
        read_addr = address(self.read_block_i, self.read_digit_i, self.read_pixel_i)
        m.d.comb += [
            write.addr.eq(Mux(writing, address(*place), host_place)),
            read.addr.eq(Mux(self.read_host_i, host_place, read_addr)),
            read.en.eq(self.read_en_i),
            self.word_o.eq(read.data),
        ]

    def _build_pool(self, m: Module, best: Signal, fresh: Signal, starts: Signal) -> None:
        """Keep the largest code of a window in ``best``.

        ``fresh`` when it is a result; ``starts`` in the cycle before, if it is a group's last.
        """
        # Inverted, since code + ~best carries if code > best.
        inverted, is_first, result_ends = Signal.like(self.code_i), Signal(), Signal()
        m.d.comb += [best.eq(~inverted), result_ends.eq(self.valid_i & self.window_end_i)]
        m.d.sync += fresh.eq(result_ends)
        with m.If(self.valid_i):
            m.d.sync += is_first.eq(self.window_end_i)
            with m.If(is_first | (self.code_i + inverted)[len(best)]):
                m.d.sync += inverted.eq(~self.code_i)
        with m.If(self.start_i):
            m.d.sync += is_first.eq(1)
        if self._group_cols == 1:
            m.d.comb += starts.eq(result_ends)
            return
        is_second = Signal()
        m.d.comb += starts.eq(result_ends & is_second)
        with m.If(result_ends):
            m.d.sync += is_second.eq(~is_second)
        with m.If(self.start_i):
            m.d.sync += is_second.eq(0)

    def _build_position(self, m: Module, write_ends: Signal) -> tuple[Value, Value, Signal]:
        """Row, block and pixel of the group being written; rows count in groups."""
        cols, col = Signal(range(self._cols)), Signal(range(self._cols))
        first_row, pixel = Signal(range(self._rows)), Signal.like(self.read_pixel_i)
        pixel_ends = Signal()
        m.d.comb += pixel_ends.eq(write_ends & (col == cols))
        with m.If(write_ends):
            m.d.sync += col.eq(col + 1)
        with m.If(pixel_ends):
            m.d.sync += [col.eq(0), pixel.eq(pixel + 1)]
        with m.If(self.start_i):
            m.d.sync += [
                cols.eq(self._group_field("cols")),
                col.eq(0),
                first_row.eq(self._group_field("row")),
                pixel.eq(self._field("pixel")),
            ]
        if self._rows & self._rows - 1 == self._cols & self._cols - 1 == 0:
            # The first row is a multiple of the columns: nothing needs to be added.
            channel = Cat(col, first_row[len(col) :])
            row_bits = (self._rows - 1).bit_length()
            return channel[:row_bits], channel[row_bits:], pixel
        row, block = Signal.like(first_row), Signal(range(self._blocks))
        with m.If(write_ends):
            m.d.sync += row.eq(row + 1)
            if self._blocks > 1:
                with m.If(row == self._rows - 1):
                    m.d.sync += [row.eq(0), block.eq(block + 1)]
        with m.If(pixel_ends):
            m.d.sync += [row.eq(first_row), block.eq(0)]
        with m.If(self.start_i):
            m.d.sync += [row.eq(self._group_field("row")), block.eq(0)]
        return row, block, pixel
