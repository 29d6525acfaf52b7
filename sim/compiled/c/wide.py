"""C for operations on values of more than 64 bits, held as arrays of 64-bit words."""

from sim.compiled.c.cells import amount
from sim.compiled.c.refs import Names, clean, literal, mask, words
from sim.compiled.rtl.design import Node, Ref, const, extend, ref_width, slice_ref

__all__ = ["wide_cell", "word_of"]

_BITWISE = {"$and": "{} & {}", "$or": "{} | {}", "$xor": "{} ^ {}", "$xnor": "~({} ^ {})"}
_COMPARISONS = {
    "$lt": ("wide_below", "ab", ""),
    "$ge": ("wide_below", "ab", "!"),
    "$gt": ("wide_below", "ba", ""),
    "$le": ("wide_below", "ba", "!"),
    "$eq": ("wide_equal", "ab", ""),
    "$ne": ("wide_equal", "ab", "!"),
    "$eqx": ("wide_equal", "ab", ""),
    "$nex": ("wide_equal", "ab", "!"),
}
_DIVISIONS = {"$div": (0, "q"), "$mod": (0, "r"), "$divfloor": (1, "q"), "$modfloor": (1, "r")}
_FUNCTIONS = {"$add": "wide_add", "$sub": "wide_sub", "$mul": "wide_mul", "$neg": "wide_sub"}


def word_of(names: Names, ref: Ref, word: int) -> str:
    """Return bits ``[64 * word, 64 * word + 64)`` of `ref` as a clean C expression."""
    return clean(names, slice_ref(ref, 64 * word, 64), 64)


def _array(names: Names, name: str, ref: Ref, count: int) -> str:
    items = ", ".join(word_of(names, ref, word) for word in range(count))
    return f"uint64_t {name}[{count}] = {{{items}}};"


def _operands(names: Names, node: Node, width: int) -> list[str]:
    """Return declarations of a and b, extended as the cell says to whole words."""
    count = words(width)
    is_signed = bool(node.params["signed"])
    return [
        _array(names, name.lower(), extend(node.reads[name], 64 * count, is_signed), count)
        for name in "AB"
        if name in node.reads
    ]


def _by_word(names: Names, node: Node) -> list[str]:
    """Return the result words of a cell that works on each bit alone."""
    assert node.out is not None
    width = node.out.used
    is_signed = bool(node.params.get("signed", 0))
    refs = {name: extend(ref, width, is_signed) for name, ref in node.reads.items() if name in "AB"}
    texts: list[str] = []
    for word in range(words(width)):
        parts = {name: word_of(names, ref, word) for name, ref in refs.items()}
        if node.kind == "$mux":
            text = f"{clean(names, node.reads['S'], 32)} ? {parts['B']} : {parts['A']}"
        elif node.kind == "$not":
            text = f"~{parts['A']}"
        elif node.kind == "$pos":
            text = parts["A"]
        else:
            text = _BITWISE[node.kind].format(parts["A"], parts["B"])
        texts.append(text)
    return texts


def _choices(names: Names, node: Node) -> list[str]:
    """Return the result words of ``$pmux`` and ``$bmux``."""
    assert node.out is not None
    select, width, used = node.reads["S"], node.out.width, node.out.used
    is_binary = node.kind == "$bmux"
    data = node.reads["A" if is_binary else "B"]
    count = (1 << ref_width(select)) - 1 if is_binary else ref_width(select)
    default = slice_ref(data, count * width, used) if is_binary else node.reads["A"]
    texts: list[str] = []
    for word in range(words(used)):
        text = ""
        for index in range(count):
            choice = word_of(names, slice_ref(data, index * width, used), word)
            if is_binary:
                chosen = f"{clean(names, select, 64)} == {index}"
            else:
                chosen = clean(names, slice_ref(select, index, 1), 32)
            text += f"{chosen} ? {choice} : "
        texts.append(text + word_of(names, slice_ref(default, 0, used), word))
    return texts


def _computed(names: Names, node: Node) -> tuple[list[str], list[str]]:
    """Return statements that compute into the array y, and its words."""
    assert node.out is not None
    width = node.out.used
    count = words(width)
    if node.kind == "$neg":
        node = Node(
            "$sub",
            node.space,
            {"A": const(0, 1), "B": node.reads["A"]},
            node.out,
            node.origin,
            node.params,
        )
    body = _operands(names, node, width)
    body += [f"uint64_t y[{count}];", f"{_FUNCTIONS[node.kind]}(y, a, b, {count});"]
    return body, [f"y[{word}]" for word in range(count)]


def _compared(names: Names, node: Node) -> tuple[list[str], list[str]]:
    width = max(ref_width(node.reads["A"]), ref_width(node.reads["B"]))
    function, order, sign = _COMPARISONS[node.kind]
    if node.params["signed"] and function == "wide_below":
        function += "_signed"
    call = f"{sign}{function}({order[0]}, {order[1]}, {words(width)})"
    return _operands(names, node, width), [call]


def _shifted(names: Names, node: Node) -> tuple[list[str], list[str]]:
    assert node.out is not None
    source, by = node.reads["A"], node.reads["B"]
    is_left = node.kind in ("$shl", "$sshl")
    is_signed = bool(node.params["signed"]) and node.kind != "$shiftx"
    width = node.out.used if is_left else max(ref_width(source), node.out.used)
    count = words(width)
    is_arithmetic = node.kind == "$sshr" and is_signed
    ref = extend(source, 64 * count if is_arithmetic else width, is_signed)
    text = amount(
        names, by, node.kind in ("$shift", "$shiftx") and bool(node.params["shift_signed"])
    )
    fill = f"(uint64_t)((int64_t)a[{count - 1}] >> 63)" if is_arithmetic else "0"
    body = [
        _array(names, "a", ref, count),
        f"uint64_t y[{count}];",
        f"wide_shift(y, a, {count}, {'-' if is_left else ''}{text}, {fill});",
    ]
    return body, [f"y[{word}]" for word in range(words(node.out.used))]


def _divided(names: Names, node: Node) -> tuple[list[str], list[str]]:
    assert node.out is not None
    # One bit more, so that the most negative number has its opposite.
    width = 1 + max(ref_width(node.reads["A"]), ref_width(node.reads["B"]), node.out.used)
    count = words(width)
    is_floor, result = _DIVISIONS[node.kind]
    body = _operands(names, node, width)
    body += [
        f"uint64_t q[{count}], r[{count}];",
        f"wide_divide(q, r, a, b, {count}, {node.params['signed']}, {is_floor});",
    ]
    return body, [f"{result}[{word}]" for word in range(words(node.out.used))]


def _reduced(names: Names, node: Node) -> list[str]:
    def each(ref: Ref) -> list[str]:
        return [word_of(names, ref, word) for word in range(words(ref_width(ref)))]

    def some(ref: Ref) -> str:
        return "((" + " | ".join(each(ref)) + ") != 0)"

    ref = node.reads["A"]
    match node.kind:
        case "$reduce_and":
            width = ref_width(ref)
            tests = (
                f"({text} == {literal(mask(min(64, width - 64 * word)), 64)})"
                for word, text in enumerate(each(ref))
            )
            return [" & ".join(tests)]
        case "$reduce_or" | "$reduce_bool":
            return [some(ref)]
        case "$logic_not":
            return [f"!{some(ref)}"]
        case "$logic_and" | "$logic_or":
            operator = "&" if node.kind == "$logic_and" else "|"
            return [f"{some(ref)} {operator} {some(node.reads['B'])}"]
        case _:
            sign = "" if node.kind == "$reduce_xor" else "!"
            return [f"{sign}__builtin_parityll({' ^ '.join(each(ref))})"]


def wide_cell(names: Names, node: Node) -> tuple[list[str], list[str]]:
    """Return the C of a wide node.

    Returns
    -------
    statements : list of str
        To run first, in a block of their own.
    results : list of str
        Expressions of the result's words, of which the last may have bits above `used`.
    """
    if node.kind in _BITWISE or node.kind in ("$not", "$pos", "$mux"):
        return [], _by_word(names, node)
    if node.kind in ("$pmux", "$bmux"):
        return [], _choices(names, node)
    if node.kind in _FUNCTIONS:
        return _computed(names, node)
    if node.kind in _COMPARISONS:
        return _compared(names, node)
    if node.kind in _DIVISIONS:
        return _divided(names, node)
    if "sh" in node.kind:
        return _shifted(names, node)
    return [], _reduced(names, node)
