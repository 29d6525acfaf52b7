"""Put the nodes of a design in one order in which each runs once per cycle.

Three rules: a wire is computed before it is read; a register is stored after everything that reads
its old value; a memory is written after it is read. Under them no value needs a second
copy, and no node runs twice. Nodes of one space that can follow each other become one step: a loop.
"""

from collections import defaultdict
from dataclasses import dataclass

from sim.compiled.rtl.design import (
    Design,
    Fill,
    Node,
    Piece,
    Ref,
    Slice,
    Space,
    Wire,
    WireKind,
    slice_ref,
    wires_of,
)
from sim.compiled.rtl.narrow import LOW_BITS_ONLY
from sim.compiled.rtl.netlist import NetlistError

__all__ = ["GroupCycleError", "Step", "output_cone", "schedule"]

# Cells whose result bits can be computed apart from each other.
_BITWISE = frozenset({"$and", "$or", "$xor", "$xnor", "$not", "$pos", "$mux", "$pmux"})


class GroupCycleError(Exception):
    """Arrays cannot be evaluated as a whole: their elements depend on each other.

    Attributes
    ----------
    spaces : frozenset of Space
        The spaces concerned; their instances must be evaluated one by one.
    """

    def __init__(self, spaces: frozenset[Space]) -> None:
        super().__init__("instances of a group depend on each other combinationally")
        self.spaces = spaces


@dataclass(frozen=True)
class Step:
    """Nodes of one space in order; a loop over the instances unless the space is scalar."""

    space: Space
    nodes: tuple[Node, ...]


def _edges(nodes: list[Node]) -> list[list[int]]:
    """Return for each node the indices of the nodes that must come after it."""
    producer = {n.out: i for i, n in enumerate(nodes) if n.out is not None and n.kind != "commit"}
    commit = {node.out: i for i, node in enumerate(nodes) if node.kind == "commit"}
    writer = {node.memory: i for i, node in enumerate(nodes) if node.kind == "memory_write"}
    after: list[set[int]] = [set() for _ in nodes]
    for index, node in enumerate(nodes):
        for ref in node.refs():
            for piece in wires_of(ref):
                wire = piece.wire
                if wire.kind is WireKind.REGISTER:
                    if wire in commit and commit[wire] != index:
                        after[index].add(commit[wire])
                elif wire in producer:
                    after[producer[wire]].add(index)
        if node.kind == "memory_read" and node.memory in writer:
            after[index].add(writer[node.memory])
    return [sorted(each) for each in after]


def _cycles(after: list[list[int]]) -> list[list[int]]:
    """Return the strongly connected components of more than one node, or with a loop (Tarjan)."""
    order = [0] * len(after)
    low = [0] * len(after)
    on_stack = [False] * len(after)
    stack: list[int] = []
    found: list[list[int]] = []
    clock = 0
    for start in range(len(after)):
        if order[start]:
            continue
        work = [(start, 0)]
        while work:
            node, at = work.pop()
            if at == 0:
                clock += 1
                order[node] = low[node] = clock
                stack.append(node)
                on_stack[node] = True
            elif on_stack[after[node][at - 1]]:
                low[node] = min(low[node], low[after[node][at - 1]])
            if at < len(after[node]):
                work.append((node, at + 1))
                if not order[after[node][at]]:
                    work.append((after[node][at], 0))
                continue
            if low[node] == order[node]:
                component: list[int] = []
                while True:
                    last = stack.pop()
                    on_stack[last] = False
                    component.append(last)
                    if last == node:
                        break
                if len(component) > 1 or node in after[node]:
                    found.append(component)
    return found


def _buffer(design: Design, node: Node) -> None:
    """Let a register that swaps its value with others be stored from a copy."""
    assert node.out is not None
    copy = Wire(len(design.wires), node.space, node.out.width, WireKind.COMB, node.out.name)
    copy.used = node.out.used
    design.wires.append(copy)
    design.nodes.append(Node("$pos", node.space, {"A": node.reads["D"]}, copy, node.origin))
    lane = 0 if node.space.is_scalar else None
    node.reads["D"] = (Slice(copy, lane, 0, copy.width),)


def _split(design: Design, node: Node) -> None:
    """Replace a bitwise node by one node per result bit and one that joins them."""
    out = node.out
    assert out is not None
    bits: list[Slice] = []
    design.nodes.remove(node)
    for index in range(out.used):
        wire = Wire(len(design.wires), node.space, 1, WireKind.COMB, out.name, used=1)
        design.wires.append(wire)
        bits.append(Slice(wire, 0, 0, 1))
        reads = dict(node.reads)
        for name in LOW_BITS_ONLY[node.kind]:
            reads[name] = slice_ref(node.reads[name], index, 1)
        if node.kind == "$pmux":
            choices = range(index, out.width * sum(p.width for p in node.reads["S"]), out.width)
            reads["B"] = tuple(p for at in choices for p in slice_ref(node.reads["B"], at, 1))
        design.nodes.append(Node(node.kind, node.space, reads, wire, node.origin, node.params))
    for other in design.nodes:
        for name, ref in other.reads.items():
            other.reads[name] = _replace(ref, out, bits)
        other.lanes = [_replace(ref, out, bits) for ref in other.lanes]
        for port in other.ports:
            port.reads = {name: _replace(ref, out, bits) for name, ref in port.reads.items()}


def _replace(ref: Ref, wire: Wire, bits: list[Slice]) -> Ref:
    def bit(at: int) -> Slice:
        # Bits beyond `used` are read by nobody, whatever stands for them.
        return bits[min(at, len(bits) - 1)]

    pieces: list[Piece] = []
    for piece in ref:
        match piece:
            case Slice() if piece.wire is wire:
                end = piece.offset + piece.width
                pieces.extend(bit(at) for at in range(piece.offset, end))
            case Fill() if piece.bit.wire is wire:
                pieces.append(Fill(bit(piece.bit.offset), piece.width))
            case _:
                pieces.append(piece)
    return tuple(pieces)


def _break_cycles(design: Design) -> list[list[int]]:
    """Rewrite the design until its order has no cycle; return the edges.

    Raises
    ------
    GroupCycleError
        If instances of a group depend on each other.
    NetlistError
        If a signal depends on itself.
    """
    while True:
        nodes = list(design.nodes)
        after = _edges(nodes)
        cycles = _cycles(after)
        if not cycles:
            return after
        for component in cycles:
            members = [nodes[index] for index in component]
            spaces = frozenset(n.space for n in members if not n.space.is_scalar)
            stores = [node for node in members if node.kind == "commit"]
            wide = [
                node
                for node in members
                if node.kind in _BITWISE and node.out is not None and node.out.used > 1
            ]
            if stores:
                for node in stores:
                    _buffer(design, node)
            elif spaces:
                raise GroupCycleError(spaces)
            elif wide:
                for node in wide:
                    _split(design, node)
            else:
                raise NetlistError(
                    "combinational loop: " + " -> ".join(node.origin for node in members[:4])
                )


def schedule(design: Design) -> list[Step]:
    """Order all nodes of a narrowed design.

    Raises
    ------
    GroupCycleError
        If instances of a group depend on each other.
    NetlistError
        If a signal depends on itself, bit for bit.
    """
    after = _break_cycles(design)
    nodes = design.nodes
    missing = [0] * len(nodes)
    for targets in after:
        for target in targets:
            missing[target] += 1
    ready: dict[Space, list[int]] = defaultdict(list)
    for index in reversed(range(len(nodes))):
        if not missing[index]:
            ready[nodes[index].space].append(index)
    scalar = design.spaces[0]
    steps: list[Step] = []
    while any(ready.values()):
        # Everything scalar that can run, so that the loops find as much as possible ready.
        space = scalar if ready[scalar] else max(ready, key=lambda each: len(ready[each]))
        taken: list[Node] = []
        while ready[space]:
            index = ready[space].pop()
            taken.append(nodes[index])
            for target in after[index]:
                missing[target] -= 1
                if not missing[target]:
                    ready[nodes[target].space].append(target)
        steps.append(Step(space, tuple(taken)))
    return steps


def output_cone(design: Design, steps: list[Step]) -> list[Step]:
    """Return the steps cut down to what the outputs depend on within the cycle."""
    producer = {n.out: n for n in design.nodes if n.out is not None and n.kind != "commit"}
    pending = [node for node in design.nodes if node.kind == "output"]
    needed = set(pending)
    while pending:
        for ref in pending.pop().refs():
            for piece in wires_of(ref):
                node = producer.get(piece.wire)
                if node is not None and node not in needed:
                    needed.add(node)
                    pending.append(node)
    cut = [Step(step.space, tuple(n for n in step.nodes if n in needed)) for step in steps]
    return [step for step in cut if step.nodes]
