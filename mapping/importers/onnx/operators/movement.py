"""Operators that move nothing: they only say where each element lies."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mapping.fixed_point import IntArray
from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import integer, integers, text
from mapping.importers.onnx.operators.windows import image, image_index
from mapping.importers.onnx.records import Node
from mapping.importers.onnx.values import Codes, Given, Real, Sums, Thing, Weights
from mapping.importers.onnx.walk import Walk

Order = Callable[[IntArray], IntArray]


def _moved(walk: Walk, node: Node, order: Order) -> Thing:
    thing = walk.thing(node, 0)
    match thing:
        case Given() | Codes() | Sums():
            return replace(thing, index=_ordered(walk, order, thing.index))
        case Real():
            codes = replace(thing.codes, index=_ordered(walk, order, thing.codes.index))
            return replace(thing, codes=codes)
        case _:
            raise RefusedError("its input must be activations, quantized or dequantized")


def _ordered(walk: Walk, order: Order, index: IntArray) -> IntArray:
    walk.spend(index.size)
    try:
        return order(index)
    except ValueError as error:
        raise RefusedError(f"its input of shape {index.shape} does not fit ({error})") from None


def identity(walk: Walk, node: Node) -> Thing:
    """Import Identity and Dropout, which does nothing in inference."""
    if walk.is_constant(node, 0):
        raise RefusedError("copies of constants are not supported: simplify the model")
    return walk.thing(node, 0)


def flatten(walk: Walk, node: Node) -> Thing:
    """Import Flatten."""
    axis = integer(node, "axis", 1)

    def order(index: IntArray) -> IntArray:
        if not -index.ndim <= axis <= index.ndim:
            raise ValueError(f"axis {axis}")
        split = axis + index.ndim if axis < 0 else axis
        return index.reshape(int(np.prod(index.shape[:split])), -1)

    return _moved(walk, node, order)


def reshape(walk: Walk, node: Node) -> Thing:
    """Import Reshape to a constant shape; a 0 keeps an axis unless ``allowzero``."""
    wanted = [int(extent) for extent in walk.constant(node, 1, "int64").ravel()]
    keeps = not integer(node, "allowzero", 0)
    if len(wanted) > 8:
        raise RefusedError(f"its shape must have at most 8 axes, not {len(wanted)}")

    def order(index: IntArray) -> IntArray:
        shape = [
            index.shape[axis] if keeps and extent == 0 and axis < index.ndim else extent
            for axis, extent in enumerate(wanted)
        ]
        # The model was written for any batch; here it is one.
        return index.reshape(shape)

    return _moved(walk, node, order)


def transpose(walk: Walk, node: Node) -> Thing:
    """Import Transpose, of activations or of weights."""
    perm = integers(node, "perm", None)
    weights = None if walk.is_constant(node, 0) else walk.thing(node, 0)
    if not isinstance(weights, Weights):
        return _moved(walk, node, lambda index: index.transpose(perm))
    axes = tuple(reversed(range(weights.values.ndim))) if perm is None else perm
    if sorted(axes) != list(range(weights.values.ndim)):
        raise RefusedError(f"its perm must be an order of the axes, not {axes!s:.40}")
    return Weights(weights.values.transpose(axes), weights.scales, axes.index(weights.axis))


def squeeze(walk: Walk, node: Node) -> Thing:
    """Import Squeeze; its axes are an attribute, or an input since opset 13."""
    axes = _axes(walk, node)
    return _moved(walk, node, lambda index: index.squeeze(axes))


def unsqueeze(walk: Walk, node: Node) -> Thing:
    """Import Unsqueeze; its axes are an attribute, or an input since opset 13."""
    axes = _axes(walk, node)
    if axes is None or len(axes) > 8:
        raise RefusedError("it must have one to eight axes")
    return _moved(walk, node, lambda index: np.expand_dims(index, axes))


def _axes(walk: Walk, node: Node) -> tuple[int, ...] | None:
    if walk.has(node, 1):
        return tuple(int(axis) for axis in walk.constant(node, 1, "int64").ravel())
    return integers(node, "axes", None)


def pad(walk: Walk, node: Node) -> Thing:
    """Import Pad of an image with zeros; its pads are an attribute, or an input since opset 11."""
    if text(node, "mode", "constant") != "constant":
        raise RefusedError("only padding with a constant is supported")
    thing = walk.thing(node, 0)
    if not isinstance(thing, Codes | Real):
        raise RefusedError("its input must be activations, quantized or dequantized")
    codes = thing.codes if isinstance(thing, Real) else thing
    _check_fill(walk, node, thing)
    pads = integers(node, "pads", None)
    if walk.has(node, 1):
        pads = tuple(int(length) for length in walk.constant(node, 1, "int64").ravel())
    if walk.has(node, 3):
        raise RefusedError("padding of chosen axes is not supported: pad all of them")
    axes = codes.index.ndim
    if pads is None or len(pads) != 2 * axes or min(pads) < 0:
        raise RefusedError(f"its pads {pads!s:.60} must be {2 * axes}, none negative")
    starts, ends = pads[:axes], pads[axes:]
    if any(starts[:2]) or any(ends[:2]):
        raise RefusedError(f"its pads {pads!s:.60} must be of rows and columns of an image only")
    source = image(codes)
    top, bottom = (starts[2], ends[2]) if axes == 4 else (0, 0)
    padded = source.pad(top, bottom, starts[-1], ends[-1], name=node.label)
    walk.spend(padded.type.elements)
    moved = Codes(padded, image_index(padded, codes))
    return replace(thing, codes=moved) if isinstance(thing, Real) else moved


def _check_fill(walk: Walk, node: Node, thing: Codes | Real) -> None:
    """Refuse another filling than the number zero, which is the zero point."""
    if isinstance(thing, Real) and thing.grid is None:
        raise RefusedError("its input must come straight from DequantizeLinear")
    zero = 0 if isinstance(thing, Real) else thing.element.zero_point
    kinds = ("float",) if isinstance(thing, Real) else ("int8", "uint8")
    fill = walk.constant(node, 2, *kinds).ravel() if walk.has(node, 2) else np.zeros(1)
    if fill.size != 1 or fill[0] != zero:
        raise RefusedError(f"it must fill with zeros ({zero}), not {fill.tolist()!s:.40}")
