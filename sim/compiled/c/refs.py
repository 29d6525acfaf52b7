"""C expressions for what the inputs of a node read.

Invariant: the value of a wire is clean, that is below ``2 ** used``. A *clean* expression has
the same property for its own width; a *loose* one may carry anything above it, which saves a mask
where the reader takes the low bits only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sim.compiled.rtl.design import (
    Const,
    Fill,
    Piece,
    Ref,
    Slice,
    Space,
    Wire,
    WireKind,
    ref_width,
    slice_ref,
)

__all__ = ["Names", "clean", "container", "literal", "loose", "mask", "signed", "words"]


def container(width: int, space: Space) -> int:
    """Return the bits of the C type for `width` <= 64 bits.

    Loops over arrays want the narrowest type, to have many elements in a vector register;
    single values want the native one.
    """
    for bits in (8, 16, 32) if not space.is_scalar else (32,):
        if width <= bits:
            return bits
    return 64


def words(width: int) -> int:
    """Return how many 64-bit words `width` bits take, at least one."""
    return max(1, -(-width // 64))


def mask(width: int) -> int:
    """Return the number with the low `width` bits set."""
    return (1 << width) - 1


def literal(value: int, bits: int) -> str:
    """Return an unsigned C constant for a type of `bits` bits."""
    suffix = "u" if bits <= 32 else "ull"
    return f"{value}{suffix}" if value < 10 else f"{value:#x}{suffix}"


@dataclass
class Names:
    """Where each wire is found while one function is emitted.

    Attributes
    ----------
    stored : set of Wire
        Combinational wires that live in the state, not in a local variable.
    input_words : mapping of Wire to int
        Place of each input in the input area.
    index : str
        The C expression of the instance that a loop is at.
    """

    stored: set[Wire]
    input_words: Mapping[Wire, int]
    index: str = "i"
    fields: dict[str, Wire] = field(default_factory=dict[str, Wire])

    def word(self, wire: Wire, lane: int | None, word: int) -> str:
        """Return the C expression of one 64-bit word of a wire, or of all of a narrow one."""
        if wire.kind is WireKind.INPUT:
            return f"s->in[{self.input_words[wire] + word}]"
        is_wide = wire.used > 64
        if wire.kind is WireKind.COMB and wire not in self.stored:
            return f"v{wire.number}[{word}]" if is_wide else f"v{wire.number}"
        name = ("r" if wire.kind is WireKind.REGISTER else "v") + str(wire.number)
        self.fields[name] = wire
        text = f"s->{name}" + (f"[{word}]" if is_wide else "")
        if wire.space.is_scalar:
            return text
        return f"{text}[{self.index if lane is None else lane}]"

    def container(self, wire: Wire) -> int:
        """Return the bits of the C type that `word` yields."""
        if wire.kind is WireKind.INPUT or wire.used > 64:
            return 64
        return container(wire.used, wire.space)


def _slice(names: Names, piece: Slice, bits: int, is_loose: bool) -> str:
    wire, lane, offset, width = piece.wire, piece.lane, piece.offset, piece.width
    have = names.container(wire)
    known = wire.used
    if wire.used > 64 or wire.kind is WireKind.INPUT:
        word, offset = divmod(offset, 64)
        text = names.word(wire, lane, word)
        known = min(64, wire.used - 64 * word)
        if offset + width > 64:
            high = names.word(wire, lane, word + 1)
            low = f"{text} >> {offset} | " if offset else ""
            text = f"({low}{high} << {64 - offset})"
            known, offset = 64, 0
    else:
        text = names.word(wire, lane, 0)
    if offset:
        text = f"({text} >> {offset})"
    if offset + width < known and not is_loose:
        text = f"({text} & {literal(mask(width), have)})"
    if have != bits and (bits == 64 or have == 64):
        text = f"(uint{bits}_t){text}"
    return text


def _repeat(names: Names, piece: Fill, bits: int) -> str:
    bit = _slice(names, piece.bit, bits, is_loose=False)
    if piece.width == 1:
        return bit
    return f"((uint{bits}_t)-(uint{bits}_t){bit} & {literal(mask(piece.width), bits)})"


def _piece(names: Names, piece: Piece, bits: int, is_loose: bool) -> str:
    if isinstance(piece, Const):
        return literal(piece.value, bits)
    if isinstance(piece, Fill):
        return _repeat(names, piece, bits)
    return _slice(names, piece, bits, is_loose)


def _is_sign_extension(ref: Ref) -> bool:
    """Whether `ref` ends in copies of the top bit of what comes before."""
    if len(ref) < 2 or not isinstance(ref[-1], Fill) or not isinstance(ref[-2], Slice):
        return False
    below, top = ref[-2], ref[-1].bit
    return (below.wire, below.lane, below.offset + below.width) == (
        top.wire,
        top.lane,
        top.offset + 1,
    )


def _combine(names: Names, ref: Ref, bits: int, is_loose: bool) -> str:
    width = ref_width(ref)
    if _is_sign_extension(ref):
        text = f"(uint{bits}_t){signed(names, ref[:-1], bits)}"
        return text if is_loose or width == bits else f"({text} & {literal(mask(width), bits)})"
    parts: list[str] = []
    start = 0
    for index, piece in enumerate(ref):
        is_last = index == len(ref) - 1
        text = _piece(names, piece, bits, is_loose and is_last)
        if not (isinstance(piece, Const) and piece.value == 0):
            parts.append(f"((uint{bits}_t){text} << {start})" if start else text)
        start += piece.width
    if not parts:
        return literal(0, bits)
    return parts[0] if len(parts) == 1 else "(" + " | ".join(parts) + ")"


def clean(names: Names, ref: Ref, bits: int) -> str:
    """Return the value of `ref`, of at most `bits` bits, as an unsigned C expression."""
    return _combine(names, ref, bits, is_loose=False)


def signed(names: Names, ref: Ref, bits: int) -> str:
    """Return `ref` as a two's complement number, as a signed C expression of `bits` bits."""
    if _is_sign_extension(ref):
        ref = ref[:-1]
    width = ref_width(ref)
    text = _combine(names, ref, bits, is_loose=False)
    if width == bits:
        return f"(int{bits}_t)({text})"
    top = literal(1 << (width - 1), bits) if width else literal(0, bits)
    return f"(int{bits}_t)(({text} ^ {top}) - {top})"


def loose(names: Names, ref: Ref, width: int, is_signed: bool, bits: int) -> str:
    """Return `ref` extended to `width` bits; bits above `width` may be anything."""
    if ref_width(ref) >= width:
        return _combine(names, slice_ref(ref, 0, width), bits, is_loose=True)
    if is_signed and ref:
        return f"(uint{bits}_t){signed(names, ref, bits)}"
    return clean(names, ref, bits)
