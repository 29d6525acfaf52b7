"""MatMul, Gemm, Conv, the average pools and Add of two activations: what becomes accumulators."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mapping.builder import Value
from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import integer, integers, number, text
from mapping.importers.onnx.records import Node
from mapping.importers.qonnx.values import (
    Array,
    Codes,
    Constant,
    IntArray,
    Sums,
    graph_places,
    image,
)
from mapping.importers.qonnx.walk import Walk
from mapping.ops import Conv2d, MatMul, Padding, Weighted
from mapping.ops.weighted import MAX_WEIGHT_BITS

MAX_WEIGHT = (1 << MAX_WEIGHT_BITS - 1) - 1
EXACT_SUM = 1 << 23
"""Float32 adds without rounding up to 2**24; sums may be odd halves of a step."""

Make = Callable[[Array, Array, int], Weighted]
"""Makes a layer of given weights, biases and width of the weights."""


def matmul(walk: Walk, node: Node) -> Sums:
    """Import MatMul of activations and constant weights."""
    return _matmul(walk, node, walk.constant(node, 1))


def gemm(walk: Walk, node: Node) -> Sums:
    """Import Gemm; its third input is added to the sums in float32."""
    if number(node, "alpha", 1.0) != 1.0 or number(node, "beta", 1.0) != 1.0:
        raise RefusedError("its alpha and beta must be 1")
    if integer(node, "transA", 0):
        raise RefusedError("its transA must be 0")
    weights = walk.constant(node, 1)
    is_transposed = bool(integer(node, "transB", 0))
    sums = _matmul(walk, node, weights.moved(np.transpose) if is_transposed else weights)
    return _biased(walk, node, sums)


def _biased(walk: Walk, node: Node, sums: Sums, axes: int = 0) -> Sums:
    """Sums plus the third input, if there is one, which has so many axes behind its channels."""
    if len(node.inputs) < 3 or not node.inputs[2]:
        return sums
    bias = walk.reals(node, 2)
    return sums.then("add", bias.reshape((*bias.shape, *[1] * axes)))


def _matmul(walk: Walk, node: Node, constant: Constant) -> Sums:
    codes = walk.codes(node)
    weights, scale = integer_weights(constant)
    if weights.ndim != 2 or weights.shape[0] != codes.places.shape[-1]:
        raise RefusedError(
            f"its weights must be a matrix of {codes.places.shape[-1]} rows, not {weights.shape}"
        )
    rows = codes.places.reshape(-1, len(weights))
    if len(rows) == 1:  # a vector in any order: the weights follow it
        ordered = np.empty_like(weights)
        ordered[rows[0]] = weights
        weights, value = ordered, _reshaped(codes.value, (len(weights),))
        count = int(weights.shape[1])
    elif np.array_equal(rows.ravel(), np.arange(rows.size)):
        value = _reshaped(codes.value, (1, *rows.shape))
        count = int(len(rows) * weights.shape[1])
    else:
        raise RefusedError("its input's elements were moved in a way that no address can follow")

    def make(kernel: Array, bias: Array, bits: int) -> MatMul:
        return MatMul(
            inputs=(value.node_id,), weights=kernel, bias=bias, weight_bits=bits, name=node.label
        )

    out_shape = (*codes.places.shape[:-1], weights.shape[1])
    places = np.arange(count).reshape(out_shape)
    return _sums(walk, codes, weights, _per_output(scale, 1), make, places)


def conv(walk: Walk, node: Node) -> Sums:
    """Import Conv of an image and constant weights."""
    codes, constant = walk.codes(node), walk.constant(node, 1)
    if constant.values.ndim != 4:
        raise RefusedError(f"its weights must have 4 axes, not {constant.values.ndim}")
    if text(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise RefusedError("its padding must be given as pads, not as auto_pad")
    top, left, bottom, right = _exactly(4, node, "pads", 0)
    pad, is_padded = Padding(top, bottom, left, right), any((top, left, bottom, right))
    if is_padded and codes.offset:
        raise RefusedError(
            f"it pads with 0, which its input cannot hold: its levels are {codes.step:g} * "
            f"(q - {codes.centre:g}): use a quantizer that has 0 among its levels"
        )
    weights, scale = integer_weights(constant)
    value, groups = image(codes), integer(node, "group", 1)

    def make(kernel: Array, bias: Array, bits: int) -> Conv2d:
        return Conv2d(
            inputs=(value.node_id,), weights=kernel, bias=bias, weight_bits=bits, name=node.label,
            stride=_pair(node, "strides"), dilation=_pair(node, "dilations"), pad=pad,
            groups=groups,
        )  # fmt: skip

    kernel = weights.transpose(2, 3, 1, 0)
    places = graph_places(_shape(make, kernel, value))
    sums = _sums(walk, codes, kernel, _per_output(scale, 0), make, places, is_padded)
    return _biased(walk, node, replace(sums, can_repeat=groups == 1), axes=2)


def average_pool(walk: Walk, node: Node) -> Sums:
    """Import AveragePool: sums of each channel by itself, then a division in float32."""
    codes = walk.codes(node)
    if text(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID") or any(
        integers(node, "pads", ())
    ):
        raise RefusedError("padding of an average is not supported: pool without a border")
    if integer(node, "ceil_mode", 0):
        raise RefusedError("its ceil_mode must be 0")
    kernel = integers(node, "kernel_shape", ())
    if len(kernel) != 2:
        raise RefusedError(f"its kernel_shape must have 2 axes, not {len(kernel)}")
    return _average(walk, node, codes, (kernel[0], kernel[1]), _pair(node, "strides"))


def global_average_pool(walk: Walk, node: Node) -> Sums:
    """Import GlobalAveragePool."""
    codes = walk.codes(node)
    height, width, _ = image(codes).type.shape
    return _average(walk, node, codes, (height, width), (1, 1))


def _average(
    walk: Walk, node: Node, codes: Codes, kernel: tuple[int, int], stride: tuple[int, int]
) -> Sums:
    value = image(codes)
    height, width, channels = value.type.shape
    if not (0 < kernel[0] <= height and 0 < kernel[1] <= width):
        raise RefusedError(f"its window of {kernel[0]}x{kernel[1]} exceeds the image")

    def make(weights: Array, bias: Array, bits: int) -> Conv2d:
        return Conv2d(
            inputs=(value.node_id,), weights=weights, bias=bias, weight_bits=bits,
            stride=stride, groups=channels, name=node.label,
        )  # fmt: skip

    ones = np.ones((*kernel, 1, channels), np.int64)
    places = graph_places(_shape(make, ones, value))
    sums = _sums(walk, codes, ones, np.ones(channels), make, places)
    sums = replace(sums, can_repeat=channels == 1)
    return sums.then("divide", np.full((), kernel[0] * kernel[1], np.float32))


def _sums(
    walk: Walk,
    codes: Codes,
    weights: IntArray,
    scale: NDArray[np.float64],
    make: Make,
    places: IntArray,
    is_padded: bool = False,
) -> Sums:
    """Sums of a layer whose outputs are on the weights' last axis."""
    inner = tuple(range(weights.ndim - 1))
    total = weights.sum(axis=inner)
    positive, negative = (
        part.sum(axis=inner) for part in (np.maximum(weights, 0), np.minimum(weights, 0))
    )
    least, most = (bound - codes.element.zero_point for bound in (codes.low, codes.high))
    if is_padded:
        least, most = min(least, 0), max(most, 0)
    trial = _layer(make, weights)
    offset = codes.offset * total
    magnitude = np.abs(weights).sum(axis=inner) * (max(-least, most) + abs(codes.offset))
    if not _is_power_of_two(np.append(scale, codes.step)) or magnitude.max() >= EXACT_SUM:
        walk.rounded.append(trial.name)

    def emit(gain: IntArray, bias: IntArray, copies: int) -> Value:
        return walk.builder.append(_layer(make, np.tile(weights, copies) * gain, bias))

    return Sums(
        emit=emit, can_repeat=True, max_gain=MAX_WEIGHT // max(int(np.abs(weights).max()), 1),
        low=positive * least + negative * most, high=positive * most + negative * least,
        factor=scale * codes.step, offset=offset, places=places, name=trial.name,
    )  # fmt: skip


def add(walk: Walk, left: Codes, right: Codes, name: str) -> Sums:
    """Sum of two activations of one shape; one's step has to be a multiple of the other's."""
    if not np.array_equal(left.places, right.places) or left.value.type.shape != (
        right.value.type.shape
    ):
        raise RefusedError("its inputs must have one shape and one order of their elements")
    ratio = right.step / left.step
    first, second = (1, round(ratio)) if ratio >= 1 else (round(1 / ratio), 1)
    if left.step * second != right.step * first:
        raise RefusedError(
            f"its inputs' scales are {left.step:g} and {right.step:g}: quantize both with one "
            "scale, or with one a multiple of the other"
        )
    step, channels = left.step / first, left.value.type.channels
    bounds = [
        (weight * (codes.low - codes.element.zero_point),
         weight * (codes.high - codes.element.zero_point))
        for weight, codes in ((first, left), (second, right))
    ]  # fmt: skip

    def emit(gain: IntArray, bias: IntArray, copies: int) -> Value:
        del copies  # never more than one
        if np.any(gain != gain[0]) or np.any(bias):
            raise RefusedError(
                "the result of an Add must be quantized to at most 4 bits, or without a bias and "
                "with one scale for all channels"
            )
        weights = (int(gain[0]) * first, int(gain[0]) * second)
        return left.value.add(right.value, weights, name=name)

    ends = [np.full(channels, sum(bound)) for bound in zip(*bounds, strict=True)]
    if not _is_power_of_two(np.array([step])):
        walk.rounded.append(name)
    return Sums(
        emit=emit, can_repeat=False, max_gain=MAX_WEIGHT // max(first, second),
        low=ends[0], high=ends[1], factor=np.full(channels, step),
        offset=np.full(channels, first * left.offset + second * right.offset),
        places=left.places, name=name,
    )  # fmt: skip


def integer_weights(constant: Constant) -> tuple[IntArray, NDArray[np.float32]]:
    """Integers of weights and the scale of each; integers that are given as such have scale 1."""
    levels, scale = constant.levels, constant.scale
    if levels is None or scale is None:
        values = constant.values
        if values.dtype != np.float32 or np.any(values != np.rint(values)):
            raise RefusedError(
                "its weights are real numbers: quantize them (Quant or BipolarQuant before it)"
            )
        levels, scale = np.clip(values, -1e9, 1e9).astype(np.int64), np.ones_like(values)
    if levels.size == 0 or np.abs(levels).max() > MAX_WEIGHT:
        raise RefusedError(f"its weights must have 1..{MAX_WEIGHT_BITS} bits")
    return levels, scale


def _per_output(scale: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    """One scale for each output, which is an axis of the weights."""
    rows = np.moveaxis(scale, axis, -1).reshape(-1, scale.shape[axis])
    if np.any(rows != rows[0]):
        raise RefusedError("its weights' scale differs within an output channel")
    return rows[0].astype(np.float64)


def _layer(make: Make, weights: IntArray, bias: IntArray | None = None) -> Weighted:
    """A layer with weights as wide as they need."""
    low, high = min(int(weights.min()), 0), max(int(weights.max()), 0)
    bits = 1 + max(high.bit_length(), (~low).bit_length())
    zeros = np.zeros(weights.shape[-1], np.int64)
    return make(weights, zeros if bias is None else bias, min(bits, MAX_WEIGHT_BITS))


def _shape(make: Make, weights: IntArray, value: Value) -> tuple[int, ...]:
    return _layer(make, weights).output_type((value.type,)).shape


def _reshaped(value: Value, shape: tuple[int, ...]) -> Value:
    return value if value.type.shape == shape else value.reshape(*shape)


def _exactly(count: int, node: Node, name: str, default: int) -> tuple[int, ...]:
    """An attribute of so many integers."""
    given = integers(node, name, (default,) * count)
    if len(given) != count:
        raise RefusedError(f"its {name} must be {count} integers, not {len(given)}")
    return given


def _pair(node: Node, name: str) -> tuple[int, int]:
    down, right = _exactly(2, node, name, 1)
    return down, right


def _is_power_of_two(values: NDArray[np.float64]) -> bool:
    return bool(np.all(np.frexp(values)[0] == 0.5))
