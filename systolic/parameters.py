"""Per-channel requantization parameters in block RAM."""

from amaranth import Cat, Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from systolic.spec.config import OFFSET_DEPTH, PARAMETER_BITS, UNIT_BITS

FIELDS = {"bias": (0, 32), "multiplier": (32, 48), "round": (80, 16)}
"""Place of each parameter in a channel's 96 bits: least significant bit and width."""


class ParameterMemory(wiring.Component):
    """256 channels of (bias, multiplier, round), each with its own read address.

    The requantizer needs the parameters of a result in different cycles; separate addresses let the
    drain engine present each just in time, without delay registers. Latency 1 cycle.

    Parameters
    ----------
    word_bits : int
        Bits of a scratchpad word, a multiple of 16; a channel takes ``ceil(96 / word_bits)`` words.

    Members
    -------
    channel_i : ``In(8)``
        Channel to write.
    word_i : ``In(word_bits)``
        One word of its parameters.
    write_en_i : ``In(ceil(96 / word_bits))``
        Which one (one-hot).
    bias_channel_i, multiplier_channel_i, round_channel_i : ``In(8)``
        Channels to read.
    bias_o : ``Out(32)``
        Bias of the channel asked for in the cycle before.
    multiplier_o : ``Out(48)``
        Multiplier, likewise.
    round_o : ``Out(16)``
        Rounding constant, likewise.
    """

    LATENCY = 1

    def __init__(self, *, word_bits: int) -> None:
        self._word_bits = word_bits
        super().__init__(
            {
                "channel_i": In(8),
                "word_i": In(word_bits),
                "write_en_i": In(-(-PARAMETER_BITS // word_bits)),
                **{f"{name}_channel_i": In(8) for name in FIELDS},
                **{f"{name}_o": Out(width) for name, (_, width) in FIELDS.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = self._word_bits
        for name, (lsb, width) in FIELDS.items():
            ram = memory.Memory(
                shape=width, depth=OFFSET_DEPTH, init=[], attrs={"ram_style": "block"}
            )
            m.submodules[name] = ram
            write, read = ram.write_port(granularity=UNIT_BITS), ram.read_port()
            units = range(lsb, lsb + width, UNIT_BITS)
            m.d.comb += [
                write.addr.eq(self.channel_i),
                write.data.eq(Cat(self.word_i[bit % words :][:UNIT_BITS] for bit in units)),
                write.en.eq(Cat(self.write_en_i[bit // words] for bit in units)),
                read.addr.eq(getattr(self, f"{name}_channel_i")),
                getattr(self, f"{name}_o").eq(read.data),
            ]
        return m
