"""Break cells with state down into plain operations and stores.

A flip-flop becomes a ``commit`` node, preceded by multiplexers for its enable and reset. A memory
becomes one ``memory_read`` node per read port, a ``commit`` for each synchronous read port, and
one ``memory_write`` node for all write ports in their order.
"""

from collections.abc import Callable, Mapping

from sim.compiled.rtl.design import (
    Const,
    Design,
    Memory,
    Node,
    Ref,
    Slice,
    Space,
    Wire,
    WireKind,
    const,
    slice_ref,
)
from sim.compiled.rtl.netlist import Cell, NetlistError

__all__ = ["lower_cell", "take_out_resets"]

_UNARY = frozenset(
    {
        "$not",
        "$pos",
        "$neg",
        "$logic_not",
        "$reduce_and",
        "$reduce_or",
        "$reduce_xor",
        "$reduce_xnor",
        "$reduce_bool",
    }
)
_BINARY = frozenset(
    {
        "$and",
        "$or",
        "$xor",
        "$xnor",
        "$add",
        "$sub",
        "$mul",
        "$div",
        "$mod",
        "$divfloor",
        "$modfloor",
        "$shl",
        "$sshl",
        "$shr",
        "$sshr",
        "$shift",
        "$shiftx",
        "$lt",
        "$le",
        "$eq",
        "$ne",
        "$eqx",
        "$nex",
        "$ge",
        "$gt",
        "$logic_and",
        "$logic_or",
    }
)
_SELECT = frozenset({"$mux", "$pmux", "$bmux"})
_FLIP_FLOPS = frozenset({"$dff", "$dffe", "$sdff", "$sdffe", "$sdffce"})

Fresh = Callable[[int, WireKind], Wire]


def _check_clock(ref: Ref, clock: Wire | None, is_rising: bool, origin: str) -> None:
    match ref:
        case (Slice(wire=wire),) if wire is clock and clock is not None and is_rising:
            return
        case _:
            message = "only the rising edge of the port clk is supported as a clock"
            raise NetlistError(f"{origin}: {message}")


def _mux(space: Space, select: Ref, low: Ref, high: Ref, out: Wire, origin: str) -> Node:
    return Node("$mux", space, {"S": select, "A": low, "B": high}, out, origin)


def _whole(wire: Wire) -> Ref:
    lane = 0 if wire.space.is_scalar else None
    return (Slice(wire, lane, 0, wire.width),)


def _flip_flop(
    cell: Cell, space: Space, inputs: Mapping[str, Ref], reg: Wire, fresh: Fresh, origin: str
) -> list[Node]:
    nodes: list[Node] = []
    value = inputs["D"]

    def choose(select: Ref, is_high_active: bool, when_active: Ref) -> None:
        nonlocal value
        out = fresh(reg.width, WireKind.COMB)
        low, high = (value, when_active) if is_high_active else (when_active, value)
        nodes.append(_mux(space, select, low, high, out, origin))
        value = _whole(out)

    def enable() -> None:
        if "EN" in inputs:
            choose(inputs["EN"], not cell.flag("EN_POLARITY"), _whole(reg))

    def reset() -> None:
        if "SRST" in inputs:
            initial = const(cell.integer("SRST_VALUE"), reg.width)
            choose(inputs["SRST"], cell.flag("SRST_POLARITY"), initial)

    # $sdffce resets only while enabled; the others reset always.
    for step in (reset, enable) if cell.type == "$sdffce" else (enable, reset):
        step()
    nodes.append(Node("commit", space, {"D": value}, reg, origin))
    return nodes


def _write_ports(cell: Cell, space: Space, inputs: Mapping[str, Ref], origin: str) -> list[Node]:
    abits, width = cell.integer("ABITS"), cell.integer("WIDTH")
    return [
        Node(
            "port",
            space,
            {
                "ADDR": slice_ref(inputs["WR_ADDR"], index * abits, abits),
                "DATA": slice_ref(inputs["WR_DATA"], index * width, width),
                "EN": slice_ref(inputs["WR_EN"], index * width, width),
            },
            None,
            origin,
        )
        for index in range(cell.integer("WR_PORTS"))
    ]


def _check_memory(cell: Cell, inputs: Mapping[str, Ref], clock: Wire | None, origin: str) -> None:
    reads, writes = cell.integer("RD_PORTS"), cell.integer("WR_PORTS")
    for name in ("RD_WIDE_CONTINUATION", "WR_WIDE_CONTINUATION", "OFFSET"):
        if cell.flag(name):
            raise NetlistError(f"{origin}: {name} is not supported")
    for kind, count in (("RD", reads), ("WR", writes)):
        clocked, rising = cell.integer(f"{kind}_CLK_ENABLE"), cell.integer(f"{kind}_CLK_POLARITY")
        for index in range(count):
            if clocked >> index & 1:
                pin = slice_ref(inputs[f"{kind}_CLK"], index, 1)
                _check_clock(pin, clock, bool(rising >> index & 1), origin)
            elif kind == "WR":
                raise NetlistError(f"{origin}: a write port without a clock is not supported")
    for name in ("RD_ARST", "RD_SRST"):
        if any(not isinstance(piece, Const) or piece.value for piece in inputs[name]):
            raise NetlistError(f"{origin}: {name} is not supported")


def _memory(
    cell: Cell,
    space: Space,
    inputs: Mapping[str, Ref],
    outs: Mapping[str, Wire],
    memory: Memory,
    fresh: Fresh,
    origin: str,
) -> list[Node]:
    abits, width = cell.integer("ABITS"), cell.integer("WIDTH")
    clocked, transparent = cell.integer("RD_CLK_ENABLE"), cell.integer("RD_TRANSPARENCY_MASK")
    writes = _write_ports(cell, space, inputs, origin)
    nodes: list[Node] = []
    data: list[Ref] = []
    for index in range(cell.integer("RD_PORTS")):
        address = {"ADDR": slice_ref(inputs["RD_ADDR"], index * abits, abits)}
        word = fresh(width, WireKind.COMB)
        read = Node("memory_read", space, address, word, origin, memory=memory)
        nodes.append(read)
        if not clocked >> index & 1:
            data.append(_whole(word))
            continue
        mask = transparent >> (index * len(writes))
        read.ports = [port for bit, port in enumerate(writes) if mask >> bit & 1]
        reg = fresh(width, WireKind.REGISTER)
        reg.initial = [cell.integer("RD_INIT_VALUE") >> (index * width) & ((1 << width) - 1)]
        reg.initial *= space.count
        following = fresh(width, WireKind.COMB)
        enable = slice_ref(inputs["RD_EN"], index, 1)
        nodes.append(_mux(space, enable, _whole(reg), _whole(word), following, origin))
        nodes.append(Node("commit", space, {"D": _whole(following)}, reg, origin))
        data.append(_whole(reg))
    if data:
        ref = tuple(piece for each in data for piece in each)
        nodes.append(Node("$pos", space, {"A": ref}, outs["RD_DATA"], origin))
    if writes:
        node = Node("memory_write", space, {}, None, origin, memory=memory)
        node.ports = writes
        nodes.append(node)
    return nodes


def lower_cell(
    cell: Cell,
    space: Space,
    inputs: Mapping[str, Ref],
    outs: Mapping[str, Wire],
    clock: Wire | None,
    memory: Memory | None,
    fresh: Fresh,
    origin: str,
) -> list[Node]:
    """Return the nodes of one cell.

    Parameters
    ----------
    cell : Cell
        The cell; of a group, the one of its first member.
    space : Space
        Where it is evaluated.
    inputs, outs : mapping
        What its inputs read, and the wires of its outputs.
    clock : Wire or None
        The wire of the port ``clk``.
    memory : Memory or None
        The memory of a ``$mem_v2`` cell.
    fresh : callable
        Makes a wire of a width and kind in `space`.
    origin : str
        ``module m, cell c``, for messages.

    Raises
    ------
    NetlistError
        If the cell, or an option of it, is not supported.
    """
    if cell.type in _FLIP_FLOPS:
        _check_clock(inputs["CLK"], clock, cell.flag("CLK_POLARITY"), origin)
        return _flip_flop(cell, space, inputs, outs["Q"], fresh, origin)
    if cell.type == "$mem_v2" and memory is not None:
        _check_memory(cell, inputs, clock, origin)
        return _memory(cell, space, inputs, outs, memory, fresh, origin)
    if cell.type not in _UNARY | _BINARY | _SELECT:
        raise NetlistError(f"cell type {cell.type} is not supported: {origin}")
    is_signed = cell.flag("A_SIGNED") and (
        cell.type in _UNARY or "sh" in cell.type or cell.flag("B_SIGNED")
    )
    params = {"signed": int(is_signed), "shift_signed": int(cell.flag("B_SIGNED"))}
    return [Node(cell.type, space, dict(inputs), outs["Y"], origin, params)]


def _constants(ref: Ref, count: int, gathers: Mapping[Wire, Node]) -> list[int] | None:
    """Return the value of `ref` in each of `count` instances, or None if it is not constant."""
    values = [0] * count
    shift = 0
    for piece in ref:
        for lane in range(count):
            match piece:
                case Const(value=value, width=width):
                    bits = value
                case Slice(wire=wire, offset=offset, width=width) if wire in gathers:
                    lane_ref = slice_ref(gathers[wire].lanes[lane], offset, width)
                    if any(not isinstance(each, Const) for each in lane_ref):
                        return None
                    (bits,) = [each.value for each in lane_ref if isinstance(each, Const)]
                case _:
                    return None
            values[lane] |= bits << shift
        shift += piece.width
    return values


def _whole_mux(ref: Ref, muxes: Mapping[Wire | None, Node]) -> Node | None:
    """Return the multiplexer whose whole result `ref` reads."""
    match ref:
        case (Slice(wire=wire, offset=0, width=width),) if width == wire.width:
            return muxes.get(wire)
        case _:
            return None


def take_out_resets(design: Design) -> None:
    """Strip the multiplexer on the port ``rst`` from registers, and note their reset values.

    A reset is rare, so that it is done after the cycle, by storing the values once more.
    Registers whose reset is anything else keep their multiplexer.
    """
    reset = design.input_wires.get("rst")
    if reset is None:
        return
    muxes = {node.out: node for node in design.nodes if node.kind == "$mux"}
    gathers = {node.out: node for node in design.nodes if node.kind == "gather" and node.out}
    select = (Slice(reset, 0, 0, 1),)
    for node in design.nodes:
        if node.kind != "commit":
            continue
        mux = _whole_mux(node.reads["D"], muxes)
        if mux is None or mux.reads["S"] != select:
            continue
        values = _constants(mux.reads["B"], node.space.count, gathers)
        if values is not None:
            node.reads["D"] = mux.reads["A"]
            node.reset_values = values
