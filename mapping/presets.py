"""Configurations with a name, for the command line and for examples."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from systolic.spec.config import ArrayConfig

PRESETS: Final[Mapping[str, ArrayConfig]] = MappingProxyType(
    {
        # Every field at its default.
        "default": ArrayConfig(),
        # For the iCE40 UP5K: the word is its four SPRAMs side by side, the multiplier its DSPs.
        "up5k": ArrayConfig(pe_cols=4, acc_bits=24, requantize_cycles=1),
        # Weights of 4 bits: half the array and half the memory; 8-bit weights take two passes.
        "int4": ArrayConfig(pe_cols=4, acc_bits=24, weight_bits=4),
        # Half the rows and digits of 2 bits: quick to simulate.
        "tiny": ArrayConfig(
            rows=8, cols=4, digit_bits=2, acc_bits=24, acc_depth=32, out_pixels=32
        ),
    }
)  # fmt: skip
"""Name to configuration."""

DEFAULT_PRESET: Final = "up5k"
"""The one that is used where none is named."""
