"""QuantizeLinear, DequantizeLinear and Cast: where integers become reals, and reals integers."""

from dataclasses import replace
from typing import Final

import numpy as np

from mapping.fixed_point import IntArray
from mapping.host_ends import AffineByAxis, OutputEnd, RealSoftmax, Rounded
from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import integer
from mapping.importers.onnx.records import Array, Node
from mapping.importers.onnx.rescale import add_pairs, requantize_sums
from mapping.importers.onnx.values import (
    BITS,
    AxisGrid,
    Codes,
    Ended,
    Given,
    Grid,
    Pairs,
    Parts,
    Real,
    Steps,
    Sums,
    Thing,
    Weights,
    natural,
)
from mapping.importers.onnx.walk import Walk
from mapping.json_records import MAX_ELEMENTS as MAX_SCALES

INTEGERS: Final = ("int32", *BITS)
FLOAT: Final = 1
"""The format's number of float32."""

OUTPUT_KINDS: Final = {
    0: "uint8", 2: "uint8", 3: "int8", 21: "uint4", 22: "int4", 25: "uint2", 26: "int2",
}  # fmt: skip
"""The format's numbers of activations' types; 0 stands for none."""


def dequantize(walk: Walk, node: Node) -> Thing:
    """Import DequantizeLinear: of a constant, of activations, or as the end of an output."""
    if walk.is_constant(node, 0) or isinstance(walk.thing(node, 0), Steps):
        return _weights(walk, node)
    thing = walk.thing(node, 0)
    if walk.constant(node, 1, "float").size > 1:
        return _real_by_axis(walk, node, thing)
    grid = _grid(walk, node)
    if isinstance(thing, Ended):
        return _real_end(thing, grid)
    codes = walk.codes(node, 0, grid)
    return Real(codes, grid.reals(), grid)


def _grid(walk: Walk, node: Node) -> Grid:
    if walk.has(node, 2):
        return walk.grid(node, 1)
    # Without a zero point, the type is that of what is dequantized.
    return Grid(walk.grid(node, 1).scale, 0, walk.kind(node, 0))


def _real_by_axis(walk: Walk, node: Node, thing: Thing) -> Ended:
    """An output that the host makes real with several scales."""
    if not isinstance(thing, Given | Codes):
        raise RefusedError("only activations are made real with several scales")
    grid = _axis_grid(walk, node, thing.index.shape, walk.kind(node, 0))
    if isinstance(thing, Given):
        thing = walk.add_input(thing, node.inputs[0], grid, is_real=False)
    return Ended(thing, OutputEnd(by_axis=grid.affine))


def _axis_grid(walk: Walk, node: Node, shape: tuple[int, ...], kind: str) -> AxisGrid:
    """Scales and zero points along an axis, or of blocks along it, of a tensor of that shape."""
    scales, zeros = walk.scales(node, 1), np.zeros(1, np.int64)
    if walk.has(node, 2):
        found = walk.constant_of(node, 2, *BITS)
        zeros, kind = found.values.astype(np.int64).ravel(), found.kind
    axis, block = _axis(integer(node, "axis", 1), len(shape)), integer(node, "block_size", 0)
    if block:
        wanted = (*shape[:axis], -(-shape[axis] // max(block, 1)), *shape[axis + 1 :])
        given = walk.constant(node, 1, "float").shape
    else:
        wanted = tuple(extent if i == axis else 1 for i, extent in enumerate(shape))
        given = wanted if scales.size == shape[axis] else scales.shape
    if given != wanted or block < 0 or zeros.size not in (1, scales.size):
        raise RefusedError(f"its scales and zero points must have the shape {wanted}, not {given}")
    if scales.size > MAX_SCALES:
        raise RefusedError(f"activations must have at most {MAX_SCALES:,} scales")
    is_batch = len(shape) > 1 and shape[0] == 1
    inner = axis - is_batch
    if inner < 0:  # blocks of the batch, which is one
        inner, block = 0, 1
    zero_points = np.broadcast_to(zeros, scales.shape)
    affine = AffineByAxis(
        tuple(map(float, scales)), tuple(map(int, zero_points)), wanted[is_batch:],
        inner, max(block, 1),
    )  # fmt: skip
    return AxisGrid(affine, kind)


def _real_end(ended: Ended, grid: Grid) -> Ended:
    if ended.grid != grid:
        raise RefusedError("a softmax may only be followed by a quantization and its inverse")
    assert ended.end.probabilities is not None  # nothing else ends in a grid
    rounded = ended.end.probabilities.rounded
    assert rounded is not None  # it has a grid
    return _ended(ended, replace(rounded, is_real=True), None)


def _weights(walk: Walk, node: Node) -> Weights:
    """Dequantized constants: their values less the zero points, and their scales."""
    if integer(node, "block_size", 0):
        raise RefusedError("blocks with a scale each are not supported")
    thing = None if walk.is_constant(node, 0) else walk.thing(node, 0)
    if isinstance(thing, Steps):
        values = thing.values
    else:
        values = walk.constant(node, 0, *INTEGERS).astype(np.int64)
    scales, zeros = walk.scales(node, 1), np.zeros(1, np.int64)
    if walk.has(node, 2):
        zeros = walk.constant(node, 2, *INTEGERS).astype(np.int64).ravel()
    axis = _axis(integer(node, "axis", 1), values.ndim) if scales.size > 1 else 0
    return centred(values, zeros, scales, axis)


def centred(values: Array, zeros: Array, scales: Array, axis: int) -> Weights:
    """Weights of integers, zero points and scales."""
    _along(scales, axis, values)
    offsets = _along(zeros, axis, values).astype(np.int64)
    return Weights(values.astype(np.int64) - offsets, scales.astype(np.float32), axis)


def _along(numbers: Array, axis: int, values: Array) -> Array:
    """One number, or one per index of an axis, in a shape that fits the values."""
    count = values.shape[axis] if values.ndim else 1
    if numbers.size not in (1, count):
        raise RefusedError(f"its constant must have 1 or {count} scales and zero points, "
                           f"not {numbers.size}")  # fmt: skip
    shape = [1] * values.ndim
    if numbers.size > 1:
        shape[axis] = -1
    return numbers.reshape(shape)


def _axis(axis: int, axes: int) -> int:
    if not -axes <= axis < axes:
        raise RefusedError(f"its axis must be within the {axes} axes of its input, not {axis}")
    return axis % axes


def quantize(walk: Walk, node: Node) -> Thing:
    """Import QuantizeLinear: the reals before it become activations on its grid."""
    if walk.is_constant(node, 0):
        return _quantized_constant(walk, node)
    thing = walk.thing(node, 0)
    if walk.constant(node, 1, "float").size > 1:
        return _quantized_by_axis(walk, node, thing)
    grid = walk.grid(node, 1)
    if not walk.has(node, 2):
        grid = grid._replace(kind=_output_kind(node))
    match thing:
        case Given():
            return walk.add_input(thing, node.inputs[0], grid, is_real=True)
        case Real():
            return quantize_real(walk, node, thing, grid)
        case Pairs():
            return add_pairs(walk, node, thing, grid)
        case Parts():
            return _joined(walk, node, thing, grid)
        case Sums():
            return requantize_sums(walk, node, thing, grid)
        case Ended():
            return _quantized_end(thing, grid)
        case Codes() | Weights() | Steps():
            raise RefusedError("its input is quantized already")


def _quantized_by_axis(walk: Walk, node: Node, thing: Thing) -> Codes:
    """An input that the host quantizes with several scales."""
    if not isinstance(thing, Given) or not np.array_equal(thing.index, natural(thing.index.shape)):
        raise RefusedError("activations must have one scale; only inputs and outputs have several")
    grid = _axis_grid(walk, node, thing.index.shape, _output_kind(node))
    return walk.add_input(thing, node.inputs[0], grid, is_real=True)


def quantize_real(walk: Walk, node: Node, real: Real, grid: Grid) -> Codes:
    """Activations of a function: nothing to do, a clamp, or a table."""
    value, element, label = real.codes.value, grid.element, node.label
    table = grid.quantize(real.table)
    if np.any(grid.quantize(real.table - real.error) != grid.quantize(real.table + real.error)):
        walk.doubt(node, "float32 may give one step more or less of a function next to ties")
    low, high = grid.bounds
    if value.type.element == element:
        steps = np.arange(low, high + 1)
        bottom, top = int(table.min()), int(table.max())
        if np.array_equal(table, steps):
            return real.codes
        if np.array_equal(table, np.clip(steps, bottom, top)):
            return Codes(value.clamp(bottom, top, name=label), real.codes.index)
    return Codes(value.lut(table, element, name=label), real.codes.index)


def _joined(walk: Walk, node: Node, parts: Parts, grid: Grid) -> Codes:
    """Every part is quantized by itself; joined are integers of one grid."""
    return join([quantize_real(walk, node, part, grid) for part in parts.parts], parts.axis, node)


def join(parts: list[Codes], axis: int, node: Node) -> Codes:
    """Activations joined along the axis that are the graph's channels."""
    # Joined along the last axis of the graph: each part's positions, as pixel and channel.
    channels = [part.value.type.channels for part in parts]
    starts = np.cumsum([0, *channels])
    pieces: list[IntArray] = []
    for part, width, start in zip(parts, channels, starts[:-1], strict=True):
        pixel, channel = np.divmod(part.index, width)
        pieces.append(pixel * starts[-1] + channel + start)
    shapes = {part.value.type.shape[:-1] for part in parts}
    if len(shapes) > 1:
        raise RefusedError(f"joins axis {axis}: only channels, or features of vectors, are joined")
    index = np.concatenate(pieces, axis)
    first, *others = (part.value for part in parts)
    return Codes(first.concat(*others, name=node.label) if others else first, index)


def _quantized_end(ended: Ended, grid: Grid) -> Ended:
    if ended.end.probabilities is None or ended.grid is not None:
        raise RefusedError("only a softmax at the end may be quantized behind a float operator")
    low, high = grid.bounds
    return _ended(ended, Rounded(grid.affine, low, high), grid)


def _ended(ended: Ended, rounded: Rounded, grid: Grid | None) -> Ended:
    """The same end with its softmax rounded."""
    end = replace(ended.end, probabilities=RealSoftmax(rounded))
    return Ended(ended.codes, end, grid)


def _quantized_constant(walk: Walk, node: Node) -> Steps:
    """Integers of a real constant, as they are kept until they are dequantized again."""
    values, scales = walk.constant(node, 0, "float"), walk.scales(node, 1)
    zeros, kind = np.zeros(1, np.int64), _output_kind(node)
    if walk.has(node, 2):
        found = walk.constant_of(node, 2, *BITS)
        zeros, kind = found.values.astype(np.int64).ravel(), found.kind
    axis = _axis(integer(node, "axis", 1), values.ndim) if scales.size > 1 else 0
    low, high = Grid(1.0, 0, kind).bounds
    steps = np.rint(values / _along(scales, axis, values)) + _along(zeros, axis, values)
    return Steps(np.clip(steps, low, high).astype(np.int64))


def _output_kind(node: Node) -> str:
    """Type of a result whose zero point is left out."""
    number = integer(node, "output_dtype", 0)
    if number not in OUTPUT_KINDS:
        raise RefusedError(f"its output_dtype must be {', '.join(BITS)}, not type {number}")
    return OUTPUT_KINDS[number]


def cast(walk: Walk, node: Node) -> Thing:
    """Import Cast of accumulators to float32, which a scale follows."""
    thing = walk.thing(node, 0)
    if not isinstance(thing, Sums) or integer(node, "to", 0) != FLOAT:
        raise RefusedError("only the sums of integers are cast, to float")
    return thing
