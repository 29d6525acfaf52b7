"""Turn instances and groups into the design: spaces, wires and nodes.

Follows `group` in the flow; `narrow` and `schedule` come next. Where the members of a group read
different things, a ``gather`` node collects them into a wire of the group, one value each.
"""

from collections.abc import Mapping

from sim.compiled.rtl.design import (
    Design,
    Memory,
    Node,
    Output,
    Piece,
    Ref,
    Slice,
    Space,
    Wire,
    WireKind,
    const,
    join,
)
from sim.compiled.rtl.group import Group, Member, find_groups
from sim.compiled.rtl.instances import Driver, Instance, Resolver, build_tree
from sim.compiled.rtl.lower import lower_cell, take_out_resets
from sim.compiled.rtl.netlist import Bit, Cell, Module, Port

__all__ = ["elaborate"]

# What drives one bit of an input, in each member of a group.
_Vector = tuple[Driver | int, ...]


class _Elaborator:
    """State of one elaboration."""

    def __init__(self, instances: list[Instance], groups: list[Group], resolve: Resolver) -> None:
        self.instances = instances
        self.groups = groups
        self.resolve = resolve
        scalar = Space(0, 1, "top")
        self.design = Design([scalar], [], [], [], [], [], {})
        self._place: dict[tuple[int, str, str], tuple[Wire, int]] = {}
        self._virtual: dict[tuple[int, tuple[Driver | int, ...]], tuple[Wire, int]] = {}
        self._gathered: dict[Wire, list[tuple[Driver | int, ...]]] = {}

    def wire(self, space: Space, width: int, kind: WireKind, name: str) -> Wire:
        """Add a wire to the design."""
        wire = Wire(len(self.design.wires), space, width, kind, name)
        wire.initial = [0] * space.count
        self.design.wires.append(wire)
        return wire

    def memory(self, space: Space, members: list[tuple[Instance, Cell]]) -> Memory:
        """Add a memory to the design; its shape is the same in all members."""
        cell = members[0][1]
        width, depth = cell.integer("WIDTH"), cell.integer("SIZE")
        mask = (1 << width) - 1
        initial: list[list[int]] = []
        for _, each in members:
            image = each.integer("INIT")
            initial.append([image >> (width * index) & mask for index in range(depth)])
        names = [".".join((*instance.path, each.name)) for instance, each in members]
        number = len(self.design.memories)
        memory = Memory(number, space, names[0], width, depth, initial, names)
        self.design.memories.append(memory)
        return memory

    def declare_cell(
        self, space: Space, members: list[tuple[Instance, Cell]], lead: int = 0
    ) -> None:
        """Give every output of a cell a wire, as wide as the lead's."""
        cell = members[lead][1]
        for port, bits in cell.outputs.items():
            kind = WireKind.REGISTER if "dff" in cell.type else WireKind.COMB
            name = ".".join((*members[lead][0].path, cell.name))
            wire = self.wire(space, len(bits), kind, name)
            for lane, (instance, each) in enumerate(members):
                self._place[instance.number, each.name, port] = (wire, lane)
                known = instance.module.initial
                wire.initial[lane] = sum(
                    known.get(bit, 0) << offset  # type: ignore[arg-type]
                    for offset, bit in enumerate(each.outputs[port])
                )

    def declare_inputs(self, module: Module) -> None:
        """Give every input port of the top module a wire and a place in the input area."""
        word = 0
        for port in module.ports.values():
            if port.direction == "input":
                wire = self.wire(self.design.spaces[0], len(port.bits), WireKind.INPUT, port.name)
                self._place[-1, "", port.name] = (wire, 0)
                self.design.input_wires[port.name] = wire
                self.design.inputs.append(Output(port.name, len(port.bits), port.is_signed, word))
                word += max(1, -(-len(port.bits) // 64))

    def bit(self, driver: Driver | int) -> Ref:
        """Return the reference to one driver, seen from outside its instance."""
        if isinstance(driver, int):
            return const(driver, 1)
        wire, lane = self._place[driver.instance, driver.cell, driver.port]
        return (Slice(wire, lane, driver.offset, 1),)

    def ref(self, instance: Instance, bits: tuple[Bit, ...]) -> Ref:
        """Return the reference to net bits of an instance."""
        return join(piece for bit in bits for piece in self.bit(self.resolve(instance, bit)))

    def group_ref(self, space: Space, lead: int, inside: set[int], drivers: list[_Vector]) -> Ref:
        """Return the reference to bits of a body, each given by the drivers of all members."""
        pieces: list[Piece] = []
        fresh: Wire | None = None
        for vector in drivers:
            first = vector[lead]
            if isinstance(first, Driver) and first.instance in inside:
                wire, _ = self._place[first.instance, first.cell, first.port]
                pieces.append(Slice(wire, None, first.offset, 1))
                continue
            # Never a wire of this group: its own member would read it as an inner one.
            if all(driver == first for driver in vector):
                pieces.extend(self.bit(first))
                continue
            key = (space.number, vector)
            if key not in self._virtual:
                if fresh is None:
                    fresh = self.wire(space, 0, WireKind.COMB, f"{space.name} input")
                    self._gathered[fresh] = []
                self._virtual[key] = (fresh, fresh.width)
                self._gathered[fresh].append(vector)
                fresh.width += 1
            wire, offset = self._virtual[key]
            pieces.append(Slice(wire, None, offset, 1))
        return join(pieces)

    def build_group(self, group: Group) -> None:
        """Add the nodes of a group; the widest inputs first, so that words stay whole."""
        space = self.design.spaces[1 + self.groups.index(group)]
        body = group.members[group.lead].body
        inside = {instance.number for instance, _ in body}
        vectors: dict[tuple[int, str], list[_Vector]] = {}
        for index, (_, cell) in enumerate(body):
            for port in cell.inputs:
                vectors[index, port] = self._vectors(group.members, index, port)
        refs: dict[tuple[int, str], Ref] = {}
        for key in sorted(vectors, key=lambda key: (-len(vectors[key]), key)):
            refs[key] = self.group_ref(space, group.lead, inside, vectors[key])
        for wire in [wire for wire in self._gathered if wire.space is space]:
            rows = self._gathered[wire]
            node = Node("gather", space, {}, wire, group.name)
            node.lanes = [
                join(piece for row in rows for piece in self.bit(row[lane]))
                for lane in range(space.count)
            ]
            self.design.nodes.append(node)
        for index, (_, cell) in enumerate(body):
            inputs = {port: refs[index, port] for port in cell.inputs}
            corresponding = [member.body[index] for member in group.members]
            self._lower(space, corresponding, inputs, group.lead)

    def _vectors(self, members: tuple[Member, ...], index: int, port: str) -> list[_Vector]:
        """Return for each bit of an input what drives it in each member.

        Above its own width a member may read anything; its top bit once more is what neighbours of
        other widths, which extend the sign, read there.
        """
        columns: list[list[Driver | int]] = []
        for member in members:
            instance, cell = member.body[index]
            columns.append([self.resolve(instance, bit) for bit in cell.inputs[port]])
        width = max(map(len, columns))
        return list(
            zip(
                *((*column, *column[-1:] * (width - len(column))) for column in columns),
                strict=True,
            )
        )

    def build_scalar(self, cells: list[tuple[Instance, Cell]]) -> None:
        """Add the nodes of everything that occurs once."""
        for instance, cell in cells:
            inputs = {port: self.ref(instance, bits) for port, bits in cell.inputs.items()}
            self._lower(self.design.spaces[0], [(instance, cell)], inputs)

    def _lower(
        self,
        space: Space,
        members: list[tuple[Instance, Cell]],
        inputs: dict[str, Ref],
        lead: int = 0,
    ) -> None:
        instance, cell = members[lead]
        outs = {port: self._place[instance.number, cell.name, port][0] for port in cell.outputs}
        memory = self.memory(space, members) if cell.type == "$mem_v2" else None

        def fresh(width: int, kind: WireKind) -> Wire:
            return self.wire(space, width, kind, cell.name)

        clock = self.design.input_wires.get("clk")
        origin = f"module {instance.module.name}, cell {cell.name}"
        nodes = lower_cell(cell, space, inputs, outs, clock, memory, fresh, origin)
        self.design.nodes.extend(nodes)

    def build_outputs(self, ports: Mapping[str, Port], probe_depth: int) -> None:
        """Add output ports, then the named nets of all instances down to `probe_depth` levels."""
        top = self.instances[0]
        word = self._output(top, [p for p in ports.values() if p.direction == "output"], 0)
        for instance in self.instances:
            if len(instance.path) < probe_depth:
                nets = [
                    Port(".".join((*instance.path, name)), "output", bits, False)
                    for name, bits in instance.module.nets.items()
                    if instance.parent is not None or name not in ports
                ]
                word = self._output(instance, nets, word)

    def _output(self, instance: Instance, ports: list[Port], word: int) -> int:
        for port in ports:
            ref = self.ref(instance, port.bits)
            node = Node("output", self.design.spaces[0], {"A": ref}, None, port.name)
            node.params["word"] = word
            self.design.nodes.append(node)
            width = len(port.bits)
            self.design.outputs.append(Output(port.name, width, port.is_signed, word))
            word += max(1, -(-width // 64))
        return word


def _ungrouped(instances: list[Instance], groups: list[Group]) -> list[tuple[Instance, Cell]]:
    """Return the cells that are in no group."""
    grouped = {
        (instance.number, cell.name)
        for group in groups
        for member in group.members
        for instance, cell in member.body
    }
    return [
        (instance, cell)
        for instance in instances
        for cell in instance.primitives
        if (instance.number, cell.name) not in grouped
    ]


def elaborate(
    modules: Mapping[str, Module],
    top: str,
    *,
    minimum: int = 4,
    banned: frozenset[str] = frozenset(),
    may_stretch: bool = True,
    probe_depth: int = 0,
) -> Design:
    """Build the design of module `top`.

    Parameters
    ----------
    modules : mapping of str to Module
        From `netlist.read_netlist`.
    top : str
        Name of the top module.
    minimum : int
        Least number of like instances that are evaluated as an array.
    banned : frozenset of str
        Instances, by dotted path, that must not start such an array.
    may_stretch : bool
        Whether instances of different widths may be in one array.
    probe_depth : int
        Levels of hierarchy whose named nets become outputs too; 0 for none.

    Raises
    ------
    NetlistError
        If a cell is not supported.
    """
    instances = build_tree(modules, top)
    resolve = Resolver(instances)
    groups = find_groups(
        instances, resolve, minimum=minimum, banned=banned, may_stretch=may_stretch
    )
    state = _Elaborator(instances, groups, resolve)
    state.declare_inputs(modules[top])
    scalar = _ungrouped(instances, groups)
    for number, group in enumerate(groups, start=1):
        paths = tuple(".".join(member.root.path) for member in group.members)
        space = Space(number, len(paths), group.name, paths)
        state.design.spaces.append(space)
        for index in range(len(group.members[0].body)):
            state.declare_cell(space, [member.body[index] for member in group.members], group.lead)
    for instance, cell in scalar:
        state.declare_cell(state.design.spaces[0], [(instance, cell)])
    for group in groups:
        state.build_group(group)
    state.build_scalar(scalar)
    state.build_outputs(modules[top].ports, probe_depth)
    take_out_resets(state.design)
    return state.design
