"""The processing element: the one thing the array repeats."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class PE(wiring.Component):
    """Weight-stationary processing element for activations in digits.

    Each cycle one activation digit enters. Every bit of it has a lane with its own partial sum; where
    the bit is 1, the held weight joins the lane's sum::

        psum_o[lane][t+1] = psum_i[lane][t] + (weight[t] if act_i[t][lane] else 0)

    The lanes are joined once per column, below the array. Weights arrive as digits on the same wires
    as activations, most significant digit first, while ``load_i`` is set::

        weight[t+1] = low weight_bits of {weight[t], act_i[t]} if load_i[t] else weight[t]

    Latency 1 cycle, throughput 1 digit per cycle. There is no flow control: the array runs in
    lockstep, so its feeder starts only what its accumulators can take.

    Parameters
    ----------
    weight_bits : int
        Bits of the held weight (two's complement).
    digit_bits : int
        Bits of a digit: lanes.
    psum_i_bits, psum_o_bits : int
        Bits of a partial sum above and below.

    Members
    -------
    act_i : ``In(digit_bits)``
        Digit from the west.
    act_o : ``Out(digit_bits)``
        The same digit, a cycle later, to the east.
    load_i : ``In(1)``
        Whether ``act_i`` is a digit of this column's weight.
    load_o : ``Out(1)``
        The same, a cycle later, to the south.
    psum_i : ``In(ArrayLayout(signed(psum_i_bits), digit_bits))``
        Partial sums from the north.
    psum_o : ``Out(ArrayLayout(signed(psum_o_bits), digit_bits))``
        Partial sums to the south.

    Raises
    ------
    :exc:`ValueError`
        If the partial sum below cannot hold a weight or a sum from above.
    """

    LATENCY = 1

    def __init__(self, *, weight_bits: int, digit_bits: int, psum_i_bits: int, psum_o_bits: int):
        if psum_o_bits < max(weight_bits, psum_i_bits):
            raise ValueError(
                f"psum_o_bits must be at least weight_bits ({weight_bits}) and psum_i_bits ({psum_i_bits}), "
                f"not {psum_o_bits}"
            )
        self._weight_bits = weight_bits
        self._digit_bits = digit_bits
        super().__init__(
            {
                "act_i": In(digit_bits),
                "act_o": Out(digit_bits),
                "load_i": In(1),
                "load_o": Out(1),
                "psum_i": In(data.ArrayLayout(signed(psum_i_bits), digit_bits)),
                "psum_o": Out(data.ArrayLayout(signed(psum_o_bits), digit_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        weight = Signal(signed(self._weight_bits))
        m.d.sync += [self.act_o.eq(self.act_i), self.load_o.eq(self.load_i)]
        with m.If(self.load_i):
            m.d.sync += weight.eq(Cat(self.act_i, weight)[: self._weight_bits])
        for lane in range(self._digit_bits):
            above = self.psum_i[lane]
            # A multiplexer behind the adder, not an AND in front of it: yosys folds it into the
            # adder's own LUT on iCE40, one logic cell per bit.
            m.d.sync += self.psum_o[lane].eq(Mux(self.act_i[lane], above + weight, above))
        return m
