"""What REGISTERS answers: identity and counters."""

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolic.spec.registers import COUNTER_BITS, IDENTITY_BYTES, REGISTER_BYTES, Identity


class HostRegisters(wiring.Component):
    """Identity and cycle counters, byte by byte.

    Parameters
    ----------
    identity : Identity
        Who answers.

    Members
    -------
    index_i : ``In(range(REGISTER_BYTES))``
        Byte wanted.
    byte_o : ``Out(8)``
        It.
    clear_i : ``In(1)``
        Count from 0.
    running_i : ``In(1)``
        A program runs: count the cycle.
    stream_i : ``In(1)``
        The array is given activations in it.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        super().__init__(
            {
                "index_i": In(range(REGISTER_BYTES)),
                "byte_o": Out(8),
                "clear_i": In(1),
                "running_i": In(1),
                "stream_i": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cycles, busy_cycles = Signal(COUNTER_BITS), Signal(COUNTER_BITS)
        # Counted a cycle late, and complete long before the host can have read the first byte.
        running, stream = Signal(), Signal()
        m.d.sync += [running.eq(self.running_i), stream.eq(self.stream_i)]
        with m.If(self.clear_i):
            m.d.sync += [cycles.eq(0), busy_cycles.eq(0)]
        with m.Elif(running):
            m.d.sync += [cycles.eq(cycles + 1), busy_cycles.eq(busy_cycles + stream)]
        rom = Array(Const(byte, 8) for byte in self._identity.encode())
        index_bits = IDENTITY_BYTES.bit_length() - 1
        m.d.comb += self.byte_o.eq(
            Mux(
                self.index_i[index_bits],
                Cat(cycles, busy_cycles).word_select(self.index_i[:3], 8),
                rom[self.index_i[:index_bits]],
            )
        )
        return m
