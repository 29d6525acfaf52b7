"""Places of nets in the state of the simulation, and how flip-flops are grouped.

Flip-flops with the same clock edge, enable and control lie side by side, so that a group that does
not change costs one comparison. LUTs that only such a group reads are evaluated only when it may
change.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sim.bitstream.netlist.fold import Folded, Function
from sim.bitstream.netlist.model import ONE, ZERO, Carry, FlipFlop, Mac16

__all__ = ["Group", "Layout", "make_layout", "reads"]

Node = Function | Carry | Mac16 | FlipFlop


@dataclass(frozen=True)
class Group:
    """Flip-flops that change together.

    Attributes
    ----------
    first, count : int
        Their places.
    flip_flops : tuple of FlipFlop
        The flip-flops; clock, enable and control are those of the first.
    nodes : tuple
        What only they depend on.
    """

    first: int
    flip_flops: tuple[FlipFlop, ...]
    nodes: tuple[Node, ...]

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.flip_flops)

    @property
    def head(self) -> FlipFlop:
        """One of them, for what they have in common."""
        return self.flip_flops[0]


@dataclass(frozen=True)
class Layout:
    """Places of nets, and what is evaluated when.

    Attributes
    ----------
    places : dict of int to int
        Place of each net.
    count : int
        How many places there are, besides those of the flip-flops' next values, which follow.
    nodes : tuple
        What is evaluated in every cycle, in order.
    groups : tuple of Group
        Flip-flops.
    """

    places: dict[int, int]
    count: int
    nodes: tuple[Node, ...]
    groups: tuple[Group, ...]


def reads(node: Node) -> tuple[int, ...]:
    """Nets that a node reads."""
    if isinstance(node, Function):
        return node.inputs
    if isinstance(node, Carry):
        return (node.a, node.b, node.carry_in)
    if isinstance(node, FlipFlop):
        return (node.control,)
    return tuple(net for nets in node.inputs.values() for net in nets)


def _elsewhere(folded: Folded) -> Iterator[int]:
    """Nets that are read by anything but nodes and data inputs of flip-flops."""
    for each in folded.flip_flops:
        yield from (each.enable, each.control)
    for pad in folded.outputs:
        yield from (pad.data, pad.enable)
    for ram in folded.rams:
        for port in (ram.read, ram.write):
            yield from (port.clock_enable, port.enable, *port.address)
        yield from (*ram.mask, *ram.data)
    for spram in folded.sprams:
        yield from (spram.chip_select, spram.write_enable)
        yield from (*spram.mask, *spram.address, *spram.data)
    for mac in folded.macs:
        for nets in mac.inputs.values():
            yield from nets


def make_layout(folded: Folded) -> Layout:
    """Place the nets of a design."""
    by_key: defaultdict[tuple[object, ...], list[FlipFlop]] = defaultdict(list)
    for each in folded.flip_flops:
        key = (each.clock, each.enable, each.control, each.control_value, each.is_async)
        by_key[key].append(each)
    kinds = list(by_key.values())
    outer, inner = _assign(folded, kinds)
    places = {ZERO: 0, ONE: 1}
    groups: list[Group] = []
    for number, flip_flops in enumerate(kinds):
        first = len(places)
        for each in flip_flops:
            places[each.output] = len(places)
        groups.append(Group(first, tuple(flip_flops), inner[number]))
    return _place(folded, places, groups, outer)


def _assign(
    folded: Folded, kinds: list[list[FlipFlop]]
) -> tuple[tuple[Node, ...], list[tuple[Node, ...]]]:
    """Return the nodes for every cycle, and those for each group of flip-flops alone."""
    # Owner of each net: the only group that reads it, or None if several do, or something else.
    owner: dict[int, int | None] = dict.fromkeys(_elsewhere(folded))
    for number, flip_flops in enumerate(kinds):
        for each in flip_flops:
            owner[each.data] = number if owner.get(each.data, number) == number else None
    inner: list[list[Node]] = [[] for _ in kinds]
    outer: list[Node] = []
    for node in reversed(folded.nodes):
        number: int | None = None
        if isinstance(node, Function | Carry):
            if node.output not in owner:
                continue  # nobody reads it
            number = owner[node.output]
        if number is not None and kinds[number][0].enable == ONE:
            number = None  # a group that changes in every cycle
        (outer if number is None else inner[number]).append(node)
        for net in reads(node):
            owner[net] = number if owner.get(net, number) == number else None
    return tuple(reversed(outer)), [tuple(reversed(nodes)) for nodes in inner]


def _place(
    folded: Folded, places: dict[int, int], groups: list[Group], outer: tuple[Node, ...]
) -> Layout:
    """Place what is left, where flip-flops have their places."""
    # The next value of flip-flop k has place `count + k - 2`: what is made for a flip-flop is made
    # there, unless its group may overwrite that by a reset.
    made = {node.output for node in folded.nodes if isinstance(node, Function | Carry)}
    following: dict[int, int] = {}
    for group in groups:
        for k, each in enumerate(group.flip_flops):
            if group.head.control == ZERO and each.data in made:
                following.setdefault(each.data, group.first + k - 2)
    for net in _others(folded):
        if net not in following and net not in places:
            places[net] = len(places)
    count = len(places)
    places |= {net: count + k for net, k in following.items()}
    return Layout(places, count, outer, tuple(groups))


def _others(folded: Folded) -> Iterator[int]:
    """Nets besides flip-flops; outputs of a block side by side."""
    yield from folded.pins.values()
    yield from folded.locks
    for memory in (*folded.rams, *folded.sprams):
        yield from memory.outputs
    for mac in folded.macs:
        for nets in mac.outputs.values():
            yield from nets
    for node in folded.nodes:
        if isinstance(node, Function | Carry):
            yield node.output
