"""Frame check sequences, bit by bit."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolic.spec.packets import FCS_POLYNOMIAL

CRC_BITS = 32


class Crc32(wiring.Component):
    """Shift register of the check sequence of :mod:`systolic.spec.packets`, for both directions.

    A section goes through it bit by bit, least significant first, then its check sequence with
    ``seal_i``. That shifts the sequence out and ones in, so the register is ready for the next
    section without being told.

    Members
    -------
    bit_i : ``In(1)``
        Next bit.
    step_i : ``In(1)``
        Take it.
    seal_i : ``In(1)``
        It belongs to the check sequence.
    restart_i : ``In(1)``
        Forget the section.
    byte_o : ``Out(8)``
        Next byte of the check sequence.
    differs_o : ``Out(1)``
        With ``seal_i``: the bit is not that of the check sequence.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "bit_i": In(1),
                "step_i": In(1),
                "seal_i": In(1),
                "restart_i": In(1),
                "byte_o": Out(8),
                "differs_o": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        register = Signal(CRC_BITS, init=-1)
        feedback = Signal()
        m.d.comb += [
            # The sequence is the register's complement.
            self.byte_o.eq(~register[:8]),
            self.differs_o.eq(self.bit_i == register[0]),
            feedback.eq((self.bit_i ^ register[0]) & ~self.seal_i),
        ]
        with m.If(self.restart_i):
            m.d.sync += register.eq(-1)
        with m.Elif(self.step_i):
            shifted = Cat(register[1:], self.seal_i)
            m.d.sync += register.eq(shifted ^ (FCS_POLYNOMIAL & feedback.replicate(CRC_BITS)))
        return m
