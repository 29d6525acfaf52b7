"""The processing element: the one thing the array repeats."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class PE(wiring.Component):
    """Weight-stationary processing element for activations in digits.

    Each cycle one activation digit enters. Every bit of it has a lane with its own partial sum;
    where the bit is 1, the held weight joins the lane's sum. So it goes for each of ``cols``
    columns::

        psum_o[col][lane][t+1] = psum_i[col][lane][t] + (weight[col][t] if act_i[t][lane] else 0)

    The lanes are joined once per column, below the array. Weights arrive as digits on the same
    wires as activations while ``load_i`` is set, the first column's first, each most significant
    digit first: they shift through the PE's weight register, whose ends are the columns. Where
    tiles may be diagonal, a PE takes zeros instead of what is another row's.

    Latency 1 cycle, throughput 1 digit per cycle. There is no flow control: the array runs in
    lockstep, so its feeder starts only what its accumulators can take.

    Parameters
    ----------
    cols : int
        Columns, 1 or more.
    weight_bits : int
        Bits of a held weight (two's complement).
    digit_bits : int
        Bits of a digit: lanes.
    psum_i_bits, psum_o_bits : int
        Bits of a partial sum above and below.
    diagonal : bool
        Whether there is a ``take_i``.

    Members
    -------
    act_i : ``In(digit_bits)``
        Digit from the west.
    act_o : ``Out(digit_bits)``
        The same digit, a cycle later, to the east.
    load_i : ``In(1)``
        Whether ``act_i`` is a digit of these columns' weights.
    load_o : ``Out(1)``
        The same, a cycle later, to the south.
    take_i : ``In(1)``
        Whether to take the digit of a weight; else zero.
    psum_i : ``In(psum_layout(psum_i_bits, digit_bits, cols))``
        Partial sums from the north.
    psum_o : ``Out(psum_layout(psum_o_bits, digit_bits, cols))``
        Partial sums to the south.

    Raises
    ------
    :exc:`ValueError`
        If the partial sum below cannot hold a weight or a sum from above.
    """

    LATENCY = 1

    def __init__(
        self,
        *,
        cols: int,
        weight_bits: int,
        digit_bits: int,
        psum_i_bits: int,
        psum_o_bits: int,
        diagonal: bool = False,
    ) -> None:
        if psum_o_bits < max(weight_bits, psum_i_bits):
            raise ValueError(
                f"psum_o_bits must be at least weight_bits ({weight_bits}) and psum_i_bits "
                f"({psum_i_bits}), not {psum_o_bits}"
            )
        self._cols = cols
        self._weight_bits = weight_bits
        self._digit_bits = digit_bits
        self._diagonal = diagonal
        super().__init__(
            {
                "act_i": In(digit_bits),
                "act_o": Out(digit_bits),
                "load_i": In(1),
                "load_o": Out(1),
                **({"take_i": In(1)} if diagonal else {}),
                "psum_i": In(psum_layout(psum_i_bits, digit_bits, cols)),
                "psum_o": Out(psum_layout(psum_o_bits, digit_bits, cols)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Nothing here needs a reset: what the feeder did not send, nobody looks at.
        act = Signal(self._digit_bits, reset_less=True)
        load = Signal(reset_less=True)
        m.d.sync += [act.eq(self.act_i), load.eq(self.load_i)]
        m.d.comb += [self.act_o.eq(act), self.load_o.eq(load)]

        # A weight passes through the places of later columns in whole digits.
        place_bits = -(-self._weight_bits // self._digit_bits) * self._digit_bits
        weights = Signal(place_bits * (self._cols - 1) + self._weight_bits, reset_less=True)
        with m.If(self.load_i):
            taken = Mux(self.take_i, self.act_i, 0) if self._diagonal else self.act_i
            m.d.sync += weights.eq(Cat(taken, weights))
        for col in range(self._cols):
            place = place_bits * (self._cols - 1 - col)
            weight = weights[place : place + self._weight_bits].as_signed()
            for lane in range(self._digit_bits):
                above, below = self.psum_i[col][lane], self.psum_o[col][lane]
                psum = Signal(below.shape(), name=f"psum_{col}_{lane}", reset_less=True)
                # A multiplexer behind the adder, not an AND in front of it: yosys folds it into
                # the adder's own LUT on iCE40, one logic cell per bit.
                m.d.sync += psum.eq(Mux(self.act_i[lane], above + weight, above))
                m.d.comb += below.eq(psum)
        return m


def psum_layout(psum_bits: int, digit_bits: int, cols: int) -> data.ArrayLayout:
    """Partial sums of a PE, by column and lane."""
    return data.ArrayLayout(data.ArrayLayout(signed(psum_bits), digit_bits), cols)
