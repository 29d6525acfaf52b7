"""C that collects, for every instance of a group, what its input reads.

In an array nearly every instance reads its neighbour's wire, that is the same wire at a fixed
distance. The most frequent distance is done by one loop over everything, which the compiler
vectorises; the exceptions at the edges are then put right one by one.
"""

from collections import Counter
from dataclasses import dataclass

from sim.compiled.c.refs import Names, clean, container
from sim.compiled.c.wide import word_of
from sim.compiled.rtl.design import Const, Fill, Node, Piece, Ref, Slice, slice_ref

__all__ = ["gather"]


_Shape = tuple[object, ...]


@dataclass(frozen=True)
class _Run:
    """Instances ``first <= i < last`` that read the same pieces at a distance `shift`."""

    first: int
    last: int
    shape: _Shape


def _shape(ref: Ref, lane: int) -> _Shape:
    """Describe `ref` relative to `lane`, so that like readers have like shapes."""
    parts: list[object] = []
    for piece in ref:
        if isinstance(piece, Const):
            parts.append(piece)
            continue
        source = piece.bit if isinstance(piece, Fill) else piece
        at = None if source.wire.space.is_scalar or source.lane is None else source.lane - lane
        parts.append((type(piece), source.wire, at, source.offset, source.width, piece.width))
    return tuple(parts)


def _is_legal(ref: Ref, shift: int) -> bool:
    """Whether `ref`, moved by `shift` instances, stays inside its wires."""
    for piece in ref:
        source = piece.bit if isinstance(piece, Fill) else piece
        if isinstance(source, Slice) and source.lane is not None:
            space = source.wire.space
            if not space.is_scalar and not 0 <= source.lane + shift < space.count:
                return False
    return True


def _runs(lanes: list[Ref], shapes: list[_Shape]) -> list[_Run]:
    """Cut the instances into runs: the most frequent shape over its whole reach, then the rest."""
    common, _ = Counter(shapes).most_common(1)[0]
    example = shapes.index(common)
    reach = [lane for lane in range(len(lanes)) if _is_legal(lanes[example], lane - example)]
    runs = [_Run(reach[0], reach[-1] + 1, common)]
    lane = 0
    while lane < len(lanes):
        end = lane + 1
        covered = reach[0] <= lane <= reach[-1] and shapes[lane] == common
        while end < len(lanes) and shapes[end] == shapes[lane] and not covered:
            end += 1
        if not covered:
            runs.append(_Run(lane, end, shapes[lane]))
        lane = end
    return runs


def _moved(piece: Piece, lane: int) -> Piece:
    """Return `piece` as the loop body sees it; lanes become distances from the loop index."""
    if isinstance(piece, Const):
        return piece
    source = piece.bit if isinstance(piece, Fill) else piece
    if source.wire.space.is_scalar or source.lane is None:
        return piece
    near = Slice(source.wire, source.lane - lane, source.offset, source.width)
    return Fill(near, piece.width) if isinstance(piece, Fill) else near


class _Shifted(Names):
    """Names inside a gather loop, where the lane of a slice is its distance from the index."""

    def word(self, wire, lane, word):  # type: ignore[no-untyped-def]
        if wire.space.is_scalar or lane is None:
            return super().word(wire, lane, word)
        marker = "@"
        text = super().word(wire, marker, word)  # type: ignore[arg-type]
        return text.replace(
            f"[{marker}]", f"[{self.index} + {lane}]" if lane else f"[{self.index}]"
        )


def gather(names: Names, node: Node, targets: list[str]) -> list[str]:
    """Return the statements of a ``gather`` node.

    Parameters
    ----------
    names : Names
        Where wires are found.
    node : Node
        The node; its lanes give one reference per instance.
    targets : list of str
        The array, or for a wide wire one array per word, that receives the values.
    """
    assert node.out is not None
    used = node.out.used
    bits = container(used, node.space) if used <= 64 else 64
    lanes = [slice_ref(ref, 0, used) for ref in node.lanes]
    shapes = [_shape(ref, lane) for lane, ref in enumerate(lanes)]
    shifted = _Shifted(names.stored, names.input_words, names.index, names.fields)

    def value(scope: Names, ref: Ref, word: int) -> str:
        return word_of(scope, ref, word) if used > 64 else clean(scope, ref, bits)

    lines: list[str] = []
    for run in _runs(lanes, shapes):
        example = next(lane for lane in range(run.first, run.last) if shapes[lane] == run.shape)
        for word, target in enumerate(targets):
            if run.last - run.first == 1:
                text = value(names, lanes[run.first], word)
                lines.append(f"{target}[{run.first}] = {text};")
                continue
            ref = tuple(_moved(piece, example) for piece in lanes[example])
            text = value(shifted, ref, word)
            lines.append(f"for (int i = {run.first}; i < {run.last}; i++) {target}[i] = {text};")
    return lines
