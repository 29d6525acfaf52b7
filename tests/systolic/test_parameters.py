"""The parameter memory: 128 bits of a channel, written in words, read field by field."""

import numpy as np
import pytest

from systolic.parameters import ParameterMemory
from tests.systolic.cycles import converts, trace


@pytest.mark.parametrize("limb_bits", [12, 16])
@pytest.mark.parametrize("word_bits", [16, 32, 48, 64, 80, 96, 128])
def test_fields_come_back_whatever_the_word(word_bits: int, limb_bits: int) -> None:
    rng = np.random.default_rng(word_bits)
    words = -(-128 // word_bits)
    channels = rng.choice(256, 9, replace=False).tolist()
    values = [int.from_bytes(rng.bytes(16), "little") for _ in channels]
    stimuli = [
        {
            "channel_i": channel,
            "word_i": value >> word_bits * index & (1 << word_bits) - 1,
            "write_en_i": 1 << index,
        }
        for channel, value in zip(channels, values, strict=True)
        for index in range(words)
    ]
    reads = rng.integers(0, len(channels), (20, 3)).tolist()
    names = ("bias", "multiplier", "round")
    for chosen in reads:
        asked = {f"{name}_channel_i": channels[at] for name, at in zip(names, chosen, strict=True)}
        stimuli.append({"write_en_i": 0, **asked})
    dut = ParameterMemory(word_bits=word_bits, limb_bits=limb_bits)
    rows = trace(dut, [*stimuli, {}], "bias_o", "multiplier_o", "round_o")
    mask = (1 << limb_bits) - 1
    first = len(rows) - len(reads) - 1 + ParameterMemory.LATENCY
    for row, (bias, multiplier, rounding) in zip(rows[first:], reads, strict=True):
        assert row == (
            values[bias] & 0xFFFF_FFFF,
            sum((values[multiplier] >> 64 + 16 * n & mask) << limb_bits * n for n in range(4)),
            values[rounding] >> 32 & 0xFFFF,
        )


def test_it_converts_to_rtlil() -> None:
    assert converts(ParameterMemory(word_bits=64, limb_bits=16))
