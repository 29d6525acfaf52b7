"""Per-channel requantization parameters in block RAM."""

from amaranth import Cat, Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from systolic.spec.geometry import OFFSET_DEPTH, PARAMETER_BITS, UNIT_BITS
from systolic.spec.rounding import LIMBS

FIELDS = {"bias": (0, 2), "round": (2, 1), "multiplier": (4, LIMBS)}
"""First 16-bit unit and number of units of each parameter, as packed in the scratchpad."""


class ParameterMemory(wiring.Component):
    """256 channels of (bias, multiplier, round), each with its own read address.

    The requantizer needs the parameters of a result in different cycles; separate addresses let the
    drain engine present each just in time, without delay registers. Latency 1 cycle.

    Parameters
    ----------
    word_bits : int
        Bits of a scratchpad word, a multiple of 16; a channel takes ``ceil(128 / word_bits)``
        words.
    limb_bits : int
        Bits kept of each of the multiplier's 16-bit units.

    Members
    -------
    channel_i : ``In(8)``
        Channel to write.
    word_i : ``In(word_bits)``
        One word of its parameters.
    write_en_i : ``In(ceil(128 / word_bits))``
        Which one (one-hot).
    bias_channel_i, round_channel_i, multiplier_channel_i : ``In(8)``
        Channels to read.
    bias_o : ``Out(32)``
        Bias of the channel asked for in the cycle before.
    round_o : ``Out(16)``
        Rounding constant, likewise.
    multiplier_o : ``Out(4 * limb_bits)``
        Multiplier, likewise.
    """

    LATENCY = 1

    def __init__(self, *, word_bits: int, limb_bits: int) -> None:
        self._word_bits = word_bits
        self._unit_bits = {"bias": UNIT_BITS, "round": UNIT_BITS, "multiplier": limb_bits}
        super().__init__(
            {
                "channel_i": In(8),
                "word_i": In(word_bits),
                "write_en_i": In(-(-PARAMETER_BITS // word_bits)),
                **{f"{name}_channel_i": In(8) for name in FIELDS},
                **{
                    f"{name}_o": Out(count * self._unit_bits[name])
                    for name, (_, count) in FIELDS.items()
                },
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = self._word_bits
        for name, (first, count) in FIELDS.items():
            width = self._unit_bits[name]
            ram = memory.Memory(
                shape=count * width, depth=OFFSET_DEPTH, init=[], attrs={"ram_style": "block"}
            )
            m.submodules[name] = ram
            write, read = ram.write_port(granularity=width), ram.read_port()
            lsbs = range(first * UNIT_BITS, (first + count) * UNIT_BITS, UNIT_BITS)
            m.d.comb += [
                write.addr.eq(self.channel_i),
                write.data.eq(Cat(self.word_i[lsb % words :][:width] for lsb in lsbs)),
                write.en.eq(Cat(self.write_en_i[lsb // words] for lsb in lsbs)),
                read.addr.eq(getattr(self, f"{name}_channel_i")),
                getattr(self, f"{name}_o").eq(read.data),
            ]
        return m
