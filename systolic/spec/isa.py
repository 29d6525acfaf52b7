"""The instruction set: what a program is made of, its binary form and its listing.

An instruction is 64 bits, little-endian, in ``ArrayConfig.instruction_words`` consecutive
scratchpad words (the low bits first; the rest of the last word is ignored). A program is a straight
line of instructions that ends in ``SYNC halt``: no branch, nothing that depends on data.

The machine has two engines. The *mover* owns the scratchpad's only port and executes instructions
in order: it fetches, loads tables, feeds weights and activations to the array, stores results. The
*drain* takes accumulators through the requantizer into the output buffer, beside the mover; a
``DRAIN`` only starts it. Instructions that would disturb a running drain wait until it is done
(``WAITS`` of each class).

Every count is stored less one. Words, pixels and channels are counted from 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import lru_cache
from typing import Any, ClassVar


class Opcode(IntEnum):
    """Bits 0..2 of an instruction."""

    SYNC = 0
    LOAD = 1
    MATMUL = 2
    OUTPUT = 3
    DRAIN = 4
    STORE = 5
    DIAGONAL = 6


class LoadTarget(IntEnum):
    """Memory that a LOAD fills."""

    OFFSETS = 0
    TABLE = 1
    PARAMETERS = 2
    THRESHOLDS = 3


@dataclass(frozen=True)
class Field:
    """Place of a field: bits ``lsb .. lsb + width - 1``; stored with ``bias`` subtracted."""

    lsb: int
    width: int
    bias: int = 0

    @property
    def low(self) -> int:
        """Smallest value of the field."""
        return self.bias

    @property
    def high(self) -> int:
        """Largest value of the field."""
        return self.bias + (1 << self.width) - 1


class InstructionError(ValueError):
    """An instruction whose fields do not fit, or 64 bits that are no instruction."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """Base of all instructions: a frozen record of integers with a place for each in 64 bits.

    Raises
    ------
    InstructionError
        If a field does not fit its place; the message names it, the limits and the value.
    """

    OPCODE: ClassVar[Opcode]
    LAYOUT: ClassVar[dict[str, Field]]
    WAITS: ClassVar[bool]

    def __post_init__(self) -> None:
        for name, field in self.LAYOUT.items():
            value = getattr(self, name)
            if not field.low <= value <= field.high:
                raise InstructionError(
                    f"{self.OPCODE.name} {name} must be between {field.low} and {field.high}, "
                    f"not {value}"
                )

    @property
    def waits(self) -> bool:
        """Whether the instruction waits until the drain engine is idle."""
        return self.WAITS

    def encode(self) -> int:
        """64-bit binary form."""
        word = int(self.OPCODE)
        for name, field in self.LAYOUT.items():
            word |= (int(getattr(self, name)) - field.bias) << field.lsb
        return word

    def __str__(self) -> str:
        """One line of a listing."""
        shown = [f"{field.name}={int(getattr(self, field.name))}" for field in fields(self)]
        return f"{self.OPCODE.name:<6} {' '.join(shown)}"


@dataclass(frozen=True, kw_only=True)
class Sync(Instruction):
    """Wait until everything is done; a layer ends here.

    ``halt`` ends the program. Otherwise the machine pauses if the host asked for steps (so that it
    can read the counters of each layer; they stand still meanwhile) and goes on if it did not.
    """

    OPCODE = Opcode.SYNC
    LAYOUT: ClassVar[dict[str, Field]] = {"halt": Field(3, 1)}
    WAITS = True

    halt: int


@dataclass(frozen=True, kw_only=True)
class Load(Instruction):
    """Copy words at ``addr`` into a table, entries ``start .. start + count - 1``.

    ``OFFSETS`` and ``TABLE`` entries are 16-bit units, packed; a load starts at a word's first
    unit. An offset is in words, unsigned, added modulo 2**16; a table entry is an activation code
    (low 8 bits). ``PARAMETERS`` are channels of ``ArrayConfig.parameter_words`` words each: see
    :func:`systolic.spec.layout.pack_parameters`. ``THRESHOLDS`` are entries of
    ``ArrayConfig.threshold_words`` words each, in the same memory: see
    :func:`systolic.spec.layout.pack_thresholds`; parameters that lay there are lost. Only
    ``OFFSETS`` may be loaded while a drain runs.
    """

    OPCODE = Opcode.LOAD
    LAYOUT: ClassVar[dict[str, Field]] = {
        "target": Field(3, 2),
        "count": Field(8, 8, 1),
        "start": Field(16, 8),
        "addr": Field(48, 16),
    }
    WAITS = True

    target: LoadTarget
    count: int
    start: int = 0
    addr: int

    @property
    def waits(self) -> bool:
        """Whether the instruction waits until the drain engine is idle."""
        return self.target != LoadTarget.OFFSETS


@dataclass(frozen=True, kw_only=True)
class Matmul(Instruction):
    """Load one weight tile, then stream ``count`` pixels of ``digits`` words through the array.

    The tile is ``ArrayConfig.weight_words`` words at ``weights`` (see :mod:`systolic.spec.layout`).
    Pixel i's words are ``base + offset[start + i] + 0 .. digits - 1``, most significant digit
    first. Its column sums go to accumulator ``i * parts + part`` of half ``half``: they replace it
    if ``first``, else are added.
    """

    OPCODE = Opcode.MATMUL
    LAYOUT: ClassVar[dict[str, Field]] = {
        "first": Field(3, 1),
        "half": Field(4, 1),
        "digits": Field(5, 3, 1),
        "count": Field(8, 8, 1),
        "start": Field(16, 8),
        "part": Field(24, 3),
        "parts": Field(27, 3, 1),
        "base": Field(32, 16),
        "weights": Field(48, 16),
    }
    WAITS = False

    first: int
    half: int
    digits: int
    count: int
    start: int = 0
    part: int = 0
    parts: int = 1
    base: int
    weights: int


@dataclass(frozen=True, kw_only=True)
class Diagonal(Instruction):
    """A MATMUL of one part whose tile has one weight per row, in configurations that have it.

    Column c of the tile holds the weight of row ``band * ArrayConfig.cols + c`` in that row and
    zeros in all others. The weights of all rows are ``ArrayConfig.weight_digits`` words at
    ``weights``, which is a multiple of their number (see :mod:`systolic.spec.layout`). From one
    DIAGONAL or MATMUL to one that takes other rows, it must be ``ArrayConfig.select_cycles``.
    """

    OPCODE = Opcode.DIAGONAL
    LAYOUT: ClassVar[dict[str, Field]] = {
        "first": Field(3, 1),
        "half": Field(4, 1),
        "digits": Field(5, 3, 1),
        "count": Field(8, 8, 1),
        "start": Field(16, 8),
        "band": Field(24, 6),
        "base": Field(32, 16),
        "weights": Field(48, 16),
    }
    WAITS = False

    first: int
    half: int
    digits: int
    count: int
    start: int = 0
    band: int
    base: int
    weights: int

    @property
    def part(self) -> int:
        """Where its sums go among a value's: there is one."""
        return 0

    @property
    def parts(self) -> int:
        """Parts of a value."""
        return 1


@dataclass(frozen=True, kw_only=True)
class Output(Instruction):
    """Set what all results have in common until the next OUTPUT.

    ``onnx`` chooses the rounding (0: TFLite's), ``table`` puts the lookup table behind the clamp,
    ``digits`` is the number of words per result, ``zero`` the code of zero, ``lo`` and ``hi`` the
    clamp, in codes.

    With ``thresholds``, codes come from the search among thresholds instead (see
    :mod:`systolic.spec.thresholds`), where the configuration has it; ``onnx``, ``zero``, ``lo`` and
    ``hi`` are then 0. Node n of channel c is entry ``n * ArrayConfig.threshold_channels + c``.
    """

    OPCODE = Opcode.OUTPUT
    LAYOUT: ClassVar[dict[str, Field]] = {
        "onnx": Field(3, 1),
        "table": Field(4, 1),
        "digits": Field(5, 3, 1),
        "zero": Field(8, 8),
        "lo": Field(16, 8),
        "hi": Field(24, 8),
        "thresholds": Field(32, 1),
    }
    WAITS = True

    onnx: int = 0
    table: int = 0
    digits: int
    zero: int
    lo: int
    hi: int
    thresholds: int = 0


@dataclass(frozen=True, kw_only=True)
class Drain(Instruction):
    """Start taking accumulators of ``half`` through the requantizer into the output buffer.

    For pixel p (``count``), column c (``cols``), window element w (``window``) and part q
    (``parts``), in this order, outermost first, accumulator ``(p * window + w) * parts + q`` of
    column c is drained. Parts join to one value (``value = (value << weight_bits) + part``, first
    part on top of nothing; with a ``weight_bits`` of 1 later parts are subtracted; bias added
    once); the largest result of a window becomes channel ``row + c`` of buffer pixel ``pixel + p``:
    row ``(row + c) % rows`` of block ``(row + c) // rows``, where ``row`` itself is below ``rows``.
    Column c uses parameters (or thresholds) ``start + c`` (modulo 256). ``cols`` is a multiple of
    ``ArrayConfig.out_cols``, ``start`` of ``ArrayConfig.channel_step``, ``row`` of the array's
    columns or, if these are more, of its rows. ``pixel + count`` is at most
    ``ArrayConfig.drain_pixels``.
    """

    OPCODE = Opcode.DRAIN
    LAYOUT: ClassVar[dict[str, Field]] = {
        "half": Field(4, 1),
        "count": Field(8, 8, 1),
        "start": Field(16, 8),
        "parts": Field(27, 3, 1),
        "cols": Field(32, 5, 1),
        "row": Field(40, 6),
        "window": Field(48, 8, 1),
        "pixel": Field(56, 8),
    }
    WAITS = True

    half: int
    count: int
    start: int = 0
    parts: int = 1
    cols: int
    row: int = 0
    window: int = 1
    pixel: int = 0


@dataclass(frozen=True, kw_only=True)
class Store(Instruction):
    """Write ``count`` pixels of ``digits`` words from block ``block`` of the output buffer.

    Pixel i's words go to ``base + offset[start + i] + 0 .. digits - 1``. With ``repeat`` every
    pixel is the buffer's first (that is how the border of a padded tensor is written).
    """

    OPCODE = Opcode.STORE
    LAYOUT: ClassVar[dict[str, Field]] = {
        "repeat": Field(3, 1),
        "digits": Field(5, 3, 1),
        "count": Field(8, 8, 1),
        "start": Field(16, 8),
        "block": Field(48, 3),
        "base": Field(32, 16),
    }
    WAITS = True

    repeat: int = 0
    digits: int
    count: int
    start: int = 0
    block: int = 0
    base: int


INSTRUCTIONS: dict[Opcode, type[Instruction]] = {
    cls.OPCODE: cls for cls in (Sync, Load, Matmul, Output, Drain, Store, Diagonal)
}


@lru_cache(maxsize=4096)
def decode(word: int) -> Instruction:
    """Instruction of a 64-bit word.

    Raises
    ------
    InstructionError
        If the opcode does not exist, or bits outside the fields are set.
    """
    opcode = word & 7
    if opcode not in INSTRUCTIONS:
        raise InstructionError(
            f"opcode must be one of 0..{max(INSTRUCTIONS)}, not {opcode} (in {word:#018x})"
        )
    cls = INSTRUCTIONS[Opcode(opcode)]
    values: dict[str, Any] = {
        name: (word >> field.lsb & (1 << field.width) - 1) + field.bias
        for name, field in cls.LAYOUT.items()
    }
    if cls is Load:
        values["target"] = LoadTarget(values["target"])
    instruction = cls(**values)
    if instruction.encode() != word:
        raise InstructionError(f"unused bits of a {cls.OPCODE.name} must be 0, not {word:#018x}")
    return instruction


def listing(instructions: list[Instruction], *, first: int = 0) -> Iterator[str]:
    """Lines of a listing, numbered from ``first``."""
    for index, instruction in enumerate(instructions, first):
        yield f"{index:5d}  {instruction}"
