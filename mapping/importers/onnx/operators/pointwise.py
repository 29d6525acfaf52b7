"""Functions of one activation, which become tables, and sums of two."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import number
from mapping.importers.onnx.operators.quantization import join
from mapping.importers.onnx.records import Node
from mapping.importers.onnx.rescale import add_codes
from mapping.importers.onnx.values import (
    Codes,
    Grid,
    Pairs,
    Parts,
    Real,
    Sums,
    Thing,
    Weights,
)
from mapping.importers.onnx.walk import Walk

CURVE_ERROR: Final = 2.0**-20
"""Beyond the error of ONNX Runtime's sigmoid and tanh, whose results are -1..1."""

Function = Callable[[NDArray[Any]], NDArray[Any]]


def relu(walk: Walk, node: Node) -> Thing:
    """Import Relu."""
    return _clipped(walk, node, 0.0, np.inf)


def clip(walk: Walk, node: Node) -> Thing:
    """Import Clip; its bounds are attributes, or inputs since opset 11."""
    bounds = [number(node, "min", -np.inf), number(node, "max", np.inf)]
    for position in (1, 2):
        if walk.has(node, position):
            found = walk.constant(node, position, "float")
            if found.size != 1:
                raise RefusedError(f"input {position} must be one number, not {found.size}")
            bounds[position - 1] = float(found.ravel()[0])
    if not bounds[0] <= bounds[1]:  # also refuses NaN
        raise RefusedError(f"its bounds must be in order, not {bounds[0]:g} and {bounds[1]:g}")
    return _clipped(walk, node, *bounds)


def _clipped(walk: Walk, node: Node, low: float, high: float) -> Thing:
    thing = walk.thing(node, 0)
    if isinstance(thing, Sums):
        bounds = np.clip([thing.low, thing.high], low, high)
        return replace(thing, low=float(bounds[0]), high=float(bounds[1]))
    return _mapped(walk, node, lambda reals: np.clip(reals, np.float32(low), np.float32(high)))


def _mapped(walk: Walk, node: Node, function: Function) -> Thing:
    """A function of what one or two activations stand for; exact where float32 computes it so."""
    thing = walk.thing(node, 0)
    if isinstance(thing, Pairs):
        return replace(thing, table=function(thing.table).astype(np.float32))
    real = walk.real(node, 0)
    if real.error:
        raise RefusedError("functions of functions must be quantized in between")
    return Real(real.codes, function(real.table).astype(np.float32))


def curve(function: Function) -> Callable[[Walk, Node], Thing]:
    """Importer of a function without attributes, given in double precision."""

    def imported(walk: Walk, node: Node) -> Thing:
        real = walk.real(node, 0)
        if real.error:
            raise RefusedError("functions of functions must be quantized in between")
        table = function(real.table.astype(np.float64)).astype(np.float32)
        return Real(real.codes, table, error=CURVE_ERROR)

    return imported


sigmoid = curve(lambda x: 1 / (1 + np.exp(-x)))
tanh = curve(np.tanh)


def hard_sigmoid(walk: Walk, node: Node) -> Thing:
    """Import HardSigmoid."""
    slope = np.float32(number(node, "alpha", 0.2))
    offset = np.float32(number(node, "beta", 0.5))
    return _mapped(walk, node, lambda x: np.clip(x * slope + offset, 0, 1))


def hard_swish(walk: Walk, node: Node) -> Thing:
    """Import HardSwish: ``x * max(0, min(1, x / 6 + 1 / 2))``."""
    slope, half = np.float32(1 / 6), np.float32(0.5)
    return _mapped(walk, node, lambda x: x * np.clip(x * slope + half, 0, 1))


def add(walk: Walk, node: Node) -> Thing:
    """Import Add of two dequantized activations, or of one and a number."""
    constant = _number(walk, node)
    if constant is not None:
        return _mapped(walk, node, lambda reals: reals + constant)
    left, right = walk.real(node, 0), walk.real(node, 1)
    if left.grid is None or right.grid is None:
        raise RefusedError("its inputs must come straight from DequantizeLinear")
    return Pairs(left, right, left.table[:, np.newaxis] + right.table)


def multiply(walk: Walk, node: Node) -> Thing:
    """Import Mul of activations, or of cast sums, with a number."""
    operands = map(walk.things.get, node.inputs)
    sums = next((each for each in operands if isinstance(each, Sums)), None)
    if sums is not None:
        constants = [position for position in range(2) if walk.is_constant(node, position)]
        if len(constants) != 1:
            raise RefusedError("sums are only multiplied with positive constants")
        scales = walk.scales(node, constants[0])
        is_plain = np.all(sums.scales == 1) and (sums.low, sums.high) == (-np.inf, np.inf)
        if scales.size not in (1, sums.acc.type.channels) or not is_plain:
            raise RefusedError("sums are only multiplied once, with one number or one per channel")
        return replace(sums, scales=scales)
    constant = _number(walk, node)
    if constant is None:
        raise RefusedError("products of two activations are not supported")
    return _mapped(walk, node, lambda reals: reals * constant)


def _number(walk: Walk, node: Node) -> np.float32 | None:
    """The one number among two inputs, dequantized or real; None if both are activations."""
    for position in range(2):
        if walk.is_constant(node, position):
            values = walk.constant(node, position, "float")
        else:
            thing = walk.thing(node, position)
            if not isinstance(thing, Weights):
                continue
            values = thing.reals()
        if values.size != 1:
            raise RefusedError(f"its constant must be one number, not {values.size}")
        if position == 0:
            raise RefusedError("its constant must be the second input")
        return np.float32(values.ravel()[0])
    return None


def concat(walk: Walk, node: Node) -> Parts:
    """Import Concat of dequantized activations; each part is quantized by itself."""
    parts = tuple(walk.real(node, position) for position in range(len(node.inputs)))
    return Parts(parts, _axis(node, parts[0].codes))


def qlinear_add(walk: Walk, node: Node) -> Codes:
    """Import QLinearAdd of ONNX Runtime's own domain."""
    left, right, result = (walk.grid(node, position) for position in (1, 4, 6))
    operands = walk.codes(node, 0, left), walk.codes(node, 3, right)
    wanted = _add_kernel(left, right, result)
    return add_codes(walk, node, operands, (left.scale, right.scale), wanted, result)


def _add_kernel(left: Grid, right: Grid, result: Grid) -> NDArray[np.int64]:
    """Every result of MLAS's QLinearAdd kernel for x86-64 with fused multiply-add."""
    by_left = np.float32(left.scale) / np.float32(result.scale)
    by_right = np.float32(right.scale) / np.float32(result.scale)
    moved = _fused(by_left, np.float32(left.zero_point), by_right * np.float32(right.zero_point))
    offset = np.float32(result.zero_point) - moved
    integers = [np.arange(grid.bounds[0], grid.bounds[1] + 1) for grid in (left, right)]
    steps = _fused(by_right, integers[1].astype(np.float32), offset)
    total = _fused(by_left, integers[0].astype(np.float32)[:, np.newaxis], steps)
    return np.clip(np.rint(total), *result.bounds).astype(np.int64)


def _fused(factor: np.float32, values: Any, addend: Any) -> Any:
    """``factor * values + addend`` with one rounding: double precision holds the product."""
    product = np.multiply(factor, values, dtype=np.float64)
    return (product + np.asarray(addend, np.float64)).astype(np.float32)


def qlinear_concat(walk: Walk, node: Node) -> Codes:
    """Import QLinearConcat of ONNX Runtime's own domain: inputs are rescaled by tables."""
    result = walk.grid(node, 0)
    if (len(node.inputs) - 2) % 3 or len(node.inputs) < 5:
        raise RefusedError("its inputs must be a grid, and then tensors with a grid each")
    parts: list[Codes] = []
    for position in range(2, len(node.inputs), 3):
        source = walk.grid(node, position + 1)
        codes = walk.codes(node, position, source)
        table = result.quantize(source.reals())
        if source != result:
            codes = Codes(codes.value.lut(table, result.element, name=node.label), codes.index)
        parts.append(codes)
    return join(parts, _axis(node, parts[0]), node)


def _axis(node: Node, codes: Codes) -> int:
    axis, axes = node.attributes.get("axis"), codes.index.ndim
    if not isinstance(axis, int) or not -axes <= axis < axes:
        raise RefusedError(f"its axis must be within its inputs' {axes} axes, not {axis!r:.20}")
    return axis % axes
