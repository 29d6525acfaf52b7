"""Random models of float operators between quantizations."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from tests.mapping.importers.onnx.draw import Array, Draw, Model, Tensor, Weights
from tests.mapping.importers.onnx.operands import (
    random_batches,
    random_bias,
    random_kernel,
    random_matrix,
    random_window,
)
from tests.mapping.importers.onnx.writer import Writer


def matmul_by_batch(draw: Draw) -> tuple[bytes, list[Array]]:
    shape, weight_shape = random_batches(draw)
    source = draw.real_input(shape)
    draw.batches[-1] = draw.reals(shape, source.scale)
    weights = draw.weights(weight_shape, axis=2)
    inputs = [draw.dequantize(source), _dequantized(draw, weights)]
    real = draw.activated(draw.writer.node("MatMul", inputs))
    return draw.finish(draw.quantize(real, draw.result((), draw.reach(weights, source))))


def conv(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.real_input(draw.frame())
    window = random_window(draw, source.shape)
    weights, groups = random_kernel(draw, source, window["kernel_shape"])
    real = _weighted(draw, "Conv", source, weights, group=groups, **window)
    return draw.finish(draw.quantize(real, draw.result((), draw.reach(weights, source))))


def gemm(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.real_input((1, draw.integer(1, 40)))
    weights, is_transposed = random_matrix(draw, source)
    real = _weighted(draw, "Gemm", source, weights, transB=is_transposed)
    return draw.finish(draw.quantize(real, draw.result((), draw.reach(weights, source))))


def _weighted(draw: Draw, op: str, source: Tensor, weights: Weights, **attributes: Any) -> str:
    """Float operator of dequantized operands, perhaps with a bias and a clamp."""
    inputs = [draw.dequantize(source), _dequantized(draw, weights)]
    if draw.integer(0, 3):
        bias = draw.writer.constant(random_bias(draw, weights, source))
        scales = draw.writer.constant(source.scale * weights.scales)
        inputs.append(draw.writer.node("DequantizeLinear", [bias, scales], axis=0))
    return draw.activated(draw.writer.node(op, inputs, **attributes))


def _dequantized(draw: Draw, weights: Weights) -> str:
    """Weights as reals: from integers, or from reals that are quantized first."""
    grid = draw.grid(weights.scales, weights.zeros)
    values = draw.writer.constant(weights.values)
    if not draw.integer(0, 3):
        shape = [1] * weights.values.ndim
        shape[weights.axis] = -1 if np.ndim(weights.scales) else 1
        steps = weights.values - np.float32(np.reshape(weights.zeros, shape))
        reals = draw.writer.constant(steps * np.reshape(weights.scales, shape))
        values = draw.writer.node("QuantizeLinear", [reals, *grid], axis=weights.axis)
    return draw.writer.node("DequantizeLinear", [values, *grid], axis=weights.axis)


def matmul(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.real_input((1, draw.integer(1, 4), draw.integer(1, 9)))
    shape = (source.shape[-1], draw.integer(1, 9))
    if draw.integer(0, 1):
        weights = draw.weights(shape, axis=1)
        matrix = _dequantized(draw, weights)
    else:
        weights = draw.weights(shape[::-1], axis=0)
        matrix = draw.writer.node("Transpose", [_dequantized(draw, weights)], perm=[1, 0])
    real = draw.activated(draw.writer.node("MatMul", [draw.dequantize(source), matrix]))
    return draw.finish(draw.quantize(real, draw.result((), draw.reach(weights, source))))


def add(draw: Draw) -> tuple[bytes, list[Array]]:
    shape = draw.image()
    sources = [draw.input(shape), draw.real_input(shape)]
    real = draw.activated(draw.writer.node("Add", [draw.dequantize(each) for each in sources]))
    return draw.finish(draw.quantize(real, draw.result((), sum(each.reach for each in sources))))


def concat(draw: Draw) -> tuple[bytes, list[Array]]:
    _, _, height, width = draw.image()
    sources = [
        draw.input((1, draw.integer(1, 4), height, width)) for _ in range(draw.integer(2, 3))
    ]
    axis = int(draw.rng.choice([1, -3]))
    real = draw.writer.node("Concat", [draw.dequantize(each) for each in sources], axis=axis)
    return draw.finish(draw.quantize(real, draw.result((), max(each.reach for each in sources))))


def function(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.real_input(draw.image())
    real = draw.dequantize(source)
    op = str(
        draw.rng.choice(["Relu", "HardSigmoid", "HardSwish", "Identity", "Mul", "Add", "Clip"])
    )
    if op in ("Mul", "Add"):
        real = draw.writer.node(op, [real, draw.writer.constant(np.float32(0.3))])
    elif op == "Clip":
        real = draw.activated(real)
    else:
        real = draw.writer.node(op, [real])
    return draw.finish(draw.quantize(real, draw.result((), source.reach)))


def curve(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.real_input(draw.image())
    op = str(draw.rng.choice(["Sigmoid", "Tanh"]))
    real = draw.writer.node(op, [draw.dequantize(source)])
    return draw.finish(draw.quantize(real, draw.result((), 1.0)))


def by_axis(draw: Draw) -> tuple[bytes, list[Array]]:
    """Integers with a scale per index of an axis or per block, made by the host and made real."""
    shape = draw.image() if draw.integer(0, 1) else (draw.integer(2, 4), draw.integer(1, 9))
    axis = draw.integer(1 if shape[0] == 1 else 0, len(shape) - 1)
    block = draw.integer(0, 3)
    extents = tuple(-(-e // max(block, 1)) if i == axis else e for i, e in enumerate(shape))
    counts = extents if block else (shape[axis],)
    scales = np.reshape([draw.scale() for _ in range(int(np.prod(counts)))], counts)
    zeros = draw.integers(counts)
    grid = draw.grid(scales.astype(np.float32), zeros)
    attributes = {"axis": axis, "block_size": block}
    name = draw.writer.input(shape, np.float32)
    draw.batches.append(draw.reals(shape if shape[0] > 1 else shape[1:], np.float32(0.1)))
    codes = draw.writer.node("QuantizeLinear", [name, *grid], **attributes)
    if draw.integer(0, 1):
        draw.writer.output(codes, draw.dtype)
    else:
        real = draw.writer.node("DequantizeLinear", [codes, *grid], **attributes)
        draw.writer.output(real, np.float32)
    return draw.writer.to_bytes(), draw.batches


def max_pool(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.input(draw.frame())
    window = random_window(draw, source.shape, has_dilation=False)
    if "pads" in window:
        window["ceil_mode"] = draw.integer(0, 1)
    if draw.integer(0, 1):
        name = draw.writer.node("MaxPool", [source.name], **window)
        return draw.finish(Tensor(name, (), source.scale, source.zero))
    real = draw.writer.node("MaxPool", [draw.dequantize(source)], **window)
    return draw.finish(draw.quantize(real, source))


def average_pool(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.real_input(draw.frame())
    real = draw.dequantize(source)
    match draw.integer(0, 2):
        case 0:
            mean = draw.writer.node("GlobalAveragePool", [real])
        case 1:
            axes = draw.writer.constant(np.arange(2, len(source.shape)))
            mean = draw.writer.node("ReduceMean", [real, axes], keepdims=draw.integer(0, 1))
        case _:
            window = random_window(draw, source.shape, has_dilation=False)
            mean = draw.writer.node("AveragePool", [real], count_include_pad=1, **window)
    return draw.finish(draw.quantize(mean, draw.result((), source.reach / 2)))


def small_mean(draw: Draw, size: int) -> tuple[bytes, list[Array]]:
    """Means of windows of few activations."""
    source = draw.real_input((1, 3, 8, 8))
    attributes = {"kernel_shape": [size, size], "strides": [1, 1]}
    real = draw.writer.node("AveragePool", [draw.dequantize(source)], **attributes)
    return draw.finish(draw.quantize(real, draw.result((), source.reach / 2)))


def quarter(ratio: float) -> bytes:
    """Mean of four int8, on a grid that is ``ratio`` times as coarse: full of ties if it is 1."""
    writer = Writer()
    steps = [writer.constant(np.float32(0.1)), writer.constant(np.int8(0))]
    steps_out = [writer.constant(np.float32(0.1 * ratio)), steps[1]]
    real = writer.node("DequantizeLinear", [writer.input((1, 1, 2, 2), np.int8), *steps])
    mean = writer.node("AveragePool", [real], kernel_shape=[2, 2])
    writer.output(writer.node("QuantizeLinear", [mean, *steps_out]), np.int8)
    return writer.to_bytes()


def moved(draw: Draw) -> tuple[bytes, list[Array]]:
    """A pool between movements, and a product at the end."""
    _, channels, height, width = draw.image()
    source = draw.real_input((1, height, width, channels))
    name = draw.writer.node("Transpose", [source.name], perm=[0, 3, 1, 2])
    name = draw.writer.node("MaxPool", [name], kernel_shape=[1, 1])
    flat = channels * height * width
    match draw.integer(0, 2):
        case 0:
            name = draw.writer.node("Flatten", [name], axis=1)
        case 1:
            shape = draw.writer.constant(np.array([0, -1]))
            name = draw.writer.node("Reshape", [name, shape])
        case _:
            name = draw.writer.node("Transpose", [name], perm=[0, 2, 1, 3])
            shape = draw.writer.constant(np.array([1, flat, 1, 1]))
            name = draw.writer.node("Reshape", [name, shape])
            axes = draw.writer.constant(np.array([-1, -2]))
            name = draw.writer.node("Squeeze", [name, axes])
    taken = Tensor(name, (1, flat), source.scale, source.zero)
    weights = draw.weights((flat, 4), axis=1)
    real = _weighted(draw, "Gemm", taken, weights)
    return draw.finish(draw.quantize(real, draw.result((), draw.reach(weights, source))))


EXACT_MODELS: Mapping[str, Model] = MappingProxyType(
    {model.__name__: model for model in (add, by_axis, concat, function, curve, max_pool)}
)
"""Float operators between quantizations whose results are proven of any scales."""

FLOAT_MODELS: Mapping[str, Model] = MappingProxyType(
    {model.__name__: model for model in (conv, gemm, matmul, matmul_by_batch, average_pool, moved)}
)
"""Float operators whose sums are exact of few scales."""

NOT_RUN_BY_DEFAULT = {"matmul_by_batch"}
"""Products that ONNX Runtime replaces with a kernel that then refuses a scale per channel."""
