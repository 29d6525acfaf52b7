"""The search among a channel's thresholds, beside the requantizer's multiplier."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class ThresholdSearch(wiring.Component):
    """Walks down a tree of thresholds, one bit of the code every second cycle.

    The comparisons are made elsewhere: here is only which node is next. ``node_o`` is in cycle
    ``2 * n`` the node that decides bit n from above; the sum with its bias has to be there two
    cycles later. Latency ``2 * bits`` cycles. The next search may start a cycle before that, as the
    last bit comes from the comparison itself. There is no flow control.

    Parameters
    ----------
    bits : int
        Bits of a code, 1..4.

    Members
    -------
    start_i : ``In(1)``
        Cycle 0 of a search.
    is_negative_i : ``In(1)``
        Sign of the sum with the bias of the node asked for two cycles before.
    is_inverted_i : ``In(1)``
        Whether that node inverts its bit.
    node_o : ``Out(bits)``
        Node.
    code_o : ``Out(bits)``
        Code, in cycle ``2 * bits``.
    """

    def __init__(self, *, bits: int) -> None:
        self._bits = bits
        super().__init__(
            {
                "start_i": In(1),
                "is_negative_i": In(1),
                "is_inverted_i": In(1),
                "node_o": Out(bits),
                "code_o": Out(bits),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``start_i`` to ``code_o``."""
        return 2 * self._bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bit = Signal()
        m.d.comb += bit.eq(~(self.is_negative_i ^ self.is_inverted_i))
        if self._bits == 1:
            m.d.comb += [self.node_o.eq(1), self.code_o.eq(bit)]
            return m
        # The node but for its last bit, in cycle 2 * bits the code but for its last. The root is
        # not kept here: the search before may still need this.
        earlier, strobe = Signal(self._bits - 1), Signal(self.latency - 2)
        m.d.sync += strobe.eq(Cat(self.start_i, strobe))
        node = Mux(self.start_i, 1, Cat(bit, Mux(strobe[1], 1, earlier)))
        m.d.comb += [self.node_o.eq(node), self.code_o.eq(Cat(bit, earlier))]
        with m.If(strobe[1::2].any()):
            m.d.sync += earlier.eq(self.node_o)
        return m
