"""Results on their way back: max-pool, split into digits, collected into scratchpad words."""

from math import gcd

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from systolic.spec.isa import Drain as DrainInstruction
from systolic.spec.isa import Field, Output


class OutBuffer(wiring.Component):
    """Takes codes in the order of a DRAIN, gives whole words for a STORE.

    Codes of a pooling window arrive one after the other; their largest is cut into digits, and each
    digit is written alone, into its row of its word. So words fill up without any register, and
    leave at one a cycle. The last digit is written ``digits`` cycles after its code arrived.

    The host's words come this way as well, byte by byte: while nothing is drained, a byte may be
    written into the word that would be read.

    Parameters
    ----------
    rows, digit_bits, cols, word_bits : int
        As in :class:`systolic.spec.config.ArrayConfig`.
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
        There is one. Two results are at least ``digits`` cycles apart.
    byte_i : ``In(8)``
        Byte from the host.
    byte_en_i : ``In(word_bits // 8)``
        Write it there (one-hot); 0 while there are results.
    is_byte_i : ``In(1)``
        Bytes may come in this cycle, but no results.
    read_en_i : ``In(1)``
        Read the word that the next three name.
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
        word_bits: int,
        max_digits: int,
        pixels: int,
    ) -> None:
        self._rows = rows
        self._digit_bits = digit_bits
        self._word_bits = word_bits
        self._max_digits = max_digits
        self._cols = cols
        self._blocks = max(1, cols // rows)
        super().__init__(
            {
                "instruction_i": In(64),
                "output_en_i": In(1),
                "start_i": In(1),
                "code_i": In(8),
                "valid_i": In(1),
                "byte_i": In(8),
                "byte_en_i": In(word_bits // 8),
                "is_byte_i": In(1),
                "read_en_i": In(1),
                "read_block_i": In(3),
                "read_digit_i": In(3),
                "read_pixel_i": In(range(pixels)),
                "word_o": Out(word_bits),
            }
        )

    def _field(self, name: str, layout: dict[str, Field] = DrainInstruction.LAYOUT) -> Value:
        field = layout[name]
        return self.instruction_i[field.lsb : field.lsb + field.width]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        digits = Signal(range(max(2, self._max_digits)))
        with m.If(self.output_en_i):
            m.d.sync += digits.eq(self._field("digits", Output.LAYOUT))

        # The pooled result stays in `best` while its digits are written, most significant first;
        # the next one may come while the last digit is.
        best, result_ends = Signal(8), Signal()
        writing, write_ends = Signal(), Signal()
        digit, remaining = Signal.like(digits), Signal.like(digits)
        m.d.comb += write_ends.eq(writing & (remaining == 0))
        with m.If(writing):
            m.d.sync += [digit.eq(digit + 1), remaining.eq(remaining - 1)]
        with m.If(write_ends):
            m.d.sync += writing.eq(0)
        with m.If(result_ends):
            m.d.sync += [writing.eq(1), digit.eq(0), remaining.eq(digits)]
        self._build_pool(m, best, result_ends)
        row, block, pixel = self._build_position(m, write_ends)

        padded = Cat(best, Const(0, self._max_digits * self._digit_bits - 8))
        row_en = Signal(self._rows)
        m.d.comb += row_en.eq(Mux(writing, 1 << row, 0))
        code_digit = padded.word_select(remaining, self._digit_bits)
        self._build_memory(m, (block, digit, pixel), row_en, code_digit)
        return m

    def _build_memory(
        self, m: Module, place: tuple[Value, Value, Value], row_en: Value, code_digit: Value
    ) -> None:
        """Buffer: write a digit into the rows of ``row_en`` at a place, or a byte; read a word."""
        digit_bits = self._digit_bits
        digit_addr_bits = (self._max_digits - 1).bit_length()
        block_bits = (self._blocks - 1).bit_length()
        pixel_bits = len(self.read_pixel_i)

        def address(block: Value, digit: Value, pixel: Value) -> Value:
            parts = [(pixel, pixel_bits), (digit, digit_addr_bits), (block, block_bits)]
            return Cat(value[:width] for value, width in parts)

        # Digits and bytes overlap in pieces of this many bits.
        piece_bits = gcd(digit_bits, 8)
        m.submodules.words = words = memory.Memory(
            shape=self._word_bits,
            depth=1 << pixel_bits + digit_addr_bits + block_bits,
            init=[],
            attrs={"ram_style": "block"},
        )
        write, read = words.write_port(granularity=piece_bits), words.read_port()
        row_bits = self._rows * digit_bits
        for bit in range(0, self._word_bits, piece_bits):
            from_byte = self.byte_i[bit % 8 :][:piece_bits]
            byte_en = self.byte_en_i[bit // 8]
            # What lies behind the last row belongs to no digit.
            from_digit = (
                code_digit[bit % digit_bits :][:piece_bits] if bit < row_bits else from_byte
            )
            digit_en = row_en[bit // digit_bits] if bit < row_bits else 0
            m.d.comb += [
                write.data[bit : bit + piece_bits].eq(Mux(self.is_byte_i, from_byte, from_digit)),
                write.en[bit // piece_bits].eq(byte_en | digit_en),
            ]
        read_addr = address(self.read_block_i, self.read_digit_i, self.read_pixel_i)
        m.d.comb += [
            write.addr.eq(Mux(self.is_byte_i, read_addr, address(*place))),
            read.addr.eq(read_addr),
            read.en.eq(self.read_en_i),
            self.word_o.eq(read.data),
        ]

    def _build_pool(self, m: Module, best: Signal, result_ends: Signal) -> None:
        windows, remaining = Signal(8), Signal(8)
        # Known a code ahead, as the way from here to the write is long.
        is_first, is_last = Signal(), Signal()
        m.d.comb += result_ends.eq(self.valid_i & is_last)
        with m.If(self.valid_i):
            m.d.sync += [
                remaining.eq(Mux(is_last, windows, remaining - 1)),
                is_first.eq(is_last),
                is_last.eq(Mux(is_last, windows == 0, remaining == 1)),
            ]
            with m.If(is_first | (self.code_i > best)):
                m.d.sync += best.eq(self.code_i)
        with m.If(self.start_i):
            m.d.sync += [
                windows.eq(self._field("window")),
                remaining.eq(self._field("window")),
                is_first.eq(1),
                is_last.eq(self._field("window") == 0),
            ]

    def _build_position(self, m: Module, write_ends: Signal) -> tuple[Signal, Signal, Signal]:
        """Row, block and pixel of the result being written."""
        cols, col = Signal(range(self._cols)), Signal(range(self._cols))
        first_row, row = Signal(range(self._rows)), Signal(range(self._rows))
        block, pixel = Signal(3), Signal.like(self.read_pixel_i)
        with m.If(write_ends):
            m.d.sync += [col.eq(col + 1), row.eq(row + 1)]
            if self._blocks > 1:
                with m.If(row == self._rows - 1):
                    m.d.sync += [row.eq(0), block.eq(block + 1)]
            with m.If(col == cols):
                m.d.sync += [col.eq(0), row.eq(first_row), block.eq(0), pixel.eq(pixel + 1)]
        with m.If(self.start_i):
            m.d.sync += [
                cols.eq(self._field("cols")),
                first_row.eq(self._field("row")),
                row.eq(self._field("row")),
            ]
            m.d.sync += [col.eq(0), block.eq(0), pixel.eq(self._field("pixel"))]
        return row, block, pixel
