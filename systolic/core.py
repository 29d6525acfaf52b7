"""The array core: skew, array, column merge and accumulators, with everything aligned."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolic.array import Array
from systolic.column import Column, Merge, token_layout
from systolic.delay import DelayLine, DelayMemory
from systolic.skew import Skew
from systolic.spec.config import ArrayConfig


class Core(wiring.Component):
    """From scratchpad words to accumulators.

    Word, load and token enter together. A word is either one digit of a column's weights (``load_i``
    names the column), or one digit of a pixel (``token_i`` says what to do with its column sums), or
    nothing. Anything may follow anything in the next cycle: weights move as a wave behind the last
    digit and in front of the next.

    Column c takes the token ``config.column_latency - 1 + c`` cycles after it entered.

    Parameters
    ----------
    config : ArrayConfig
        The array.

    Members
    -------
    word_i : ``In(ArrayLayout(digit_bits, rows))``
        Digits, one per row.
    load_i : ``In(cols)``
        Column whose weights ``word_i`` carries (one-hot), or 0.
    token_i : ``In(token_layout(acc_addr_bits + 1))``
        What to do with the word's sums; the top address bit is the half.
    drain_addr_i : ``In(acc_addr_bits + 1)``
        Accumulators to read, in all columns.
    drain_o : ``Out(ArrayLayout(signed(acc_bits), cols))``
        Their values, a cycle later.
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._token = token_layout(config.acc_addr_bits + 1)
        super().__init__(
            {
                "word_i": In(data.ArrayLayout(config.digit_bits, config.rows)),
                "load_i": In(config.cols),
                "token_i": In(self._token),
                "drain_addr_i": In(config.acc_addr_bits + 1),
                "drain_o": Out(data.ArrayLayout(config.acc_bits, config.cols)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        token_delay = config.column_latency - 1
        # The longest ring carries the tokens; all rings share this counter.
        time = Signal(max(1, (token_delay - 1).bit_length()))
        m.d.sync += time.eq(time + 1)

        m.submodules.skew = skew = Skew(
            rows=config.rows,
            digit_bits=config.digit_bits,
            in_memory=config.skew == "memory",
            time_bits=len(time),
        )
        m.submodules.array = array = Array(
            cols=config.cols,
            weight_bits=config.weight_bits,
            digit_bits=config.digit_bits,
            psum_bits=tuple(config.psum_bits(row) for row in range(config.rows)),
        )
        m.d.comb += [skew.time_i.eq(time), skew.i.eq(self.word_i), array.act_i.eq(skew.o)]
        for col in range(config.cols):
            m.submodules[f"load_{col}"] = line = DelayLine(width=1, cycles=col)
            m.d.comb += [line.i.eq(self.load_i[col]), array.load_i[col].eq(line.o)]

        m.submodules.tokens = tokens = DelayMemory(
            width=self._token.size, cycles=token_delay, time_bits=len(time)
        )
        m.d.comb += [tokens.time_i.eq(time), tokens.i.eq(self.token_i)]
        token = self._token(tokens.o)
        for col in range(config.cols):
            m.submodules[f"merge_{col}"] = merge = Merge(
                psum_bits=config.psum_bits(config.rows - 1), lanes=config.digit_bits
            )
            m.submodules[f"column_{col}"] = column = Column(
                digit_bits=config.digit_bits,
                merged_bits=config.merged_bits,
                sum_bits=config.column_sum_bits,
                acc_bits=config.acc_bits,
                addr_bits=config.acc_addr_bits + 1,
            )
            m.d.comb += [
                merge.i.eq(array.psum_o[col]),
                column.digit_i.eq(merge.o),
                column.token_i.eq(token),
                column.drain_addr_i.eq(self.drain_addr_i),
                self.drain_o[col].eq(column.drain_o),
            ]
            token = column.token_o
        return m
