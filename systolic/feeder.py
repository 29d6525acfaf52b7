"""Address generation: which scratchpad word comes next, and what the array is to do with it."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from systolic.column import token_layout
from systolic.spec.geometry import OFFSET_DEPTH, UNIT_BITS
from systolic.spec.isa import Field, Matmul, Store


class Feeder(wiring.Component):
    """Scratchpad address, offset table and the counters of a move.

    The sequencer says with strobes what the address does at the end of a cycle::

        jump_i    addr <= address field of the instruction
        follow_i  addr <= host's address; pc <= addr
        fetch_i   addr <= pc
        gather_i  addr <= base + offset[index]; index advances
        step_i    addr <= addr + 1

    While ``addr`` is the host's, ``host_step_i`` lets the host's address advance.
    ``prime_i`` reads the table's first offset, a cycle or more before the first ``gather_i``.
    With ``wrap_i``, ``step_i`` stays within the aligned words of one weight per row.
    ``count_i`` counts a word: ``digit_o`` runs through the digits of a pixel, and with the last of
    them the pixel counter and the accumulator address advance.

    Parameters
    ----------
    addr_bits : int
        Bits of a scratchpad address.
    index_bits : int
        Bits of a pixel's accumulator or buffer index.
    half_bits : int
        Bits of a token's accumulator address: one more than an accumulator's in its half.
    diagonal_words : int
        Words of one weight per row, a power of two; 0 if there are no DIAGONALs.

    Members
    -------
    instruction_i : ``In(64)``
        Instruction, valid with ``decode_i``.
    decode_i : ``In(1)``
        Take counts and bases from it.
    jump_i, follow_i, fetch_i, step_i, prime_i, gather_i, count_i, host_step_i : ``In(1)``
        Strobes, see above.
    diagonal_i, wrap_i : ``In(1)``
        With ``diagonal_words``: the instruction is a DIAGONAL; it reads weights.
    entry_i : ``In(1)``
        One table entry was loaded: the table index and the count of entries advance.
    hold_pixel_i : ``In(1)``
        Keep ``pixel_o`` where it is when a pixel ends.
    unit_i : ``In(16)``
        Entry of the offset table, written with ``offset_en_i``.
    offset_en_i : ``In(1)``
        Write ``unit_i``.
    header_i : ``In(8)``
        Byte that enters ``last`` and the host's address from above with ``header_en_i``.
    header_en_i : ``In(1)``
        Shift a byte in.
    addr_o : ``Out(addr_bits)``
        Scratchpad address.
    is_last_o : ``Out(1)``
        Whether the address ends in the byte that the host gave as the last's.
    index_o : ``Out(8)``
        Table index.
    digit_o : ``Out(3)``
        Digit within the pixel.
    pixel_o : ``Out(index_bits)``
        Index of the pixel in the accumulators or in the output buffer.
    block_o : ``Out(3)``
        Block of a STORE in the output buffer.
    flags_o : ``Out(2)``
        Bits 3 and 4 of the instruction: a MATMUL's first and half, a LOAD's target, a STORE's
        repeat.
    is_end_o : ``Out(1)``
        Whether ``count_i`` (or ``entry_i``) counts the last word (or entry).
    is_first_digit_o, is_pixel_end_o : ``Out(1)``
        Whether ``digit_o`` is a pixel's first, or its last.
    will_pixel_end_o : ``Out(1)``
        What ``is_pixel_end_o`` will be in the cycle behind ``count_i``.
    token_o : ``Out(token_layout(half_bits))``
        What the columns shall do with the word, valid as long as it is counted.
    """

    def __init__(
        self, *, addr_bits: int, index_bits: int, half_bits: int, diagonal_words: int = 0
    ) -> None:
        self._half_bits = half_bits
        self._diagonal_words = diagonal_words
        super().__init__(
            {
                "instruction_i": In(64),
                "decode_i": In(1),
                "jump_i": In(1),
                "follow_i": In(1),
                "fetch_i": In(1),
                "step_i": In(1),
                "prime_i": In(1),
                "gather_i": In(1),
                "count_i": In(1),
                "host_step_i": In(1),
                **({"diagonal_i": In(1), "wrap_i": In(1)} if diagonal_words else {}),
                "entry_i": In(1),
                "hold_pixel_i": In(1),
                "unit_i": In(UNIT_BITS),
                "offset_en_i": In(1),
                "header_i": In(8),
                "header_en_i": In(1),
                "addr_o": Out(addr_bits),
                "is_last_o": Out(1),
                "index_o": Out(8),
                "digit_o": Out(3),
                "pixel_o": Out(index_bits),
                "block_o": Out(3),
                "flags_o": Out(2),
                "is_end_o": Out(1),
                "is_first_digit_o": Out(1),
                "is_pixel_end_o": Out(1),
                "will_pixel_end_o": Out(1),
                "token_o": Out(token_layout(half_bits)),
            }
        )

    def _field(self, name: str, layout: dict[str, Field] = Matmul.LAYOUT) -> Value:
        field = layout[name]
        return self.instruction_i[field.lsb : field.lsb + field.width]

    def _part_field(self, name: str) -> Value:
        """A field that a DIAGONAL, of one part, has not: its band is there."""
        field = self._field(name)
        return Mux(self.diagonal_i, 0, field) if self._diagonal_words else field

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.offsets = offsets = memory.Memory(
            shape=UNIT_BITS, depth=OFFSET_DEPTH, init=[], attrs={"ram_style": "block"}
        )
        table_write, table_read = offsets.write_port(), offsets.read_port()
        m.d.comb += [
            table_write.addr.eq(self.index_o),
            table_write.data.eq(self.unit_i),
            table_write.en.eq(self.offset_en_i),
            table_read.addr.eq(self.index_o),
            table_read.en.eq(self.prime_i | self.gather_i),
        ]
        self._build_address(m, table_read.data)
        self._build_counters(m)
        return m

    def _build_address(self, m: Module, offset) -> None:
        base, pc = Signal.like(self.addr_o), Signal.like(self.addr_o)
        # The host's header passes through last into its address, which is as wide as the header's.
        host, last = Signal(16), Signal(8)
        advanced = self._advanced(self.addr_o)
        with m.If(self.decode_i):
            m.d.sync += base.eq(self._field("base"))
        with m.If(self.follow_i):
            m.d.sync += pc.eq(self.addr_o)
        with m.If(self.header_en_i):
            m.d.sync += [last.eq(self.header_i), host.eq(Cat(host[8:], last))]
        with m.Elif(self.host_step_i):
            m.d.sync += host.eq(advanced)
        with m.If(self.jump_i):
            m.d.sync += self.addr_o.eq(self._field("weights"))
        with m.Elif(self.follow_i):
            m.d.sync += self.addr_o.eq(host)
        with m.Elif(self.fetch_i):
            m.d.sync += self.addr_o.eq(pc)
        with m.Elif(self.gather_i):
            m.d.sync += self.addr_o.eq(base + offset)
        with m.Elif(self.step_i):
            m.d.sync += self.addr_o.eq(advanced)
        m.d.comb += self.is_last_o.eq(self.addr_o[: len(last)] == last)

    def _advanced(self, addr: Value) -> Value:
        """Next address; with ``wrap_i`` behind the last word of a column the first one's."""
        if not self._diagonal_words:
            return addr + 1
        lower_bits = self._diagonal_words.bit_length() - 1
        lower, upper = addr[:lower_bits], addr[lower_bits:]
        return Cat((lower + 1)[:lower_bits], upper + Cat(lower, ~self.wrap_i).all())

    def _build_counters(self, m: Module) -> None:
        digits, count, parts = Signal(3), Signal(8), Signal(3)
        # What the sequencer branches on is compared a cycle ahead: from there the way is long.
        pixel_ends, is_last, is_single_digit = Signal(), Signal(), Signal()
        m.d.comb += [
            pixel_ends.eq(self.count_i & self.is_pixel_end_o),
            self.is_end_o.eq(is_last & (self.is_pixel_end_o | self.entry_i)),
            self.will_pixel_end_o.eq(
                Mux(self.is_pixel_end_o, is_single_digit, self.digit_o + 1 == digits)
            ),
        ]
        with m.If(self.decode_i):
            m.d.sync += [
                is_single_digit.eq(self._field("digits") == 0),
                self.is_pixel_end_o.eq(self._field("digits") == 0),
                is_last.eq(self._field("count") == 0),
                digits.eq(self._field("digits")),
                count.eq(self._field("count")),
                parts.eq(self._part_field("parts")),
                self.flags_o.eq(Cat(self._field("first"), self._field("half"))),
                self.index_o.eq(self._field("start")),
                self.digit_o.eq(0),
                self.is_first_digit_o.eq(1),
                self.pixel_o.eq(self._part_field("part")),
                self.block_o.eq(self._field("block", Store.LAYOUT)),
            ]
        with m.Else():
            with m.If(self.prime_i | self.gather_i | self.entry_i):
                m.d.sync += self.index_o.eq(self.index_o + 1)
            with m.If(pixel_ends | self.entry_i):
                m.d.sync += [count.eq(count - 1), is_last.eq(count == 1)]
            with m.If(self.count_i):
                m.d.sync += [
                    self.digit_o.eq(Mux(self.is_pixel_end_o, 0, self.digit_o + 1)),
                    self.is_first_digit_o.eq(self.is_pixel_end_o),
                    self.is_pixel_end_o.eq(self.will_pixel_end_o),
                ]
            with m.If(pixel_ends & ~self.hold_pixel_i):
                m.d.sync += self.pixel_o.eq(self.pixel_o + parts + 1)
        m.d.comb += [
            self.token_o.first_digit.eq(self.is_first_digit_o),
            self.token_o.commit.eq(pixel_ends),
            self.token_o.first.eq(self.flags_o[0]),
            self.token_o.addr.eq(Cat(self.pixel_o[: self._half_bits - 1], self.flags_o[1])),
        ]
