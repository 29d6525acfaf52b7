"""What tinygrad's operations mean, one by one."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, Final

from mapping.importers.tinygrad.value import TinygradError, Value
from mapping.ops import ActType

Operation = Any  # tinygrad's UOp: it is looked at by its attributes only

NO_CLAMP: Final = "tinygrad WHERE: only a clamp, x < c or c < x choosing between x and c"
MOVEMENTS: Final = ("RESHAPE", "PERMUTE", "EXPAND", "PAD", "SHRINK", "FLIP")


def moved(operation: Operation, value: Value) -> Value:
    """Movement operation; EXPAND puts new axes before the others."""
    tensor, argument = value.tensor, operation.marg
    match operation.op.name:
        case "RESHAPE":
            result = tensor.reshape(*argument)
        case "PERMUTE":
            result = tensor.permute(*argument)
        case "EXPAND":
            new = tuple(argument)
            result = tensor.reshape(*(1 for _ in new), *tensor.shape).expand(*new, *tensor.shape)
        case "SHRINK":
            result = tensor.shrink(*((start, start + size) for start, size in argument))
        case "FLIP":
            result = tensor.flip(*(axis for axis, is_flipped in enumerate(argument) if is_flipped))
        case _:
            return _padded(value, argument)
    return replace(value, tensor=result)


def _padded(value: Value, argument: Sequence[tuple[int, int]]) -> Value:
    """Zeros around a value that 0 stands for 0 in."""
    tensor = value.tensor
    if value.offset or not (value.is_plain or value.low <= 0 <= value.high):
        raise TinygradError("tinygrad PAD: its zeros have no offset: pad before one is added")
    widths = [
        (before, size - before - extent)
        for (before, size), extent in zip(argument, tensor.shape, strict=True)
    ]
    low, high = min(value.low, 0), max(value.high, 0)
    return replace(value, tensor=tensor.pad(*widths), low=low, high=high)


def cast_to(value: Value, element: ActType | None) -> Value:
    """The same integers in another type; sums that are cast to 8 bits are quantized."""
    is_sum = not (value.is_constant or isinstance(value.tensor.element, ActType))
    is_pending = not (value.is_plain or value.is_constant)
    if element is None or not (is_sum or is_pending):
        return value
    if not element.q_min <= value.low <= value.high <= element.q_max:
        return value  # the walk refuses it
    return value.quantized(element)


def product(left: Value, right: Value) -> Value:
    """Products: one positive number is a scale, other constants are weights."""
    for value, other in ((left, right), (right, left)):
        number = other.scalar
        is_scale = number is not None and number > 0 and not value.is_constant
        if is_scale and not value.shift:
            return value.times(number or 1)
    ends = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
    return Value.of(left.exact("MUL") * right.exact("MUL"), min(ends), max(ends))


def total(left: Value, right: Value) -> Value:
    """Sums: one number is an offset."""
    for value, other in ((left, right), (right, left)):
        if other.scalar is not None and not value.is_constant:
            return value.plus(other.scalar)
    low, high = left.low + right.low, left.high + right.high
    return Value.of(left.exact("ADD") + right.exact("ADD"), low, high)


def reduced(operation: Operation, value: Value) -> Value:
    """Sum or largest value along the first axes."""
    reduction, count = operation.arg
    axes = tuple(range(count))
    if reduction.name == "ADD":
        if value.shift or value.is_clamped:
            value.exact("REDUCE")  # refuses it
        elements = prod(value.tensor.shape[:count])
        return replace(
            value, tensor=value.tensor.sum(axes), offset=value.offset * elements,
            low=value.low * elements, high=value.high * elements,
        )  # fmt: skip
    if reduction.name == "MAX" and value.is_plain and isinstance(value.tensor.element, ActType):
        return replace(value, tensor=value.tensor.max(axes))
    raise TinygradError(
        f"tinygrad REDUCE {reduction.name}: only sums, and the largest of 8-bit numbers"
    )


def divided(kind: str, value: Value, divisor: Value) -> Value:
    """Shift to the right, or division by a power of two, rounded down."""
    number = divisor.scalar
    bits = number if kind == "SHR" else (number or 0).bit_length() - 1
    is_power = number is not None and (kind == "SHR" or number == 1 << max(bits or 0, 0))
    if bits is None or bits < 0 or not is_power:
        raise TinygradError(f"tinygrad {kind}: must be by one number, a power of two")
    return value.shifted(bits)


def largest(left: Value, right: Value) -> Value:
    """The larger of a value and one number."""
    for value, other in ((left, right), (right, left)):
        if other.scalar is not None:
            return value.at_least(other.scalar)
    raise TinygradError("tinygrad MAX: only of a tensor and one number")


def chosen(operation: Operation, sources: Sequence[Value]) -> Value:
    """A comparison with one number that chooses between both: a clamp on one side."""
    condition, yes, no = operation.src
    if condition.op.name != "CMPLT":
        if sources[0].scalar is not None:
            return sources[1] if sources[0].scalar else sources[2]
        raise TinygradError(NO_CLAMP)
    first, second, then, otherwise = sources
    bound, compared = (
        (first, condition.src[1]) if first.scalar is not None else (second, condition.src[0])
    )
    number = bound.scalar
    picked, other = (then, otherwise) if yes is compared else (otherwise, then)
    if number is None or other.scalar != number or compared not in (yes, no):
        raise TinygradError(NO_CLAMP)
    is_lower = (bound is first) == (yes is compared)  # c < x ? x : c, or x < c ? c : x
    return picked.at_least(number) if is_lower else picked.at_most(number)
