"""The array core: skew, array, column merge and accumulators, with everything aligned."""

from amaranth import Array as Choices
from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolic.array import Array
from systolic.column import ColumnGroup, Merge, token_layout
from systolic.delay import DelayLine, DelayMemory
from systolic.skew import Skew
from systolic.spec.config import ArrayConfig


class Core(wiring.Component):
    """From scratchpad words to accumulators.

    Load and token enter a cycle before their word, as they are known when the word is being read. A
    word is either one digit of the weights of a group of columns (``load_i`` names the group), or
    one digit of a pixel (``token_i`` says what to do with its column sums), or nothing. Anything
    may follow anything in the next cycle: weights move as a wave behind the last digit and in front
    of the next.

    Group g of columns takes the token ``config.column_latency + g`` cycles after it entered.

    Parameters
    ----------
    config : ArrayConfig
        The array.

    Members
    -------
    word_i : ``In(ArrayLayout(digit_bits, rows))``
        Digits, one per row.
    load_i : ``In(groups)``
        Group whose weights the next word carries (one-hot), or 0.
    token_i : ``In(token_layout(acc_addr_bits + 1))``
        What to do with the next word's sums; the top address bit is the half.
    bands_i, single_i : ``In(bands)``, ``In(1)``
        With ``config.diagonal``: which rows take weights, see :class:`systolic.array.Array`.
    drain_addr_i : ``In(acc_addr_bits + 1)``
        Accumulator to read.
    drain_col_i : ``In(range(cols))``
        Its column.
    drain_o : ``Out(signed(acc_bits))``
        Its value, :attr:`drain_cycles` later.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self._config = config
        self._token = token_layout(config.acc_addr_bits + 1)
        selection = {"bands_i": In(config.bands), "single_i": In(1)}
        super().__init__(
            {
                "word_i": In(data.ArrayLayout(config.digit_bits, config.rows)),
                "load_i": In(config.groups),
                "token_i": In(self._token),
                **(selection if config.diagonal else {}),
                "drain_addr_i": In(config.acc_addr_bits + 1),
                "drain_col_i": In(range(config.cols)),
                "drain_o": Out(signed(config.acc_bits)),
            }
        )

    @property
    def drain_cycles(self) -> int:
        """Cycles that reading an accumulator takes: one, and one more to choose between groups."""
        return 1 if self._config.groups == 1 else 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        # The longest ring carries the tokens; all rings share this counter.
        time = Signal((config.column_latency - 1).bit_length())
        m.d.sync += time.eq(time + 1)

        m.submodules.skew = skew = Skew(
            rows=config.rows,
            digit_bits=config.digit_bits,
            in_memory=config.skew == "memory",
            time_bits=len(time),
        )
        m.submodules.array = array = Array(
            groups=config.groups,
            pe_cols=config.pe_cols,
            weight_bits=config.weight_bits,
            digit_bits=config.digit_bits,
            psum_bits=tuple(config.psum_bits(row) for row in range(config.rows)),
            diagonal=config.diagonal,
        )
        m.d.comb += [skew.time_i.eq(time), skew.i.eq(self.word_i), array.act_i.eq(skew.o)]
        for group in range(config.groups):
            m.submodules[f"load_{group}"] = line = DelayLine(width=1, cycles=group + 1)
            m.d.comb += [line.i.eq(self.load_i[group]), array.load_i[group].eq(line.o)]
            if config.diagonal:
                m.submodules[f"ahead_{group}"] = ahead = DelayLine(width=1, cycles=group)
                m.d.comb += [ahead.i.eq(self.load_i[group]), array.ahead_i[group].eq(ahead.o)]
        if config.diagonal:
            m.d.comb += [array.bands_i.eq(self.bands_i), array.single_i.eq(self.single_i)]
        self._build_columns(m, time, array)
        return m

    def _build_columns(self, m: Module, time: Signal, array: Array) -> None:
        config = self._config
        m.submodules.tokens = tokens = DelayMemory(
            width=self._token.size, cycles=config.column_latency, time_bits=len(time)
        )
        m.d.comb += [tokens.time_i.eq(time), tokens.i.eq(self.token_i)]
        token = self._token(tokens.o)
        index_bits = (config.pe_cols - 1).bit_length()
        values = []
        for group in range(config.groups):
            m.submodules[f"columns_{group}"] = columns = ColumnGroup(
                cols=config.pe_cols,
                digit_bits=config.digit_bits,
                merged_bits=config.merged_bits,
                sum_bits=config.column_sum_bits,
                acc_bits=config.acc_bits,
                addr_bits=config.acc_addr_bits + 1,
            )
            m.d.comb += [
                columns.token_i.eq(token),
                columns.drain_addr_i.eq(self.drain_addr_i),
                columns.drain_col_i.eq(self.drain_col_i[:index_bits]),
            ]
            token = columns.token_o
            values.append(columns.drain_o)
            for index in range(config.pe_cols):
                col = group * config.pe_cols + index
                m.submodules[f"merge_{col}"] = merge = Merge(
                    psum_bits=config.psum_bits(config.rows - 1), lanes=config.digit_bits
                )
                m.d.comb += [
                    merge.i.eq(array.psum_o[group][index]),
                    columns.digit_i[index].eq(merge.o),
                ]
        if config.groups == 1:
            m.d.comb += self.drain_o.eq(values[0])
        else:
            drained_group = Signal(range(config.groups), reset_less=True)
            value = Signal.like(self.drain_o, reset_less=True)
            m.d.sync += [
                drained_group.eq(self.drain_col_i[index_bits:]),
                value.eq(Choices(values)[drained_group]),
            ]
            m.d.comb += self.drain_o.eq(value)
