"""What a bitstream configures, as a flat netlist of single bits.

A net is a number: 0 and 1 are the constants, others are named by who drives them. Every
clocked element knows its clock: a net, and whether the falling edge counts.
"""

from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "ONE",
    "ZERO",
    "Carry",
    "Clock",
    "ClockSource",
    "FlipFlop",
    "InputPad",
    "Lut",
    "Mac16",
    "Netlist",
    "OutputPad",
    "Ram",
    "RamPort",
    "Spram",
]

ZERO: Final = 0
ONE: Final = 1


@dataclass(frozen=True)
class Clock:
    """An edge of a clock source: its net, and whether it is the falling edge."""

    net: int
    is_falling: bool


@dataclass(frozen=True)
class ClockSource:
    """Where a clock comes from.

    Attributes
    ----------
    name : str
        Pin, or block, for messages.
    ratio : float
        Frequency relative to that of what it is made from; 1 for a pin itself.
    reference : int
        Net of what it is made from; a constant if that is not part of the fabric.
    """

    name: str
    ratio: float
    reference: int


@dataclass(frozen=True)
class Lut:
    """Output is bit ``table >> (i0 + 2 * i1 + 4 * i2 + 8 * i3)``."""

    output: int
    table: int
    inputs: tuple[int, int, int, int]


@dataclass(frozen=True)
class Carry:
    """Output is the majority of the three inputs."""

    output: int
    a: int
    b: int
    carry_in: int


@dataclass(frozen=True)
class FlipFlop:
    """A flip-flop; starts at 0.

    Attributes
    ----------
    enable : int
        While 0 it holds, also against a synchronous `control`.
    control : int
        Sets it to `control_value` while 1.
    is_async : bool
        Whether that happens at once instead of at the clock edge.
    """

    output: int
    data: int
    clock: Clock
    enable: int
    control: int
    control_value: int
    is_async: bool


@dataclass(frozen=True)
class RamPort:
    """One side of a block RAM: mode 0..3 is 16, 8, 4 or 2 bits wide."""

    mode: int
    clock: Clock
    clock_enable: int
    enable: int
    address: tuple[int, ...]


@dataclass(frozen=True)
class Ram:
    """Block RAM of 256 words of 16 bits; `mask` bits that are 1 are not written (mode 0)."""

    name: str
    init: tuple[int, ...]
    read: RamPort
    write: RamPort
    mask: tuple[int, ...]
    data: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Spram:
    """Single-port RAM of 16,384 words of 16 bits, written by nibbles."""

    name: str
    clock: Clock
    chip_select: int
    write_enable: int
    mask: tuple[int, ...]
    address: tuple[int, ...]
    data: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Mac16:
    """Multiplier and accumulator.

    Attributes
    ----------
    parameters : dict of str to int
        As Lattice's library names them.
    inputs, outputs : dict of str to tuple of int
        Nets of each bus, by port.
    """

    name: str
    parameters: dict[str, int]
    clock: Clock
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class InputPad:
    """A pin that the fabric reads; `is_pulled_up` while nobody drives it."""

    pin: str
    net: int
    is_pulled_up: bool


@dataclass(frozen=True)
class OutputPad:
    """A pin that the fabric drives while `enable` is 1."""

    pin: str
    data: int
    enable: int


@dataclass
class Netlist:
    """All of it; filled by the extraction.

    Attributes
    ----------
    locks : list of int
        Nets that tell that a PLL has locked.
    constants : list of (int, int, str)
        Nets that must have a constant value: net, value, and what it is, for messages.
    """

    luts: list[Lut] = field(default_factory=list[Lut])
    carries: list[Carry] = field(default_factory=list[Carry])
    flip_flops: list[FlipFlop] = field(default_factory=list[FlipFlop])
    rams: list[Ram] = field(default_factory=list[Ram])
    sprams: list[Spram] = field(default_factory=list[Spram])
    macs: list[Mac16] = field(default_factory=list[Mac16])
    inputs: list[InputPad] = field(default_factory=list[InputPad])
    outputs: list[OutputPad] = field(default_factory=list[OutputPad])
    clocks: dict[int, ClockSource] = field(default_factory=dict[int, ClockSource])
    locks: list[int] = field(default_factory=list[int])
    constants: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
