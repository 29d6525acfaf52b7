"""C expressions for truth tables, on nets that are 0 or 1."""

from functools import cache

__all__ = ["expression"]

_Found = tuple[int, str]


def expression(table: int, names: tuple[str, ...]) -> str:
    """Return a short C expression of a truth table of up to four inputs.

    >>> expression(0b1000, ("x", "y"))
    '(y & x)'
    >>> expression(0b0110, ("x", "y"))
    '(y ^ x)'
    """
    _, text = _best(table, tuple(range(len(names))))
    return text.format(*names)


@cache
def _best(table: int, inputs: tuple[int, ...]) -> _Found:
    """Cost and expression of a table whose inputs have these numbers, the first the lowest."""
    if not inputs:
        return 0, str(table & 1)
    return min(_split(table, inputs, k) for k in range(len(inputs)))


def _split(table: int, inputs: tuple[int, ...], k: int) -> _Found:
    """Split a table by one of its inputs: into its halves (Shannon) or their difference (Davio)."""
    name = f"{{{inputs[k]}}}"
    rest = inputs[:k] + inputs[k + 1 :]
    rows = [row for row in range(1 << len(inputs)) if not row >> k & 1]
    low = sum((table >> row & 1) << i for i, row in enumerate(rows))
    high = sum((table >> (row | 1 << k) & 1) << i for i, row in enumerate(rows))
    ones = (1 << len(rows)) - 1
    if low == high:
        return _best(low, rest)
    if low == 0:
        return _and(name, _best(high, rest))
    if high == 0:
        inverse = f"({name} ^ 1)"
        return (1, inverse) if low == ones else _binary("&", (0, f"~{name}"), _best(low, rest))
    if high == ones:
        return _binary("|", (0, name), _best(low, rest))
    if low == ones:
        return _binary("|", (1, f"({name} ^ 1)"), _best(high, rest))
    if low ^ high == ones:
        return _binary("^", (0, name), _best(low, rest))
    changed = _and(name, _best(low ^ high, rest))
    unchanged = _binary("&", (0, f"~{name}"), _best(low ^ high, rest))
    return min(_binary("^", changed, _best(low, rest)), _binary("^", unchanged, _best(high, rest)))


def _and(name: str, other: _Found) -> _Found:
    """Conjunction with a name, which is the name itself if the other is 1."""
    return (0, name) if other[1] == "1" else _binary("&", (0, name), other)


def _binary(operator: str, left: _Found, right: _Found) -> _Found:
    return left[0] + right[0] + 1, f"({left[1]} {operator} {right[1]})"
