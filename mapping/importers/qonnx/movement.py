"""Operators that move elements or only look at shapes, and the pool of maxima."""

from math import prod
from typing import Any

import numpy as np

from mapping.builder import Value
from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import integer, integers, text
from mapping.importers.onnx.records import Node
from mapping.importers.qonnx.values import Array, Codes, Constant, IntArray, graph_places, image
from mapping.importers.qonnx.walk import Held, Walk
from mapping.ops import MaxPool2d, Padding

MAX_AXES = 8


def identity(walk: Walk, node: Node) -> Held:
    """Import Identity, or Dropout, which does nothing in inference."""
    return walk.held(node)


def shape_of(walk: Walk, node: Node) -> Constant:
    """Compute Shape: all shapes are known."""
    return Constant(np.array(_array(walk.held(node)).shape, np.int64))


def gather(walk: Walk, node: Node) -> Constant:
    """Compute Gather of a constant, as for a part of a shape."""
    values, indices = walk.constant(node, 0).values, walk.constant(node, 1).values
    axis = integer(node, "axis", 0)
    if indices.dtype.kind not in "iu" or not -values.ndim <= axis < values.ndim:
        raise RefusedError("its axis and indices must be integers within its input's axes")
    extent = values.shape[axis]
    if indices.size and not (-extent <= indices.min() and indices.max() < extent):
        raise RefusedError(f"its indices must be {-extent}..{extent - 1}")
    walk.spend((*values.shape[:axis], *indices.shape, *values.shape[axis:][1:]))
    return Constant(np.take(values, indices, axis))


def cast(walk: Walk, node: Node) -> Held:
    """Import Cast, which changes nothing but constants."""
    held = walk.held(node)
    kinds: dict[int, type[Any]] = {1: np.float32, 6: np.int32, 7: np.int64}
    to = integer(node, "to", 0)
    if to not in kinds:
        raise RefusedError(f"it must cast to float32, int32 or int64, not type {to}")
    if isinstance(held, Constant):
        if held.values.dtype.kind == "f" and not np.all(np.abs(held.values) < 2**31):
            raise RefusedError("its constant leaves the range of integers")
        return Constant(held.values.astype(kinds[to]), held.levels, held.scale)
    if to != 1:
        raise RefusedError("computed values are float32; casting them is not supported")
    return held


def concat(walk: Walk, node: Node) -> Held:
    """Import Concat: of constants, or of activations along their channels."""
    held = [walk.held(node, position) for position in range(len(node.inputs))]
    axis = integer(node, "axis", 0)
    constants = [each for each in held if isinstance(each, Constant)]
    if len(constants) == len(held):
        walk.spend((sum(each.values.size for each in constants),))
        return Constant(np.concatenate([each.values for each in constants], axis))
    parts = [walk.codes(node, position) for position in range(len(held))]
    first, ndim = parts[0], parts[0].places.ndim
    if axis not in (1, 1 - ndim) or ndim not in (2, 4):
        raise RefusedError(f"activations are joined along their channels, axis 1, not {axis}")
    for part in parts[1:]:
        if (part.element, part.step, part.centre) != (first.element, first.step, first.centre):
            raise RefusedError("its inputs must have one scale, zero point and bit width")
    values = [image(part) if ndim == 4 else _vector(part) for part in parts]
    if len({value.type.shape[:-1] for value in values}) > 1:
        raise RefusedError("its inputs must be alike but for their channels")
    joined = values[0].concat(*values[1:], name=node.label) if len(values) > 1 else values[0]
    low, high = min(part.low for part in parts), max(part.high for part in parts)
    places = graph_places(joined.type.shape)
    return Codes(joined, places, first.step, first.centre, low, high)


def _vector(codes: Codes) -> Value:
    if not np.array_equal(codes.places.ravel(), np.arange(codes.places.size)):
        raise RefusedError("its input's elements were moved in a way that no address can follow")
    return codes.value if len(codes.value.type.shape) == 1 else codes.value.flatten()


def reshape(walk: Walk, node: Node) -> Held:
    """Import Reshape."""
    held, wanted = walk.held(node), _indices(walk, node, 1)
    given = _array(held).shape
    if integer(node, "allowzero", 0):
        raise RefusedError("its allowzero must be 0")
    if len(wanted) > MAX_AXES or any(
        extent == 0 and axis >= len(given) for axis, extent in enumerate(wanted)
    ):
        raise RefusedError(f"its shape {wanted} is not one that {given} can have")
    shape = tuple(given[axis] if extent == 0 else extent for axis, extent in enumerate(wanted))
    known = prod(extent for extent in shape if extent != -1)
    size = prod(given)
    if (
        min(shape, default=1) < -1
        or shape.count(-1) > 1
        or known < 1
        or (size % known if -1 in shape else size != known)
    ):
        raise RefusedError(f"its shape {wanted} is not one that {given} can have")
    return held.moved(lambda array: array.reshape(shape))


def flatten(walk: Walk, node: Node) -> Held:
    """Import Flatten."""
    held = walk.held(node)
    ndim, axis = _array(held).ndim, integer(node, "axis", 1)
    if not -ndim <= axis <= ndim:
        raise RefusedError(f"its axis must be {-ndim}..{ndim}, not {axis}")
    head = prod(_array(held).shape[:axis])
    return held.moved(lambda array: array.reshape(head, -1))


def transpose(walk: Walk, node: Node) -> Held:
    """Import Transpose."""
    held = walk.held(node)
    ndim = _array(held).ndim
    order = integers(node, "perm", tuple(reversed(range(ndim))))
    if sorted(order) != list(range(ndim)):
        raise RefusedError(f"its perm must order the axes 0..{ndim - 1}, not be {order}")
    return held.moved(lambda array: array.transpose(order))


def squeeze(walk: Walk, node: Node) -> Held:
    """Import Squeeze."""
    held = walk.held(node)
    shape = _array(held).shape
    ones = tuple(axis for axis, extent in enumerate(shape) if extent == 1)
    axes = _axes(walk, node, len(shape)) or ones
    if not set(axes) <= set(ones):
        raise RefusedError(f"it removes axes {axes} of {shape}, which are not all 1")
    return held.moved(lambda array: array.squeeze(axes))


def unsqueeze(walk: Walk, node: Node) -> Held:
    """Import Unsqueeze."""
    held = walk.held(node)
    named = _indices(walk, node, 1) if len(node.inputs) > 1 else integers(node, "axes", ())
    ndim = _array(held).ndim + len(named)
    if ndim > MAX_AXES:
        raise RefusedError(f"its result must have at most {MAX_AXES} axes, not {ndim}")
    axes = _axes(walk, node, ndim)
    return held.moved(lambda array: np.expand_dims(array, axes))


def max_pool(walk: Walk, node: Node) -> Codes:
    """Import MaxPool of quantized activations."""
    codes = walk.codes(node)
    kernel, strides = integers(node, "kernel_shape", ()), integers(node, "strides", (1, 1))
    pads, dilations = integers(node, "pads", (0,) * 4), integers(node, "dilations", (1, 1))
    if (len(kernel), len(strides), len(pads)) != (2, 2, 4):
        raise RefusedError("its kernel_shape and strides must have 2 axes, its pads 4 sides")
    if any(step != 1 for step in dilations) or integer(node, "ceil_mode", 0):
        raise RefusedError("its dilations must be 1 and its ceil_mode 0")
    if text(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise RefusedError("its padding must be given as pads, not as auto_pad")
    if len(node.outputs) > 1 and any(node.outputs[1:]):
        raise RefusedError("its second output, the indices, is not supported")
    top, left, bottom, right = pads
    value = walk.builder.append(
        MaxPool2d(
            inputs=(image(codes).node_id,), kernel=(kernel[0], kernel[1]),
            stride=(strides[0], strides[1]), pad=Padding(top, bottom, left, right),
            name=node.label,
        )
    )  # fmt: skip
    places = graph_places(value.type.shape)
    return Codes(value, places, codes.step, codes.centre, codes.low, codes.high)


def _array(held: Held) -> Array | IntArray:
    """The array that has the shape of a value."""
    return held.values if isinstance(held, Constant) else held.places


def _indices(walk: Walk, node: Node, position: int) -> tuple[int, ...]:
    """A constant list of integers."""
    values = walk.constant(node, position).values
    if values.dtype.kind not in "iu" or values.ndim > 1 or values.size > MAX_AXES:
        raise RefusedError(f"input {position} must be a list of at most {MAX_AXES} integers")
    return tuple(map(int, values.reshape(-1)))


def _axes(walk: Walk, node: Node, ndim: int) -> tuple[int, ...]:
    """Axes from the attribute of older opsets or the input of newer ones, none negative."""
    named = _indices(walk, node, 1) if len(node.inputs) > 1 else integers(node, "axes", ())
    axes = tuple(axis + ndim if axis < 0 else axis for axis in named)
    if len(set(axes)) < len(axes) or not all(0 <= axis < ndim for axis in axes):
        raise RefusedError(f"its axes must be different ones of {ndim}, not {named}")
    return axes
