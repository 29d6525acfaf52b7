"""From accumulators to output codes: bias, multiplier, rounding, zero point, clamp."""

from collections.abc import Collection

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolic.multiplier import DspMultiplier, FabricMultiplier, delayed
from systolic.spec.rounding import MULTIPLIER_BITS, ROUND_BITS, Rounding
from systolic.spec.thresholds import BIAS_BITS, ENTRY_BITS
from systolic.threshold_search import ThresholdSearch

__all__ = ["Requantizer"]

CODE_BITS = 8
"""Width of an output code; results of more bits saturate."""

STYLES = {"dsp": DspMultiplier, "fabric": FabricMultiplier}
"""Multiplier by name of its style."""


class Requantizer(wiring.Component):
    """Turns accumulators into codes, exactly as ``systolic.spec.arithmetic`` says.

    An accumulator may come in several parts (weights wider than the array's), each in a slot of its
    own, most significant first::

        value = acc if first else (value << weight_bits) + acc
        code  = clamp(zero + round((value + bias) * multiplier / 2**47), lo, hi)

    where ``round`` is ``requantize_hardware``. Nothing is resolved by sign: two's complement runs
    through to the code, and the rounding constant takes the accumulator's sign.

    Where there are thresholds, a code may come from a search among them instead, which takes the
    bias's adder for its comparisons and a slot of ``2 * threshold_bits - 1`` cycles at least. Its
    result is valid :attr:`threshold_latency` cycles after the last slot's cycle 0; zero and clamp
    have to be 0, so that the multiplier's way gives 0.

    A slot starts with ``valid_i`` in its cycle 0 and takes at least ``cycles`` cycles. Per-channel
    inputs are sampled where they are needed and must hold for ``cycles`` cycles, counted from
    :attr:`bias_offset`, :attr:`multiplier_offset` and :attr:`round_offset`. A result is valid
    :attr:`latency` cycles after its last slot's cycle 0. There is no flow control.

    A multiplier that takes many cycles leaves time: the rounding constant is kept until its next
    start, so that all per-channel inputs may come at once, and its counter times the result,
    instead of a register per cycle.

    Parameters
    ----------
    acc_bits : int
        Bits of an accumulator with its bias, 16..32. That no value needs more is the compiler's
        business.
    weight_bits : int
        Bits by which a part is weightier than the next one, 1..8.
    cycles : int
        Shortest slot: a divisor of 48, and at least 4 in fabric.
    style : "dsp" or "fabric"
        Multiplier of eight 16 x 16 DSP blocks (whatever ``cycles``), or of ``48 / cycles`` adder
        rows.
    roundings : collection of str
        Which of "tflite" and "onnx" are wanted; ``onnx_i`` chooses if both are.
    threshold_bits : int
        Bits of a code found among thresholds, up to 4; 0 if there are none, and then none of the
        ports for them.

    Members
    -------
    acc_i : ``In(signed(acc_bits))``
        Accumulator or part of one, in cycle 0.
    valid_i : ``In(1)``
        High in cycle 0 of a slot.
    first_i, last_i : ``In(1)``
        Whether it is the first and the last part; in cycle 0.
    tag_i : ``In(1)``
        What goes with the value, in cycle 0 of its last part; low else.
    bias_i : ``In(signed(32))``, in fabric ``In(signed(max(acc_bits, 18)))``
        Bias, from cycle :attr:`bias_offset`; needed with the last part only. With thresholds always
        32 bits: the bias, or the entry of the node asked for in the cycle before.
    multiplier_i : ``In(64)``, in fabric ``In(48)``
        Multiplier, from cycle :attr:`multiplier_offset`; needed with the last part only.
    round_i : ``In(16)``
        Rounding constant, 0 or a power of two, from cycle :attr:`round_offset`; likewise.
    onnx_i : ``In(1)``
        Rounding of this layer; static, as are the following.
    zero_i : ``In(8)``
        Code of zero.
    lo_i, hi_i : ``In(8)``
        Clamp, in codes.
    thresholds_i : ``In(1)``
        Codes of this layer come from thresholds; static.
    node_o : ``Out(threshold_bits)``
        Then, node whose entry is needed in the next cycle; else 0.
    code_o : ``Out(8)``
        Result.
    valid_o : ``Out(1)``
        High in the one cycle in which ``code_o`` is a result.
    tag_o : ``Out(1)``
        Then, its ``tag_i``.

    Raises
    ------
    :exc:`ValueError`
        If a parameter is out of range.
    """

    def __init__(
        self,
        *,
        acc_bits: int,
        weight_bits: int,
        cycles: int,
        style: str,
        roundings: Collection[str],
        threshold_bits: int = 0,
    ) -> None:
        if not 16 <= acc_bits <= 32:
            raise ValueError(f"acc_bits must be in 16..32, not {acc_bits}")
        if not 1 <= weight_bits <= 8:
            raise ValueError(f"weight_bits must be in 1..8, not {weight_bits}")
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, not {style!r}")
        fewest = 4 if style == "fabric" else 1
        if cycles < fewest or MULTIPLIER_BITS % cycles:
            raise ValueError(
                f"cycles must divide {MULTIPLIER_BITS} and be at least {fewest} in {style}, "
                f"not {cycles}"
            )
        self._roundings = {Rounding(name) for name in roundings}
        if not self._roundings:
            raise ValueError("roundings must not be empty")
        if not 0 <= threshold_bits <= 4:
            raise ValueError(f"threshold_bits must be in 0..4, not {threshold_bits}")
        self._weight_bits = weight_bits
        self._threshold_bits = threshold_bits
        # DSP blocks are as wide as they are: a narrower product would not even pack as well. In
        # fabric 18 bits: a signed limb wants two at least.
        value_bits = 32 if style == "dsp" else max(acc_bits, 18)
        self._multiplier = STYLES[style](acc_bits=value_bits, cycles=cycles)
        bias = signed(ENTRY_BITS if threshold_bits else value_bits)
        thresholds = {"thresholds_i": In(1), "node_o": Out(threshold_bits)}
        super().__init__(
            {
                "acc_i": In(signed(acc_bits)),
                "valid_i": In(1),
                "first_i": In(1),
                "last_i": In(1),
                "tag_i": In(1),
                "bias_i": In(bias),
                "multiplier_i": In(len(self._multiplier.multiplier_i)),
                "round_i": In(ROUND_BITS),
                "onnx_i": In(1),
                "zero_i": In(CODE_BITS),
                "lo_i": In(CODE_BITS),
                "hi_i": In(CODE_BITS),
                **(thresholds if threshold_bits else {}),
                "code_o": Out(CODE_BITS),
                "valid_o": Out(1),
                "tag_o": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a last slot's ``valid_i`` to ``valid_o``."""
        # parts, bias, product, ties, zero point, clamp
        return 2 + self._multiplier.LATENCY + self._can_onnx + 2

    @property
    def threshold_latency(self) -> int:
        """Cycles from a last slot's ``valid_i`` to ``valid_o`` where there are thresholds."""
        return 2 * self._threshold_bits + 1

    @property
    def bias_offset(self) -> int:
        """Cycle of a slot from which ``bias_i`` is needed."""
        return 1

    @property
    def multiplier_offset(self) -> int:
        """Cycle of a slot from which ``multiplier_i`` is needed."""
        return 2 + self._multiplier.MULTIPLIER_OFFSET

    @property
    def round_offset(self) -> int:
        """Cycle of a slot from which ``round_i`` is needed."""
        return self.multiplier_offset if self._is_slow else self._constant_cycle

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = self._multiplier
        is_onnx = self._is_onnx()

        # Cycle 0: join parts. The multiplexer behind the adder costs no logic cells of its own.
        joined, value = Signal.like(self.acc_i), Signal.like(self._multiplier.a_i)
        with m.If(self.valid_i):
            shifted = joined << self._weight_bits
            # Parts of one bit are -1 or 0: only subtracted can they add to the first, the sign.
            total = shifted - self.acc_i if self._weight_bits == 1 else shifted + self.acc_i
            m.d.sync += joined.eq(Mux(self.first_i, self.acc_i, total))

        # Cycle 1: the bias, once for all parts.
        m.d.sync += value.eq(joined + self._bias())

        # Then the rounding constant takes the sign. The sum is R, or R - 1 with the carry that
        # tells 0 from the rest; inverted, R - 1 is -R.
        wait = 0 if self._is_slow else multiplier.CONSTANT_OFFSET - 1
        sign = delayed(m, "is_negative", value[-1], wait).replicate(ROUND_BITS)
        adjusted = Signal(ROUND_BITS + 1)
        constant = Signal(ROUND_BITS + 1)
        m.d.comb += adjusted.eq(self.round_i + sign)
        valid, tag = self._results(m)
        with m.If(self._build_strobes(m, valid, tag)):
            m.d.sync += constant.eq(adjusted ^ Cat(sign, Const(1, 1)))
        with m.If(is_onnx):
            m.d.sync += constant.eq(0)

        m.d.comb += [
            multiplier.a_i.eq(value),
            multiplier.multiplier_i.eq(self.multiplier_i),
            multiplier.constant_i.eq(constant),
        ]
        searched = self._build_search(m, value[-1]) if self._threshold_bits else None
        self._build_output(m, is_onnx, searched)
        return m

    def _bias(self) -> Value:
        """What is added to a value."""
        if not self._threshold_bits:
            return self.bias_i
        width = len(self._multiplier.a_i)
        if width <= BIAS_BITS:
            return self.bias_i[:width].as_signed()
        # The entry of a node has a flag above its bias.
        sign = Mux(self.thresholds_i, self.bias_i[BIAS_BITS - 1], self.bias_i[-1])
        return Cat(self.bias_i[:BIAS_BITS], sign).as_signed()

    def _results(self, m: Module) -> tuple[Signal, Signal]:
        """Strobe and tag of what the multiplier gives; those that leave, if they are no others."""
        if not self._threshold_bits:
            return self.valid_o, self.tag_o
        valid, tag = Signal(), Signal()
        line, tags = Signal(self.threshold_latency), Signal(self.threshold_latency)
        m.d.sync += [
            line.eq(Cat(self.valid_i & self.last_i, line)),
            tags.eq(Cat(self.tag_i, tags)),
        ]
        m.d.comb += [
            self.valid_o.eq(Mux(self.thresholds_i, line[-1], valid)),
            self.tag_o.eq(Mux(self.thresholds_i, tags[-1], tag)),
        ]
        return valid, tag

    def _build_search(self, m: Module, is_negative: Value) -> Value:
        """Code of the search among thresholds, 0 in layers without."""
        m.submodules.search = search = ThresholdSearch(bits=self._threshold_bits)
        is_used = self.thresholds_i.replicate(self._threshold_bits)
        m.d.comb += [
            search.start_i.eq(self.valid_i & self.last_i),
            search.is_negative_i.eq(is_negative),
            search.is_inverted_i.eq(delayed(m, "is_inverted", self.bias_i[-1], 1)),
            self.node_o.eq(search.node_o & is_used),
        ]
        return search.code_o & is_used

    def _build_strobes(self, m: Module, valid: Signal, tag_out: Signal) -> Value:
        """Last part's strobe and its tag; gives whether to load the rounding constant."""
        multiplier, is_last = self._multiplier, self.valid_i & self.last_i
        if not self._is_slow:
            strobe, tags = Signal(self.latency), Signal(self.latency, reset_less=True)
            m.d.sync += [strobe.eq(Cat(is_last, strobe)), tags.eq(Cat(self.tag_i, tags))]
            m.d.comb += [valid.eq(strobe[-1]), tag_out.eq(tags[-1])]
            if isinstance(multiplier, FabricMultiplier):
                m.d.comb += multiplier.start_i.eq(strobe[0])
            return Const(1, 1)
        assert isinstance(multiplier, FabricMultiplier)
        strobe, tag = Signal(self._constant_cycle), Signal()
        ends = Signal(self.latency - 1 - multiplier.END_OFFSET)
        m.d.sync += [strobe.eq(Cat(is_last, strobe)), ends.eq(Cat(multiplier.end_o, ends))]
        m.d.comb += [multiplier.start_i.eq(strobe[0]), valid.eq(ends[-1])]
        # A tag waits in one register, and from the multiplier's last cycle on in another: no sooner
        # than then comes the next one.
        with m.If(is_last):
            m.d.sync += tag.eq(self.tag_i)
        with m.If(multiplier.end_o):
            m.d.sync += tag_out.eq(tag)
        return strobe[-1]

    @property
    def _is_slow(self) -> bool:
        return isinstance(self._multiplier, FabricMultiplier) and self._multiplier.is_slow

    @property
    def _constant_cycle(self) -> int:
        """Cycle of a slot in which the rounding constant is loaded, one before it is needed."""
        return 2 + self._multiplier.CONSTANT_OFFSET - 1

    @property
    def _can_onnx(self) -> bool:
        return Rounding.ONNX in self._roundings

    def _is_onnx(self) -> Value:
        """Whether to round as ONNX Runtime does, a constant if there is no choice."""
        if self._roundings == set(Rounding):
            return self.onnx_i
        return Const(self._can_onnx, 1)

    def _build_output(self, m: Module, is_onnx: Value, searched: Value | None) -> None:
        """Round to even if asked to, add the zero point, clamp; or take what was searched."""
        result = self._multiplier.result_o
        # The lowest bits decide, unless the others differ from the sign.
        narrow, rest = result[: CODE_BITS + 1].as_signed(), result[CODE_BITS:]
        is_negative, is_wide = result[-1], rest.any() & ~rest.all()
        rounds_up = self._multiplier.increment_o
        if self._can_onnx:
            fraction = self._multiplier.fraction_o
            stage = Signal(len(narrow) + 6)
            differs = self._differs_from_tie(result, fraction)
            half = fraction[-1]
            m.d.sync += stage.eq(Cat(narrow, is_negative, is_wide, rounds_up, half, differs))
            narrow, is_negative, is_wide = stage[: len(narrow)].as_signed(), stage[-6], stage[-5]
            rounds_up, half, differs = stage[-4], stage[-3], stage[-2:].any()
            rounds_up |= is_onnx & Mux(differs, half, narrow[0])

        # Last but one cycle. Stored inverted, since lo + ~total carries if total < lo.
        total = Signal(CODE_BITS + 2)
        inverted, too_low, too_high = Signal.like(total), Signal(), Signal()
        carried = Cat(Const(1, 1), narrow).as_signed() + Cat(rounds_up, self.zero_i)
        m.d.comb += total.eq(carried[1:])
        m.d.sync += [
            inverted.eq(~total),
            too_low.eq(is_wide & is_negative),
            too_high.eq(is_wide & ~is_negative),
        ]

        # Last cycle.
        under = (self.lo_i + inverted[:CODE_BITS])[CODE_BITS]
        reaches = ~(self.hi_i + inverted[:CODE_BITS])[CODE_BITS]
        is_low, is_high = Signal(), Signal()
        m.d.comb += [
            is_low.eq(~too_high & (too_low | ~inverted[-1] | (inverted[-2] & under))),
            is_high.eq(too_high | ~inverted[-2] | reaches),
        ]
        clamped = Mux(is_high, self.hi_i, ~inverted[:CODE_BITS])
        code = Mux(is_low, self.lo_i, clamped)
        m.d.sync += self.code_o.eq(code if searched is None else code | searched)

    def _differs_from_tie(self, result: Value, fraction: Value) -> Value:
        """Two bits, both 0 if float32 takes the fraction for one half."""
        half, rest = fraction[-1], fraction[:-1]
        # A tie has all bits below the half at the half's opposite. Where the result's magnitude is
        # 2**k, only those count that float32 still has: the lowest fall away one by one.
        deviates = rest ^ (~half).replicate(len(rest))
        magnitude = result[:CODE_BITS] ^ result[-1].replicate(CODE_BITS)
        counts = Cat(~magnitude[bit:].any() for bit in range(CODE_BITS))
        return Cat((deviates[:CODE_BITS] & counts).any(), deviates[CODE_BITS:].any())
