"""The design as the scheduler and the code generator see it.

A *space* is a set of `count` instances that are evaluated together: the group of all processing
elements, say. The scalar space has one instance and holds everything that occurs once. A *wire*
exists once per instance of its space. A *reference* says, bit by bit, what an input reads:
slices of wires, constants, and one bit repeated (sign extension), least significant first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

__all__ = [
    "Const",
    "Design",
    "Fill",
    "Memory",
    "Node",
    "Output",
    "Piece",
    "Ref",
    "Slice",
    "Space",
    "Wire",
    "WireKind",
    "const",
    "extend",
    "ref_width",
    "slice_ref",
    "wires_of",
]


class WireKind(Enum):
    """What gives a wire its value."""

    INPUT = "input"
    COMB = "comb"
    REGISTER = "register"


@dataclass(frozen=True)
class Space:
    """Set of instances evaluated together, by dotted paths; number 0 is the scalar space."""

    number: int
    count: int
    name: str
    members: tuple[str, ...] = ()

    @property
    def is_scalar(self) -> bool:
        """Whether this is the space of everything that occurs once."""
        return self.number == 0


@dataclass(eq=False)
class Wire:
    """Value of `width` bits, once per instance of `space`.

    Attributes
    ----------
    used : int
        Bits ``[0, used)`` are read by something; set by `narrow`.
    initial : list of int
        For a register, the value of each instance at power-on.
    """

    number: int
    space: Space
    width: int
    kind: WireKind
    name: str
    used: int = 0
    initial: list[int] = field(default_factory=list[int])


@dataclass(frozen=True)
class Const:
    """Constant bits."""

    value: int
    width: int


@dataclass(frozen=True)
class Slice:
    """Bits ``[offset, offset + width)`` of `wire` in instance `lane` (None: the reader's own)."""

    wire: Wire
    lane: int | None
    offset: int
    width: int


@dataclass(frozen=True)
class Fill:
    """The one bit that `bit` selects, repeated `width` times."""

    bit: Slice
    width: int


Piece = Const | Slice | Fill
Ref = tuple[Piece, ...]


@dataclass(eq=False)
class Memory:
    """Memory array, once per instance of `space`; `initial` holds `depth` words per instance."""

    number: int
    space: Space
    name: str
    width: int
    depth: int
    initial: list[list[int]]
    names: list[str]


@dataclass(eq=False)
class Node:
    """One step of evaluation, done for every instance of `space`.

    Attributes
    ----------
    kind : str
        A yosys cell type, or ``gather``, ``commit``, ``memory_read``, ``memory_write``, ``output``.
    reads : dict of str to Ref
        Operands by name.
    out : Wire or None
        The wire it computes; for a ``commit``, the register it stores into.
    origin : str
        ``module: cell``, for messages.
    """

    kind: str
    space: Space
    reads: dict[str, Ref]
    out: Wire | None
    origin: str
    params: dict[str, int] = field(default_factory=dict[str, int])
    lanes: list[Ref] = field(default_factory=list[Ref])
    memory: Memory | None = None
    ports: "list[Node]" = field(default_factory=list["Node"])
    reset_values: list[int] = field(default_factory=list[int])

    def refs(self) -> Iterator[Ref]:
        """Yield everything the node reads."""
        yield from self.reads.values()
        yield from self.lanes
        for port in self.ports:
            yield from port.reads.values()


@dataclass(frozen=True)
class Output:
    """A port or a probe: `width` bits at `word` of the input or output area (64-bit words)."""

    name: str
    width: int
    is_signed: bool
    word: int


@dataclass(eq=False)
class Design:
    """Everything the code generator needs."""

    spaces: list[Space]
    wires: list[Wire]
    nodes: list[Node]
    memories: list[Memory]
    inputs: list[Output]
    outputs: list[Output]
    input_wires: dict[str, Wire]


def const(value: int, width: int) -> Ref:
    """Return a constant reference of `width` bits."""
    return (Const(value & ((1 << width) - 1), width),) if width else ()


def ref_width(ref: Ref) -> int:
    """Return the number of bits of `ref`."""
    return sum(piece.width for piece in ref)


def _cut(piece: Piece, low: int, width: int) -> Piece:
    if isinstance(piece, Const):
        return Const((piece.value >> low) & ((1 << width) - 1), width)
    if isinstance(piece, Slice):
        return Slice(piece.wire, piece.lane, piece.offset + low, width)
    return Fill(piece.bit, width) if width > 1 else piece.bit


def join(pieces: Iterable[Piece]) -> Ref:
    """Return the pieces as a reference, neighbours merged where they continue each other."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        match last, piece:
            case Const(), Const():
                value = last.value | piece.value << last.width
                merged[-1] = Const(value, last.width + piece.width)
            case Slice(), Slice() if (
                last.wire is piece.wire
                and last.lane == piece.lane
                and last.offset + last.width == piece.offset
            ):
                width = last.width + piece.width
                merged[-1] = Slice(last.wire, last.lane, last.offset, width)
            case Slice(), Slice() if piece.width == 1 and _top(last) == piece:
                merged.append(Fill(piece, 1))
            case Fill(), Slice() if last.bit == piece:
                merged[-1] = Fill(last.bit, last.width + 1)
            case Fill(), Fill() if last.bit == piece.bit:
                merged[-1] = Fill(last.bit, last.width + piece.width)
            case _:
                merged.append(piece)
    return tuple(merged)


def _top(piece: Slice) -> Slice:
    return Slice(piece.wire, piece.lane, piece.offset + piece.width - 1, 1)


def slice_ref(ref: Ref, low: int, width: int) -> Ref:
    """Return bits ``[low, low + width)`` of `ref`; what lies beyond its end is dropped."""
    pieces: list[Piece] = []
    start = 0
    for piece in ref:
        first = max(low, start)
        last = min(low + width, start + piece.width)
        if first < last:
            pieces.append(_cut(piece, first - start, last - first))
        start += piece.width
    return join(pieces)


def extend(ref: Ref, width: int, is_signed: bool) -> Ref:
    """Return `ref` cut or extended to `width` bits, by its top bit if `is_signed`, else by 0."""
    have = ref_width(ref)
    if have >= width:
        return slice_ref(ref, 0, width)
    more = width - have
    if not is_signed or not have:
        return join((*ref, Const(0, more)))
    top = ref[-1]
    if isinstance(top, Const):
        bit = top.value >> (top.width - 1)
        return join((*ref, Const((1 << more) - 1 if bit else 0, more)))
    return join((*ref, Fill(top.bit if isinstance(top, Fill) else _top(top), more)))


def wires_of(ref: Ref) -> Iterator[Slice]:
    """Yield the wire slices that `ref` reads."""
    for piece in ref:
        if isinstance(piece, Slice):
            yield piece
        elif isinstance(piece, Fill):
            yield piece.bit
