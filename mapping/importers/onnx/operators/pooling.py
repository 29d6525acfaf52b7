"""Pools: the largest activation of a window, or the mean."""

from dataclasses import replace

import numpy as np

from mapping.fixed_point import IntArray
from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import integer, integers
from mapping.importers.onnx.operators.windows import (
    Windows,
    image,
    image_index,
    image_shape,
    read_windows,
)
from mapping.importers.onnx.records import Node
from mapping.importers.onnx.rescale import float32_error, requantize_sums, requantized
from mapping.importers.onnx.values import Codes, Given, Grid, Real, Sums, Thing
from mapping.importers.onnx.walk import Walk


def max_pool(walk: Walk, node: Node) -> Thing:
    """Import MaxPool of activations, quantized or dequantized: rising functions keep the order."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise RefusedError("its second output, the places, is not supported")
    thing = walk.thing(node, 0)
    if isinstance(thing, Given):
        grid = Grid(1.0, 0, walk.kind(node, 0))
        thing = walk.add_input(thing, node.inputs[0], grid, is_real=False)
    if isinstance(thing, Real):
        if np.any(np.diff(thing.table) < 0):
            raise RefusedError("its input must rise with the activation: quantize it first")
        return replace(thing, codes=_largest(walk, node, thing.codes))
    if isinstance(thing, Codes):
        return _largest(walk, node, thing)
    raise RefusedError("its input must be activations, quantized or dequantized")


def _largest(walk: Walk, node: Node, codes: Codes) -> Codes:
    windows = read_windows(node, None, codes)
    if windows.dilation != (1, 1):
        raise RefusedError(f"its dilations must be 1, not {windows.dilation}")
    pooled = image(codes).max_pool2d(
        windows.kernel, windows.stride, pad=windows.pad, name=node.label
    )
    walk.spend(pooled.type.elements)
    return Codes(pooled, image_index(pooled, codes))


def average_pool(walk: Walk, node: Node) -> Sums:
    """Import AveragePool of dequantized activations."""
    return _sums(walk, node, walk.real(node, 0), _windows(node, walk.real(node, 0).codes))


def global_average_pool(walk: Walk, node: Node) -> Sums:
    """Import GlobalAveragePool of dequantized activations."""
    real = walk.real(node, 0)
    return _sums(walk, node, real, _whole(real.codes))


def reduce_mean(walk: Walk, node: Node) -> Sums:
    """Import ReduceMean over rows and columns of an image."""
    real = walk.real(node, 0)
    axes = integers(node, "axes", None)
    if walk.has(node, 1):
        axes = tuple(int(axis) for axis in walk.constant(node, 1, "int64").ravel())
    image_shape(real.codes)
    count = real.codes.index.ndim
    if axes is None or not all(-count <= axis < count for axis in axes):
        raise RefusedError(f"reduces {axes!s:.40}, which must be {-count}..{count - 1}")
    if sorted(axis % count for axis in axes) != list(range(2, count)):
        raise RefusedError(f"reduces {axes!s:.40}: only rows and columns together")
    sums = _sums(walk, node, real, _whole(real.codes))
    if integer(node, "keepdims", 1):
        return sums
    return replace(sums, index=sums.index.reshape(sums.index.shape[:2]))


def qlinear_average_pool(walk: Walk, node: Node) -> Codes:
    """Import QLinearAveragePool of ONNX Runtime's own domain, which adds float32."""
    _check_order(node)
    real, result = _quantized(walk, node)
    sums = _sums(walk, node, real, _windows(node, real.codes))
    return requantize_sums(walk, node, sums, result)


def qlinear_global_average_pool(walk: Walk, node: Node) -> Codes:
    """Import QLinearGlobalAveragePool of ONNX Runtime's own domain, which adds integers."""
    _check_order(node)
    real, result = _quantized(walk, node)
    sums = _sums(walk, node, real, _whole(real.codes))
    factors = sums.scales / (np.float32(result.scale) * np.float32(sums.divisor))
    return Codes(requantized(sums.acc, factors, result), sums.index)


def _check_order(node: Node) -> None:
    if integer(node, "channels_last", 0):
        raise RefusedError("channels_last must be 0")


def _quantized(walk: Walk, node: Node) -> tuple[Real, Grid]:
    """Input as reals, and the grid of the result."""
    source, result = walk.grid(node, 1), walk.grid(node, 3)
    return Real(walk.codes(node, 0, source), source.reals(), source), result


def _whole(codes: Codes) -> Windows:
    _, height, width = image_shape(codes)
    return Windows((height, width), (1, 1), (1, 1), (0, 0, 0, 0))


def _windows(node: Node, codes: Codes) -> Windows:
    """Windows of a mean; those that reach beyond the image only if the border counts."""
    windows = read_windows(node, None, codes)
    if windows.dilation != (1, 1):
        raise RefusedError(f"its dilations must be 1, not {windows.dilation}")
    if any(windows.pad) and not integer(node, "count_include_pad", 0):
        raise RefusedError("its border must be counted (count_include_pad 1), or left out")
    return windows


def _sums(walk: Walk, node: Node, real: Real, windows: Windows) -> Sums:
    """Sum of each window, by weights of one."""
    if real.grid is None:
        raise RefusedError("its input must come straight from DequantizeLinear")
    channels, _, _ = image_shape(real.codes)
    size = windows.kernel[0] * windows.kernel[1]
    walk.spend(size * channels)
    acc = image(real.codes).conv2d(
        np.ones((*windows.kernel, 1, channels), np.int32), stride=windows.stride, pad=windows.pad,
        groups=channels, weight_bits=2, name=node.label,
    )  # fmt: skip
    scales = np.array([real.grid.scale], np.float32)
    bounds: IntArray = np.array([size * int(np.abs(real.codes.centred()).max())])
    error = float32_error(size, np.ones(1, np.float32), real.grid.scale, bounds)
    walk.spend(acc.type.elements)
    return Sums(acc, image_index(acc, real.codes), scales, size, bounds, error)
