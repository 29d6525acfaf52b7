"""Arithmetic with constants, element by element: it waits as steps until somebody quantizes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import number
from mapping.importers.onnx.records import Node
from mapping.importers.qonnx.values import Array, Codes, Constant, RealSteps, Sums, spread
from mapping.importers.qonnx.walk import Held, Walk
from mapping.importers.qonnx.weighted import add as add_codes

STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide"}
)

_FOLDS: Final[Mapping[str, Callable[[Array, Array], Array]]] = MappingProxyType(
    {
        "Add": np.add,
        "Sub": np.subtract,
        "Mul": np.multiply,
        "Div": np.divide,
        "Pow": np.power,
    }
)


def arithmetic(walk: Walk, node: Node) -> Held:
    """Import Add, Sub, Mul or Div."""
    left, right = walk.held(node, 0), walk.held(node, 1)
    if isinstance(left, Constant) and isinstance(right, Constant):
        return fold(walk, node)
    if isinstance(left, Codes) and isinstance(right, Codes) and node.op == "Add":
        return add_codes(walk, left, right, node.label)
    if isinstance(right, Constant):
        return _with_constant(left, STEPS[node.op], walk.reals(node, 1))
    if not isinstance(left, Constant):
        raise RefusedError(
            "of two computed operands only Add is supported, of activations: quantize both"
        )
    constants = walk.reals(node, 0)
    if node.op == "Div":
        raise RefusedError("dividing a constant by what is computed is not supported")
    if node.op == "Sub":  # c - x is (-x) + c, also when it rounds
        negated = _with_constant(right, "multiply", np.full((), -1, np.float32))
        return _with_constant(negated, "add", constants)
    return _with_constant(right, STEPS[node.op], constants)


def fold(walk: Walk, node: Node) -> Constant:
    """Compute Add, Sub, Mul, Div or Pow of two constants."""
    left, right = (walk.constant(node, position).values for position in range(2))
    allowed = ("float32",) if node.op in ("Div", "Pow") else ("float32", "int64")
    if left.dtype != right.dtype or str(left.dtype) not in allowed:
        raise RefusedError(
            f"its constants must both be {' or '.join(allowed)}, not {left.dtype} and {right.dtype}"
        )
    try:
        walk.spend(np.broadcast_shapes(left.shape, right.shape))
    except ValueError:
        raise RefusedError(
            f"its constants' shapes {left.shape} and {right.shape} do not fit together"
        ) from None
    with np.errstate(all="ignore"):
        return Constant(np.asarray(_FOLDS[node.op](left, right)))


def square_root(walk: Walk, node: Node) -> Constant:
    """Compute Sqrt of a constant."""
    values = walk.reals(node, 0)
    with np.errstate(invalid="ignore"):
        return Constant(np.sqrt(values))


def batch_normalization(walk: Walk, node: Node) -> Held:
    """Import BatchNormalization as the two float32 steps that ONNX Runtime makes of it."""
    gain, bias, mean, variance = (walk.reals(node, position) for position in range(1, 5))
    if not gain.ndim == 1 or len({each.shape for each in (gain, bias, mean, variance)}) > 1:
        raise RefusedError("its scale, bias, mean and variance must be vectors of one length")
    if len(node.outputs) > 1 and any(node.outputs[1:]):
        raise RefusedError("it is exported for training: export the model for inference")
    with np.errstate(all="ignore"):
        inverse = np.float32(1) / np.sqrt(variance + np.float32(number(node, "epsilon", 1e-5)))
        scale = inverse * gain
        shift = bias - mean * scale
    held = walk.held(node)
    if isinstance(held, Constant):
        raise RefusedError("it normalizes a constant")
    shape = (-1, *[1] * (held.places.ndim - 2))
    scaled = _with_constant(held, "multiply", scale.reshape(shape))
    return _with_constant(scaled, "add", shift.reshape(shape))


def relu(walk: Walk, node: Node) -> Held:
    """Import Relu."""
    held = walk.held(node)
    if isinstance(held, Codes):
        return _relu_of_codes(held, node.label)
    return _with_constant(held, "maximum", np.zeros((), np.float32))


def clip(walk: Walk, node: Node) -> Held:
    """Import Clip, whose bounds are attributes in older opsets and inputs in newer ones."""
    held = walk.held(node)
    for position, (name, kind) in enumerate((("min", "maximum"), ("max", "minimum")), start=1):
        if position < len(node.inputs) and node.inputs[position]:
            bound = np.array(walk.scalar(node, position), np.float32)
        elif name in node.attributes:
            bound = np.array(number(node, name, 0.0), np.float32)
        else:
            continue
        held = _with_constant(held, kind, bound)
    return held


def _with_constant(held: Held, kind: str, constants: Array) -> Held:
    """A value with one more step behind it."""
    match held:
        case Constant():
            raise RefusedError("its operands are constants")
        case RealSteps():
            step = (kind, spread(constants, held.places))
            return replace(held, steps=(*held.steps, step))
        case Sums():
            return held.then(kind, constants)
        case Codes():
            return _codes_with_constant(held, kind, constants)


def _codes_with_constant(codes: Codes, kind: str, constants: Array) -> Codes:
    """Activations with another scale or zero; their integers stay."""
    way_out = "quantize its result, or fold it into the next layer's weights"
    if not constants.size or np.any(constants != constants.flat[0]):
        raise RefusedError(
            f"behind a quantizer only one constant for all channels is supported: {way_out}"
        )
    spread(constants, codes.places)  # refuses what would make the tensor larger
    constant = float(constants.flat[0])
    match kind:
        case "add":
            result = replace(codes, centre=codes.centre - constant / codes.step)
        case "subtract":
            result = replace(codes, centre=codes.centre + constant / codes.step)
        case "multiply" if constant > 0:
            result = replace(codes, step=codes.step * constant)
        case "divide" if constant > 0:
            result = replace(codes, step=codes.step / constant)
        case _:
            raise RefusedError(f"behind a quantizer a step to {kind} is not supported: {way_out}")
    if not (2.0**-60 <= result.step <= 2.0**60 and abs(result.centre) < 2.0**24):
        raise RefusedError(
            f"its result would have a scale of {result.step:g} and a zero of {result.centre:g}, "
            f"beyond what float32 adds: {way_out}"
        )
    return result


def _relu_of_codes(codes: Codes, name: str) -> Codes:
    """A clamp at the integer of zero."""
    zero = codes.centre
    if zero != int(zero) or not codes.low <= zero <= codes.high:
        raise RefusedError("its input holds no zero to clamp at: put Relu before the quantizer")
    value = codes.value.clamp(int(zero), codes.high, name=name)
    return replace(codes, value=value, low=int(zero))
