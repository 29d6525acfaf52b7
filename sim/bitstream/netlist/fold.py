"""Order the combinational part of a netlist, and drop what is constant, a copy, or never used.

What remains is a list in which every element comes after what it depends on. Nothing about the
meaning of the netlist changes; a signal that depends on itself is an error here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.mac16 import mac16_dependencies, mac16_ignored
from sim.bitstream.netlist.model import (
    ONE,
    ZERO,
    Carry,
    Clock,
    FlipFlop,
    Lut,
    Mac16,
    Netlist,
    OutputPad,
    Ram,
    RamPort,
    Spram,
)

__all__ = ["Folded", "Function", "fold"]


@dataclass(frozen=True)
class Function:
    """Output is bit ``table >> address``, input k being bit k of the address; 1 to 4 inputs."""

    output: int
    table: int
    inputs: tuple[int, ...]


Node = Lut | Carry | Mac16 | FlipFlop


@dataclass(frozen=True)
class Folded:
    """What is left of a netlist.

    Attributes
    ----------
    nodes : tuple
        Functions, carries, multipliers, and flip-flops with an asynchronous control, each after
        what its outputs depend on without a clock.
    flip_flops, rams, sprams, macs, outputs : tuple
        Clocked elements and pads.
    pins : dict of str to int
        Nets of the input pins that are no clocks.
    pulled_up : frozenset of str
        Input pins that read 1 while nobody drives them.
    clock : int
        Net of the clock; 0 if nothing is clocked.
    locks : tuple of int
        Nets that tell that a PLL has locked.
    """

    nodes: tuple[Function | Carry | Mac16 | FlipFlop, ...]
    flip_flops: tuple[FlipFlop, ...]
    rams: tuple[Ram, ...]
    sprams: tuple[Spram, ...]
    macs: tuple[Mac16, ...]
    outputs: tuple[OutputPad, ...]
    pins: dict[str, int]
    pulled_up: frozenset[str]
    clock: int
    locks: tuple[int, ...]


def simplify(table: int, inputs: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Return a truth table and its inputs without constants, repetitions and unused ones."""
    nets = [net for net in dict.fromkeys(inputs) if net not in (ZERO, ONE)]
    rows: list[int] = []
    for row in range(1 << len(nets)):
        value = {ZERO: 0, ONE: 1} | {net: row >> k & 1 for k, net in enumerate(nets)}
        rows.append(table >> sum(value[net] << k for k, net in enumerate(inputs)) & 1)
    for k in reversed(range(len(nets))):
        others = [row for row in range(len(rows)) if not row >> k & 1]
        if all(rows[row] == rows[row | 1 << k] for row in others):
            rows = [rows[row] for row in others]
            del nets[k]
    return sum(bit << row for row, bit in enumerate(rows)), tuple(nets)


class _Folder:
    """Visits what a net depends on before the net itself."""

    def __init__(self, netlist: Netlist) -> None:
        self.netlist = netlist
        self.same: dict[int, int] = {ZERO: ZERO, ONE: ONE}
        self.nodes: list[Function | Carry | Mac16 | FlipFlop] = []
        self._nodes: dict[int, Node] = {}
        self._open: set[int] = set()
        used = _used_nets(netlist)
        for lut in netlist.luts:
            self._nodes[lut.output] = lut
        for carry in netlist.carries:
            self._nodes[carry.output] = carry
        self._reads: dict[int, tuple[int, ...]] = {}
        for mac in netlist.macs:
            for nets in mac.outputs.values():
                self._nodes.update(dict.fromkeys(nets, mac))
            names = mac16_dependencies(mac, used)
            self._reads[id(mac)] = tuple(net for name in names for net in mac.inputs[name])
        self._leaves(netlist)

    def _leaves(self, netlist: Netlist) -> None:
        for flip_flop in netlist.flip_flops:
            if flip_flop.is_async:
                self._nodes[flip_flop.output] = flip_flop
            else:
                self.same[flip_flop.output] = flip_flop.output
        memories = [*netlist.rams, *netlist.sprams]
        leaves = [net for each in memories for net in each.outputs]
        leaves += [pad.net for pad in netlist.inputs]
        leaves += [*netlist.clocks, *netlist.locks]
        self.same.update({net: net for net in leaves})

    def _inputs(self, node: Node) -> Iterable[int]:
        if isinstance(node, Lut):
            # Inputs that the table does not depend on need not have a driver.
            return simplify(node.table, node.inputs)[1]
        if isinstance(node, Carry):
            # Where both are the same, what comes in makes no difference.
            a, b = node.a, node.b
            return (a,) if a == b else (a, b, node.carry_in)
        if isinstance(node, FlipFlop):
            return (node.control,)
        return self._reads[id(node)]

    def visit(self, wanted: Iterable[int]) -> None:
        """Fold what the nets depend on."""
        stack = [(net, False) for net in wanted]
        while stack:
            net, is_done = stack.pop()
            if is_done:
                self._close(self._nodes[net])
                continue
            if net in self.same:
                continue
            node = self._nodes.get(net)
            if node is None:
                raise BitstreamError(f"net {net} is used, but nothing that is supported drives it")
            if id(node) in self._open:
                raise BitstreamError(f"the signal of {_describe(node)} depends on itself")
            self._open.add(id(node))
            stack.append((net, True))
            stack += [(each, False) for each in self._inputs(node)]

    def _close(self, node: Node) -> None:
        self._open.discard(id(node))
        if isinstance(node, Lut):
            table, inputs = simplify(node.table, [self.same.get(i, ZERO) for i in node.inputs])
            # Inputs that were not visited are ones that the table does not depend on.
            self._add(node.output, table, inputs)
        elif isinstance(node, Carry):
            self._close_carry(node)
        elif isinstance(node, FlipFlop):
            self.same[node.output] = node.output
            self.nodes.append(node)
        else:
            for nets in node.outputs.values():
                self.same.update({net: net for net in nets})
            self.nodes.append(node)

    def _close_carry(self, node: Carry) -> None:
        inputs = tuple(self.same.get(net, ZERO) for net in (node.a, node.b, node.carry_in))
        table, left = simplify(0b11101000, inputs)
        if len(left) == 3:
            self.same[node.output] = node.output
            self.nodes.append(Carry(node.output, *inputs))
        else:
            self._add(node.output, table, left)

    def _add(self, output: int, table: int, inputs: tuple[int, ...]) -> None:
        if not inputs:
            self.same[output] = ONE if table else ZERO
        elif len(inputs) == 1 and table == 0b10:
            self.same[output] = inputs[0]
        else:
            self.same[output] = output
            self.nodes.append(Function(output, table, inputs))


def _describe(node: Node) -> str:
    return node.name if isinstance(node, Mac16) else f"a logic cell (net {node.output})"


def _used_nets(netlist: Netlist) -> frozenset[int]:
    """Nets that anything reads, as far as it matters for multipliers."""
    used: set[int] = set()
    for lut in netlist.luts:
        used.update(lut.inputs)
    for mac in netlist.macs:
        ignored = mac16_ignored(mac)
        used.update(n for name, nets in mac.inputs.items() if name not in ignored for n in nets)
    return frozenset(used)


def fold(netlist: Netlist) -> Folded:
    """Order and fold a netlist.

    Raises
    ------
    BitstreamError
        If a signal depends on itself, something is used that nothing drives, there is more than
        one clock, or a clock is made by logic.
    """
    folder = _Folder(netlist)
    see = folder.visit
    same = folder.same

    def nets(values: Iterable[int]) -> tuple[int, ...]:
        values = tuple(values)
        see(values)
        return tuple(same[net] for net in values)

    clocks = _Clocks(netlist, lambda net: nets((net,))[0])
    _check_constants(netlist, nets)
    outputs = tuple(OutputPad(pad.pin, *nets((pad.data, pad.enable))) for pad in netlist.outputs)
    flip_flops = tuple(_map_flip_flop(each, nets, clocks) for each in netlist.flip_flops)
    rams = tuple(
        replace(
            ram,
            read=_map_port(ram.read, nets, clocks),
            write=_map_port(ram.write, nets, clocks),
            mask=nets(ram.mask),
            data=nets(ram.data),
        )
        for ram in netlist.rams
    )
    sprams = tuple(_map_spram(each, nets, clocks) for each in netlist.sprams)
    macs = {id(mac): _map_mac(mac, nets, clocks) for mac in netlist.macs}
    by_output = {each.output: each for each in flip_flops}
    nodes: list[Function | Carry | Mac16 | FlipFlop] = []
    for node in folder.nodes:
        if isinstance(node, Mac16):
            nodes.append(macs[id(node)])
        elif isinstance(node, FlipFlop):
            nodes.append(by_output[node.output])
        else:
            nodes.append(node)
    pins = {pad.pin: pad.net for pad in netlist.inputs if pad.net not in clocks.all}
    clocks.check_data(nodes, flip_flops, outputs)
    return Folded(
        tuple(nodes),
        flip_flops,
        rams,
        sprams,
        tuple(macs.values()),
        outputs,
        pins,
        frozenset(pad.pin for pad in netlist.inputs if pad.is_pulled_up),
        clocks.single,
        tuple(netlist.locks),
    )


Nets = Callable[[Iterable[int]], tuple[int, ...]]


class _Clocks:
    """The clock of a netlist: there must be one only."""

    def __init__(self, netlist: Netlist, resolve: Callable[[int], int]) -> None:
        self._resolve = resolve
        self._sources = {net: source.name for net, source in netlist.clocks.items()}
        self._pads = {pad.net: f"pin {pad.pin}" for pad in netlist.inputs}
        self.single = ZERO
        self.all = {resolve(source.reference) for source in netlist.clocks.values()}
        for net in self.all - {ZERO}:
            if net not in self._pads:
                raise BitstreamError("the reference of a PLL does not come from a pin")

    def of(self, clock: Clock) -> Clock:
        """Return a clock by the net of its source."""
        net = self._resolve(clock.net)
        if net == ZERO:
            return Clock(ZERO, False)
        name = self._sources.get(net) or self._pads.get(net)
        if name is None:
            raise BitstreamError(f"a clock is made by logic (net {net}), which is not supported")
        if self.single not in (ZERO, net):
            other = self._sources.get(self.single) or self._pads[self.single]
            raise BitstreamError(f"there are two clocks, {other} and {name}: not supported")
        self.single = net
        self.all.add(net)
        return Clock(net, clock.is_falling)

    def check_data(
        self,
        nodes: Iterable[Function | Carry | Mac16 | FlipFlop],
        flip_flops: Iterable[FlipFlop],
        outputs: Iterable[OutputPad],
    ) -> None:
        """Check that no clock is used as data, where it would have no defined value."""
        read: set[int] = set()
        for node in nodes:
            if isinstance(node, Function):
                read.update(node.inputs)
            elif isinstance(node, Carry):
                read.update((node.a, node.b, node.carry_in))
        for each in flip_flops:
            read.update((each.data, each.enable, each.control))
        for pad in outputs:
            read.update((pad.data, pad.enable))
        if read & (self.all - {ZERO}):
            raise BitstreamError("a clock is used as data, which is not supported")


def _check_constants(netlist: Netlist, nets: Nets) -> None:
    for net, value, name in netlist.constants:
        if nets((net,)) != (ONE if value else ZERO,):
            raise BitstreamError(f"{name} is not constant {value}, which is not supported")


def _map_flip_flop(each: FlipFlop, nets: Nets, clocks: _Clocks) -> FlipFlop:
    data, enable, control = nets((each.data, each.enable, each.control))
    clock = clocks.of(each.clock)
    return replace(each, data=data, enable=enable, control=control, clock=clock)


def _map_port(port: RamPort, nets: Nets, clocks: _Clocks) -> RamPort:
    clock_enable, enable, *address = nets((port.clock_enable, port.enable, *port.address))
    return RamPort(port.mode, clocks.of(port.clock), clock_enable, enable, tuple(address))


def _map_spram(each: Spram, nets: Nets, clocks: _Clocks) -> Spram:
    chip_select, write_enable = nets((each.chip_select, each.write_enable))
    return replace(
        each,
        clock=clocks.of(each.clock),
        chip_select=chip_select,
        write_enable=write_enable,
        mask=nets(each.mask),
        address=nets(each.address),
        data=nets(each.data),
    )


def _map_mac(each: Mac16, nets: Nets, clocks: _Clocks) -> Mac16:
    # What comes from the neighbour is connected in any case, selected or not.
    ignored = mac16_ignored(each)
    inputs = {
        name: (ZERO,) * len(values) if name in ignored else nets(values)
        for name, values in each.inputs.items()
    }
    return replace(each, inputs=inputs, clock=clocks.of(each.clock))
