"""The C program of a scheduled design.

One structure holds the state of a model: the areas of the ports, registers, memories, and the
combinational values that one loop hands to the next. ``cycle()`` does one clock cycle: it computes
the outputs for the present inputs and state, then the state after the clock edge, in one pass.
``settle()`` computes only the outputs. Everything else is local to a block.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from itertools import groupby

from sim.compiled.c.cells import is_wide, narrow_cell
from sim.compiled.c.gather import gather
from sim.compiled.c.memory import read_memory, write_memory
from sim.compiled.c.refs import Names, clean, literal, mask, words
from sim.compiled.c.state import initialisation, memory_access, reset, state_type
from sim.compiled.c.wide import wide_cell, word_of
from sim.compiled.rtl.design import (
    Design,
    Node,
    Slice,
    Wire,
    WireKind,
    ref_width,
    slice_ref,
    wires_of,
)
from sim.compiled.rtl.schedule import Step, output_cone

__all__ = ["generate"]

# Statements in one function: beyond this, compilers take more than linear time.
_FUNCTION_NODES = 4000


@dataclass(frozen=True)
class _Block:
    """Steps that become one C function."""

    steps: tuple[Step, ...]


def _blocks(steps: list[Step]) -> list[_Block]:
    blocks: list[_Block] = []
    current: list[Step] = []
    size = 0
    for step in steps:
        nodes = list(step.nodes)
        while nodes:
            room = max(1, _FUNCTION_NODES - size) if step.space.is_scalar else len(nodes)
            part, nodes = nodes[:room], nodes[room:]
            current.append(Step(step.space, tuple(part)))
            size += len(part)
            if size >= _FUNCTION_NODES:
                blocks.append(_Block(tuple(current)))
                current, size = [], 0
    return [*blocks, _Block(tuple(current))] if current else blocks


def _stored(blocks: Iterable[_Block]) -> set[Wire]:
    """Return the combinational wires that outlive the loop or the function they come from."""
    born: dict[Wire, tuple[int, int]] = {}
    stored: set[Wire] = set()
    for number, block in enumerate(blocks):
        for at, step in enumerate(block.steps):
            place = (number, -1 if step.space.is_scalar else at)
            for node in step.nodes:
                if node.out is not None and node.out.kind is WireKind.COMB:
                    born[node.out] = place
                    if node.kind == "gather":
                        stored.add(node.out)
                for ref in node.refs():
                    for piece in wires_of(ref):
                        stored.update(_outlives(piece, born, place))
    return stored


def _outlives(
    piece: Slice, born: dict[Wire, tuple[int, int]], place: tuple[int, int]
) -> list[Wire]:
    wire = piece.wire
    if wire.kind is not WireKind.COMB or wire not in born:
        return []
    if wire.space.is_scalar:
        return [wire] if born[wire][0] != place[0] else []
    return [wire] if born[wire] != place or piece.lane is not None else []


class _Function:
    """Writes the nodes of one function."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.lines: list[str] = []

    def target(self, wire: Wire, word: int = 0) -> str:
        """Return the place a wire is stored to."""
        lane = 0 if wire.space.is_scalar else None
        return self.names.word(wire, lane, word)

    def is_local(self, wire: Wire) -> bool:
        """Whether the wire is a local variable."""
        return wire.kind is WireKind.COMB and wire not in self.names.stored

    def store(self, wire: Wire, before: list[str], values: list[str]) -> None:
        """Add the statements that give `wire` its value."""
        bits = self.names.container(wire)
        top = wire.used - 64 * (len(values) - 1)
        if wire.used > 64 and top < 64:
            values[-1] = f"({values[-1]}) & {literal(mask(top), 64)}"
        if self.is_local(wire):
            if not before and wire.used <= 64:
                self.lines.append(f"const uint{bits}_t v{wire.number} = {values[0]};")
                return
            shape = f"[{len(values)}]" if wire.used > 64 else ""
            self.lines.append(f"uint{bits}_t v{wire.number}{shape};")
        stores = [f"{self.target(wire, word)} = {value};" for word, value in enumerate(values)]
        if before:
            self.lines.append("{ " + " ".join(before + stores) + " }")
        else:
            self.lines.extend(stores)

    def node(self, node: Node) -> None:
        """Add the statements of one node that is not a gather."""
        names, out = self.names, node.out
        if node.kind == "memory_write":
            self.lines.extend(write_memory(names, node))
        elif node.kind == "output":
            ref = node.reads["A"]
            for word in range(words(ref_width(ref))):
                at = node.params["word"] + word
                self.lines.append(f"s->out[{at}] = {word_of(names, ref, word)};")
        elif out is None:
            raise AssertionError(node.kind)
        elif node.kind == "memory_read":
            before, values = read_memory(names, node)
            values = values[: words(out.used)]
            if out.used < 64:
                values = [f"{values[0]} & {literal(mask(out.used), 64)}"]
            self.store(out, before, values)
        elif node.kind == "commit":
            ref = node.reads["D"]
            if out.used > 64:
                values = [word_of(names, ref, word) for word in range(words(out.used))]
            else:
                values = [clean(names, slice_ref(ref, 0, out.used), names.container(out))]
            self.store(out, [], values)
        elif is_wide(node):
            before, values = wide_cell(names, node)
            if out.used <= 64:
                values = [f"({values[0]}) & {literal(mask(out.used), 64)}"]
            self.store(out, before, values)
        else:
            self.store(out, [], [narrow_cell(names, node)])

    def step(self, step: Step) -> None:
        """Add one step: plain statements, gathers, or a loop over the instances."""
        if step.space.is_scalar:
            for node in step.nodes:
                self.node(node)
        elif step.nodes[0].kind == "gather":
            for node in step.nodes:
                self.gather(node)
        else:
            # An instance reads and writes its own elements only; compilers cannot always tell.
            self.lines.append("INDEPENDENT")
            self.lines.append(f"for (int i = 0; i < {step.space.count}; i++) {{")
            for node in step.nodes:
                self.node(node)
            self.lines.append("}")

    def gather(self, node: Node) -> None:
        """Add the loops that collect an input of every instance."""
        assert node.out is not None
        count = words(node.out.used) if node.out.used > 64 else 1
        suffix = f"[{self.names.index}]"
        targets = [self.target(node.out, word).removesuffix(suffix) for word in range(count)]
        self.lines.extend(gather(self.names, node, targets))


def _split_steps(steps: list[Step]) -> list[Step]:
    """Give the gathers of arrays steps of their own, as early as their sources allow.

    Postcondition: a step of an array is either gathers only or one loop, so that a wire that is
    read in another step than its own outlives a loop.
    """
    ordered: list[Step] = []
    for step in steps:
        inside = {node.out for node in step.nodes if node.kind not in ("gather", "commit")}
        early: list[Node] = []
        late: list[Node] = []
        for node in step.nodes:
            sources = {piece.wire for ref in node.lanes for piece in wires_of(ref)}
            is_free = node.kind == "gather" and not sources & inside
            (early if is_free else late).append(node)
        for _, nodes in groupby((*early, *late), key=lambda node: node.kind == "gather"):
            ordered.append(Step(step.space, tuple(nodes)))
    return ordered


def _functions(design: Design, steps: list[Step], name: str, names: Names) -> list[str]:
    blocks = _blocks(_split_steps(steps))
    names.stored |= _stored(blocks)
    lines: list[str] = []
    for number, block in enumerate(blocks):
        writer = _Function(names)
        for step in block.steps:
            writer.step(step)
        lines += [f"static void {name}_{number}(State *s) {{", *writer.lines, "}"]
    lines.append(f"static void {name}(State *s) {{")
    lines += [f"{name}_{number}(s);" for number in range(len(blocks))]
    rst = design.input_wires.get("rst")
    if name == "cycle" and rst is not None:
        lines.append(f"if (s->in[{names.input_words[rst]}]) reset(s);")
    return [*lines, "}"]


def generate(design: Design, steps: list[Step]) -> str:
    """Return the C program of `design`, evaluated in the order of `steps`.

    Parameters
    ----------
    design : Design
        Narrowed.
    steps : list of Step
        From `schedule.schedule`.
    """
    places = {design.input_wires[port.name]: port.word for port in design.inputs}
    fields: dict[str, Wire] = {}
    cycle = _functions(design, steps, "cycle", Names(set(), places, fields=fields))
    settle = _functions(
        design, output_cone(design, steps), "settle", Names(set(), places, fields=fields)
    )
    folder = resources.files("sim.compiled")
    return "\n".join(
        [
            (folder / "runtime.h").read_text(encoding="utf-8"),
            *state_type(design, fields),
            *initialisation(design, fields),
            *reset(design, fields),
            *cycle,
            *settle,
            (folder / "driver.h").read_text(encoding="utf-8"),
            *memory_access(design),
        ]
    )
