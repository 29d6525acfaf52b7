"""The requantizer's fixed-point format: what gateware, mapper and simulators must agree on.

Free of numpy, so that the gateware can import it; :mod:`systolic.spec.arithmetic` says what the
numbers mean.
"""

from enum import Enum

__all__ = [
    "FRACTION_BITS",
    "LIMBS",
    "LIMB_BITS",
    "MULTIPLIER_BITS",
    "ROUND_BITS",
    "ROUND_POSITION",
    "SATURATION",
    "TIE_BITS",
    "Rounding",
    "spread_limbs",
]

FRACTION_BITS = 47
"""Bits after the binary point of a product ``acc * multiplier``."""

MULTIPLIER_BITS = 48
"""Width of an unsigned multiplier: real factors up to (not including) 2."""

LIMB_BITS = 12
"""A multiplier is kept in limbs of so many bits, lowest first, each in a 16-bit unit of its own.

12 x 16 bit products leave a 32-bit DSP room for the carries of a chain of them.
"""

LIMBS = MULTIPLIER_BITS // LIMB_BITS

ROUND_BITS = 16
"""Width of the rounding constant that makes two roundings one addition: 0 or a power of two."""

ROUND_POSITION = 30
"""Weight of the rounding constant's lowest bit in the product, as a power of two."""

TIE_BITS = 25
"""Fraction bits that decide what a float32 product rounds to: one and the tie window's 24."""

SATURATION = 255
"""A result of this magnitude or more drives any unsigned 8-bit code to the clamp's limit."""


class Rounding(Enum):
    """How a scaled accumulator becomes an integer."""

    TFLITE = "tflite"
    """Two roundings, the second half away from zero: tflite-micro's kernels."""

    ONNX = "onnx"
    """A float32 product, then half to even: ONNX Runtime."""


def spread_limbs(multiplier: int) -> int:
    """Multiplier with each of its limbs in a 16-bit unit."""
    mask = (1 << LIMB_BITS) - 1
    return sum((multiplier >> LIMB_BITS * limb & mask) << 16 * limb for limb in range(LIMBS))
