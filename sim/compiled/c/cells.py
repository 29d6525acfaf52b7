"""C for operations whose operands and result fit in 64 bits.

Meaning of the cells: the yosys manual, chapter on the internal cell library. Division by zero gives
0 here; Amaranth selects its own value around the cell.
"""

from sim.compiled.c.refs import Names, clean, container, literal, loose, mask, signed
from sim.compiled.rtl.design import Node, Ref, extend, ref_width, slice_ref

__all__ = ["amount", "is_wide", "narrow_cell"]

_ARITHMETIC = {"$add": "+", "$sub": "-", "$mul": "*", "$and": "&", "$or": "|", "$xor": "^"}
_COMPARISONS = {
    "$lt": "<",
    "$le": "<=",
    "$gt": ">",
    "$ge": ">=",
    "$eq": "==",
    "$ne": "!=",
    "$eqx": "==",
    "$nex": "!=",
}
_DIVISIONS = {
    "$div": "div_trunc",
    "$mod": "mod_trunc",
    "$divfloor": "div_floor",
    "$modfloor": "mod_floor",
}
_TRUTHS = {"$logic_not": "==", "$reduce_or": "!=", "$reduce_bool": "!="}
# The result takes no more of these operands than it has bits itself.
_TAKES_LOW = frozenset(
    {*_ARITHMETIC, "$not", "$pos", "$neg", "$xnor", "$mux", "$pmux", "$shl", "$sshl", "$bmux"}
)


def is_wide(node: Node) -> bool:
    """Whether the node needs more than one 64-bit word somewhere."""
    assert node.out is not None
    if node.out.used > 64:
        return True
    if node.kind in _TAKES_LOW:
        return False
    return any(ref_width(node.reads.get(name, ())) > 64 for name in "AB") and (
        "sh" not in node.kind or ref_width(node.reads["A"]) > 64
    )


def _bits(node: Node, width: int) -> int:
    return container(width, node.space)


def _masked(text: str, node: Node, bits: int) -> str:
    assert node.out is not None
    return text if node.out.used == bits else f"({text}) & {literal(mask(node.out.used), bits)}"


def _arithmetic(names: Names, node: Node) -> str:
    assert node.out is not None
    width = node.out.used
    bits = _bits(node, width)
    is_signed = bool(node.params["signed"])
    a, b = (loose(names, node.reads[name], width, is_signed, bits) for name in "AB")
    if node.kind == "$mul" and bits < 32:
        a = f"(uint32_t){a}"  # uint16_t * uint16_t would overflow int
    return _masked(f"{a} {_ARITHMETIC[node.kind]} {b}", node, bits)


def _unary(names: Names, node: Node) -> str:
    assert node.out is not None
    width = node.out.used
    bits = _bits(node, width)
    ref = node.reads["A"]
    is_signed = bool(node.params.get("signed", 0))
    if node.kind == "$pos":
        return clean(names, extend(ref, width, is_signed), bits)
    a = loose(names, ref, width, is_signed, bits)
    return _masked(f"{'~' if node.kind == '$not' else '-'}{a}", node, bits)


def _xnor(names: Names, node: Node) -> str:
    assert node.out is not None
    width = node.out.used
    bits = _bits(node, width)
    is_signed = bool(node.params["signed"])
    a, b = (loose(names, node.reads[name], width, is_signed, bits) for name in "AB")
    return _masked(f"~({a} ^ {b})", node, bits)


def _comparison(names: Names, node: Node) -> str:
    a, b = node.reads["A"], node.reads["B"]
    operator = _COMPARISONS[node.kind]
    bits = _bits(node, max(ref_width(a), ref_width(b)))
    show = signed if node.params["signed"] else clean
    return f"{show(names, a, bits)} {operator} {show(names, b, bits)}"


def _truth(names: Names, node: Node) -> str:
    ref = node.reads["A"]
    bits = _bits(node, ref_width(ref))
    return f"{clean(names, ref, bits)} {_TRUTHS[node.kind]} 0"


def _reduce(names: Names, node: Node) -> str:
    ref = node.reads["A"]
    bits = _bits(node, ref_width(ref))
    text = clean(names, ref, bits)
    if node.kind == "$reduce_and":
        return f"{text} == {literal(mask(ref_width(ref)), bits)}"
    parity = f"__builtin_parityll({text})"
    return parity if node.kind == "$reduce_xor" else f"!{parity}"


def _logic(names: Names, node: Node) -> str:
    a, b = (
        f"({clean(names, node.reads[name], _bits(node, ref_width(node.reads[name])))} != 0)"
        for name in "AB"
    )
    return f"{a} {'&' if node.kind == '$logic_and' else '|'} {b}"


def amount(names: Names, ref: Ref, is_signed: bool) -> str:
    """Return a shift amount as an ``int64_t``, cut to the range of 32 bits where it is larger."""
    width = ref_width(ref)
    if width <= 32:
        bits = 32 if width < 32 and not is_signed else 64
        show = signed if is_signed else clean
        return f"(int64_t){show(names, ref, bits)}"
    low = clean(names, slice_ref(ref, 0, 31), 64)
    top = slice_ref(ref, width - 1, 1)
    rest = [clean(names, slice_ref(ref, at, 64), 64) for at in range(31, width, 64)]
    if not is_signed:
        return f"(({' | '.join(rest)}) ? (int64_t)1 << 31 : (int64_t)({low}))"
    ones = [
        f"({clean(names, slice_ref(ref, at, 64), 64)} == {literal(mask(min(64, width - at)), 64)})"
        for at in range(31, width, 64)
    ]
    negative = (
        f"(({' & '.join(ones)}) ? (int64_t)({low}) - ((int64_t)1 << 31) : -((int64_t)1 << 31))"
    )
    positive = f"(({' | '.join(rest)}) ? (int64_t)1 << 31 : (int64_t)({low}))"
    return f"({clean(names, top, 64)} ? {negative} : {positive})"


def _short_amount(names: Names, ref: Ref, limit: int, bits: int) -> str | None:
    """Return the amount without a range check where it cannot exceed `limit`."""
    width = ref_width(ref)
    if width > 6 or mask(width) > limit:
        return None
    return clean(names, ref, max(bits, 32))


def _shift_left(names: Names, node: Node) -> str:
    assert node.out is not None
    width = node.out.used
    bits = max(32, _bits(node, width))
    a = loose(names, node.reads["A"], width, bool(node.params["signed"]), bits)
    short = _short_amount(names, node.reads["B"], bits - 1, bits)
    if short is not None:
        return _masked(f"(uint{bits}_t){a} << {short}", node, bits)
    by = amount(names, node.reads["B"], is_signed=False)
    return _masked(f"shift_left((uint64_t){a}, {by})", node, 64)


def _shift_right(names: Names, node: Node) -> str:
    assert node.out is not None
    source, by = node.reads["A"], node.reads["B"]
    is_signed = bool(node.params["signed"])
    is_logical = node.kind != "$sshr"
    width = max(ref_width(source), node.out.used)
    is_arithmetic = is_signed and not is_logical
    ref = source if is_arithmetic else extend(source, width, is_signed)
    bits = max(32, _bits(node, width))
    value = signed(names, ref, bits) if is_arithmetic else clean(names, ref, bits)
    short = _short_amount(names, by, bits - 1, bits)
    if short is not None:
        text = f"{value} >> {short}"
    else:
        function = "shift_right_signed" if is_arithmetic else "shift_right"
        text = f"{function}({value}, {amount(names, by, is_signed=False)})"
    return _masked(text, node, 65)


def _shift_both(names: Names, node: Node) -> str:
    assert node.out is not None
    source, by = node.reads["A"], node.reads["B"]
    is_signed = bool(node.params["signed"]) and node.kind == "$shift"
    width = max(ref_width(source), node.out.used)
    value = clean(names, extend(source, width, is_signed), 64)
    if not node.params["shift_signed"]:
        short = _short_amount(names, by, 63, 64)
        if short is not None:
            return _masked(f"{value} >> {short}", node, 65)
        return _masked(f"shift_right({value}, {amount(names, by, is_signed=False)})", node, 65)
    return _masked(f"shift_both({value}, {amount(names, by, is_signed=True)})", node, 65)


def _division(names: Names, node: Node) -> str:
    kind = "s" if node.params["signed"] else "u"
    show = signed if node.params["signed"] else clean
    a, b = (show(names, node.reads[name], 64) for name in "AB")
    return _masked(f"{kind}{_DIVISIONS[node.kind]}({a}, {b})", node, 65)


def _mux(names: Names, node: Node) -> str:
    assert node.out is not None
    width = node.out.used
    bits = _bits(node, width)
    a, b = (clean(names, slice_ref(node.reads[name], 0, width), bits) for name in "AB")
    return f"{clean(names, node.reads['S'], 32)} ? {b} : {a}"


def _pmux(names: Names, node: Node) -> str:
    assert node.out is not None
    width, used = node.out.width, node.out.used
    bits = _bits(node, used)
    text = ""
    for index in range(ref_width(node.reads["S"])):
        select = clean(names, slice_ref(node.reads["S"], index, 1), 32)
        choice = clean(names, slice_ref(node.reads["B"], index * width, used), bits)
        text += f"{select} ? {choice} : "
    return text + clean(names, slice_ref(node.reads["A"], 0, used), bits)


def _bmux(names: Names, node: Node) -> str:
    assert node.out is not None
    width, used = node.out.width, node.out.used
    bits = _bits(node, used)
    select = clean(names, node.reads["S"], 64)
    text = ""
    count = 1 << ref_width(node.reads["S"])
    for index in range(count):
        choice = clean(names, slice_ref(node.reads["A"], index * width, used), bits)
        text += f"{select} == {index} ? {choice} : " if index < count - 1 else choice
    return text


_EMIT = {
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    **dict.fromkeys(("$not", "$pos", "$neg"), _unary),
    "$xnor": _xnor,
    **dict.fromkeys(_COMPARISONS, _comparison),
    **dict.fromkeys(_TRUTHS, _truth),
    **dict.fromkeys(("$reduce_and", "$reduce_xor", "$reduce_xnor"), _reduce),
    **dict.fromkeys(("$logic_and", "$logic_or"), _logic),
    **dict.fromkeys(("$shl", "$sshl"), _shift_left),
    **dict.fromkeys(("$shr", "$sshr"), _shift_right),
    **dict.fromkeys(("$shift", "$shiftx"), _shift_both),
    **dict.fromkeys(_DIVISIONS, _division),
    "$mux": _mux,
    "$pmux": _pmux,
    "$bmux": _bmux,
}


def narrow_cell(names: Names, node: Node) -> str:
    """Return the C expression of a node's clean value; `is_wide` must be false for it."""
    return _EMIT[node.kind](names, node)
