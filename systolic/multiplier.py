"""Multipliers of the requantizer: accumulator times 48-bit multiplier, plus a rounding constant.

Two components with the same ports but for the multiplier's: one for DSP blocks, one for plain logic
cells. Both compute ``a * multiplier + (constant << 30)`` without loss and hand out what lies above
and just below the binary point (:data:`~systolic.spec.rounding.FRACTION_BITS`).
"""

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolic.spec.geometry import UNIT_BITS
from systolic.spec.rounding import (
    LIMB_BITS,
    LIMBS,
    MULTIPLIER_BITS,
    ROUND_BITS,
    ROUND_POSITION,
    TIE_BITS,
)

__all__ = ["DspMultiplier", "FabricMultiplier", "delayed"]

LOW_BITS = 16
"""Width of the lower, unsigned limb of ``a``."""


def delayed(m: Module, name: str, value: Value, cycles: int) -> Value:
    """Value ``cycles`` later, in registers without reset, as DSP blocks have them."""
    for cycle in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{cycle}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


class DspMultiplier(wiring.Component):
    """Product in a chain of eight 16 x 16 multiply-add blocks.

    ``a`` is cut into a low unsigned and a high signed limb, the multiplier into four limbs of 12
    bits. The eight products are added in the order of their weights: each takes what the running
    sum has above its own weight as its addend, so that all carries run inside the DSP blocks, and
    the bits that fall out below are the result's lower ones. Two additions are made per cycle.

    Latency 5 cycles. Throughput one per cycle if ``cycles`` is 1; otherwise one per ``cycles``, and
    the inputs must hold for so long: this stands in for delay registers. There is no flow control.

    Yosys packs products, their registers and sums into ``SB_MAC16`` only if their widths are exact
    and no register that is to go inside has a constant bit. Two sums per cycle are the most for
    45 MHz on UP5K: icestorm gives a DSP's adder 3.9 ns, and wires between DSPs take 4 to 7 ns.
    nextpnr (0.11) does not see these paths, it takes all ports of a DSP for registered.

    Parameters
    ----------
    acc_bits : int
        Bits of ``a_i``, 18..32.
    cycles : int
        Cycles for which the inputs hold, at least 1.

    Members
    -------
    a_i : ``In(signed(acc_bits))``
        Accumulator, in cycle 0.
    multiplier_i : ``In(64)``
        Multiplier, each limb in a 16-bit unit, in cycle 0.
    constant_i : ``In(17)``
        Rounding constant, at most ``3 << 15``, in cycle 1.
    result_o : ``Out(signed(acc_bits + 1))``
        Product above the binary point.
    fraction_o : ``Out(25)``
        The bits just below it.
    increment_o : ``Out(1)``
        To be added to the result; 0, it is all in there.
    """

    LATENCY = 5
    MULTIPLIER_OFFSET = 0
    CONSTANT_OFFSET = 1

    def __init__(self, *, acc_bits: int, cycles: int) -> None:
        self._cycles = cycles
        super().__init__(
            {
                "a_i": In(signed(acc_bits)),
                "multiplier_i": In(LIMBS * UNIT_BITS),
                "constant_i": In(ROUND_BITS + 1),
                "result_o": Out(signed(acc_bits + 1)),
                "fraction_o": Out(TIE_BITS),
                "increment_o": Out(1),
            }
        )

    def _product(self, m: Module, *, is_high: bool, limb: int, cycles: int) -> Value:
        """Product of two limbs, ``cycles`` after the inputs."""
        name = f"{'high' if is_high else 'low'}_{limb}"
        # as wide as it may be: the sums below are made for 32 bits
        a = Signal(signed(32), name=f"{name}_a")
        m.d.comb += a.eq(self.a_i)
        factor = a[LOW_BITS:] if is_high else a[:LOW_BITS]
        # The bit above a limb is 0; coming from memory, it lets a register into the DSP.
        digit = self.multiplier_i.word_select(limb, UNIT_BITS)[: LIMB_BITS + is_high]
        # A DSP has two registers behind its multiplier; inputs that hold for more cycles than one
        # are a delay of their own; what is missing comes before the multiplier.
        behind = min(cycles, 2)
        delay = max(0, cycles - behind - (self._cycles - 1))
        factor = delayed(m, f"{name}_factor", factor, delay)
        digit = delayed(m, f"{name}_digit", digit, delay)
        if is_high:
            product = factor.as_signed() * digit.as_signed()
            # The last sum is a bit shorter than the product and would cut its register.
            product = product.as_unsigned()[: len(product) - (limb == 3)]
        else:
            product = factor * digit
        return delayed(m, f"{name}_product", product, behind)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        low = [self._product(m, is_high=False, limb=n, cycles=(1, 1, 2, 3)[n]) for n in range(4)]
        high = [self._product(m, is_high=True, limb=n, cycles=(2, 3, 4, 4)[n]) for n in range(4)]

        # sum_n has the weight 2**(0, 12, 16, 24, 28, 36, 40, 52)[n]. Addends are sign-extended by
        # hand: an unsigned product's sum then stays within 32 bits, and yosys does not pack an
        # addend's register, the last sum's, into the next DSP as well (it would lose the sum).
        sum_1 = Signal(32, reset_less=True)
        sum_2 = Signal(signed(32))
        sum_3 = Signal(30, reset_less=True)
        sum_4 = Signal(29)
        sum_5 = Signal(30, reset_less=True)
        sum_6 = Signal(29)
        sum_7 = Signal(28, reset_less=True)
        # The rounding constant's weight is 2**30. Its low 13 bits lie free above the addend of
        # sum_1, the rest is added to that of sum_2.
        split = 13
        later = self.constant_i[split:]
        if self._cycles == 1:
            later = delayed(m, "constant", later, 1)
        addend_1 = Cat(low[0][LIMB_BITS:], Const(0, 2), self.constant_i[:split])
        addend_2 = Cat(sum_1[4:31], sum_1[31] + later)
        m.d.sync += [
            sum_1.eq(low[1] + addend_1),
            sum_3.eq(low[2] + _extend(sum_2[8:], len(sum_3))),
            sum_5.eq(low[3] + _extend(sum_4[8:], len(sum_5))),
            sum_7.eq(high[3] + _extend(sum_6[12:], len(sum_7))),
        ]
        m.d.comb += [
            sum_2.eq(high[0].as_signed() + addend_2.as_signed()),
            sum_4.eq(high[1] + _extend(sum_3[4:], len(sum_4))),
            sum_6.eq(high[2] + _extend(sum_5[4:], len(sum_6))),
        ]

        bits_40 = delayed(m, "bits_40", sum_6[:12], 1)
        fraction = Cat(
            delayed(m, "bits_22", sum_2[6:8], 3),
            delayed(m, "bits_24", sum_3[:4], 2),
            delayed(m, "bits_28", sum_4[:8], 2),
            delayed(m, "bits_36", sum_5[:4], 1),
            bits_40[:7],
        )
        m.d.comb += [self.fraction_o.eq(fraction), self.result_o.eq(Cat(bits_40[7:], sum_7))]
        return m


def _extend(bits: Value, width: int) -> Value:
    """Two's complement bits, sign-extended to ``width``."""
    return Cat(bits, bits[-1].replicate(width - len(bits)))


class FabricMultiplier(wiring.Component):
    """Product in logic cells, ``48 / cycles`` multiplier bits (a digit) per cycle, lowest first.

    One adder row per bit of the digit, a register after each but the first, then a shifting
    accumulator::

        product = (product >> digit_bits) + a * digit

    The rounding constant is added serially to the digits that leave the accumulator; what its carry
    is in the end, the parent adds to the result. Latency :attr:`LATENCY` cycles, throughput one
    result per ``cycles``. There is no flow control.

    Parameters
    ----------
    acc_bits : int
        Bits of ``a_i``.
    cycles : int
        Cycles per result and for which the inputs hold: a divisor of 48, at least 4.

    Members
    -------
    start_i : ``In(1)``
        First cycle of ``multiplier_i``; again after ``cycles`` at the earliest.
    a_i : ``In(signed(acc_bits))``
        Accumulator, in cycle 0.
    multiplier_i : ``In(48)``
        Multiplier, in cycle -1.
    constant_i : ``In(17)``
        Rounding constant, at most ``3 << 15``, in cycle :attr:`CONSTANT_OFFSET`.
    result_o : ``Out(signed(acc_bits + 1))``
        Product without the rounding constant, above the binary point.
    fraction_o : ``Out(25)``
        The bits just below it.
    increment_o : ``Out(1)``
        To be added to the result: the rounding constant's carry.
    end_o : ``Out(1)``
        Last cycle of ``multiplier_i``, :attr:`END_OFFSET` cycles after ``start_i``.
    """

    MULTIPLIER_OFFSET = -1

    def __init__(self, *, acc_bits: int, cycles: int) -> None:
        self._cycles = cycles
        self._digit_bits = MULTIPLIER_BITS // cycles
        self._stages = max(1, self._digit_bits - 1)
        self.LATENCY = cycles + self._stages
        self.CONSTANT_OFFSET = 1 + self._stages
        self.END_OFFSET = cycles - 1
        self.is_slow = self._stages == 1
        super().__init__(
            {
                "start_i": In(1),
                "a_i": In(signed(acc_bits)),
                "multiplier_i": In(MULTIPLIER_BITS),
                "constant_i": In(ROUND_BITS + 1),
                "result_o": Out(signed(acc_bits + 1)),
                "fraction_o": Out(TIE_BITS),
                "increment_o": Out(1),
                "end_o": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self._digit_bits
        step = Signal(range(self._cycles))
        # Rests at 0, where it selects the first digit.
        m.d.comb += self.end_o.eq(step == self._cycles - 1)
        with m.If(self.end_o):
            m.d.sync += step.eq(0)
        with m.Elif(self.start_i | (step != 0)):
            m.d.sync += step.eq(step + 1)
        digit = delayed(m, "digit", self.multiplier_i.word_select(step, width), 1)

        factor = self.a_i
        row = Mux(digit[0], factor, 0)
        for bit in range(1, max(width, 2)):
            if bit < width:
                # Mux(bit, x + y, x) is one logic cell per bit
                row = Mux(digit[bit], row + (factor << bit), row)
            row = delayed(m, f"row_{bit}", row, 1)
            if bit < width - 1:
                factor = delayed(m, f"factor_{bit}", factor, 1)
                digit = delayed(m, f"digit_{bit}", digit, 1)
        starts = delayed(m, "starts", step == 0, self._stages)
        is_first = delayed(m, "is_first", starts, 1)

        product = Signal(signed(len(self.a_i) + width), reset_less=True)
        rest = product[width:].as_signed()
        m.d.sync += product.eq(Mux(is_first, row, rest + row))
        # Fraction bits leave at the low end, digit by digit.
        fraction = Signal(TIE_BITS + width, reset_less=True)
        m.d.sync += fraction.eq(Cat(fraction, product[:width])[width:])
        below = Cat(fraction, product[: width - 1])
        m.d.comb += [
            self.result_o.eq(product[width - 1 :].as_signed()),
            self.fraction_o.eq(below[len(below) - TIE_BITS :]),
        ]
        self._build_increment(m, product[:width], starts, is_first)
        return m

    def _build_increment(self, m: Module, leaving: Value, starts: Value, is_first: Value) -> None:
        """Add the rounding constant to the digits that leave."""
        step, carry = Signal(range(self._cycles)), Signal()
        m.d.sync += step.eq(Mux(starts, 0, step + 1))
        constant = Cat(Const(0, ROUND_POSITION), self.constant_i, Const(0, 1))
        addend = delayed(m, "addend", constant.word_select(step, len(leaving)), 1)
        total = Signal(len(leaving) + 1)
        carried = Cat(Const(1, 1), leaving) + Cat(carry, addend)
        m.d.comb += total.eq(carried[1:])
        m.d.sync += carry.eq(total[-1] & ~is_first)
        # The last digit's top bit is the result's lowest, and the constant's is 0 there: what came
        # in as its carry is the sum's difference.
        m.d.comb += self.increment_o.eq(total[-2] ^ leaving[-1])
