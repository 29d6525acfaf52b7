"""Random models of one operator on integers."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from tests.mapping.importers.onnx.draw import Array, Draw, Model, Tensor, Weights
from tests.mapping.importers.onnx.operands import (
    random_batches,
    random_bias,
    random_kernel,
    random_matrix,
    random_window,
)
from tests.mapping.importers.onnx.writer import MICROSOFT


def qlinear_conv(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.input(draw.frame())
    window = random_window(draw, source.shape)
    weights, groups = random_kernel(draw, source, window["kernel_shape"])
    result = draw.result((), draw.reach(weights, source))
    inputs = [
        source.name, *draw.grid(source.scale, source.zero),
        draw.writer.constant(weights.values), *draw.grid(weights.scales, weights.zeros),
        *draw.grid(result.scale, result.zero),
    ]  # fmt: skip
    if draw.integer(0, 3):
        inputs.append(draw.writer.constant(random_bias(draw, weights, source)))
    name = draw.writer.node("QLinearConv", inputs, group=groups, **window)
    return draw.finish(Tensor(name, (), result.scale, result.zero))


def many_sums(draw: Draw) -> tuple[bytes, list[Array]]:
    """A convolution of so many results that some are a unit in the last place from a tie."""
    draw.dtype = np.dtype(np.int8)
    source = draw.input((1, 16, 48, 48))
    values = draw.integers((64, 16, 1, 1))
    scales = np.array([draw.scale(-9, -5) for _ in range(64)], np.float32)
    weights = Weights(values, scales, np.zeros(64, np.int8), 0)
    result = draw.result((), draw.reach(weights, source))
    inputs = [
        source.name, *draw.grid(source.scale, source.zero),
        draw.writer.constant(weights.values), *draw.grid(weights.scales, weights.zeros),
        *draw.grid(result.scale, result.zero),
        draw.writer.constant(random_bias(draw, weights, source)),
    ]  # fmt: skip
    name = draw.writer.node("QLinearConv", inputs)
    return draw.finish(Tensor(name, (), result.scale, result.zero))


def _rows(draw: Draw) -> tuple[int, ...]:
    shapes = [(1, draw.integer(1, 40)), (draw.integer(2, 4), draw.integer(1, 9)),
              (1, draw.integer(2, 4), draw.integer(1, 9))]  # fmt: skip
    return shapes[draw.integer(0, 2)]


def qlinear_matmul(draw: Draw) -> tuple[bytes, list[Array]]:
    source = _given_rows(draw)
    weights = draw.weights((source.shape[-1], draw.integer(1, 9)), axis=1)
    result = draw.result((), draw.reach(weights, source))
    inputs = [
        source.name, *draw.grid(source.scale, source.zero),
        draw.writer.constant(weights.values), *draw.grid(weights.scales, weights.zeros),
        *draw.grid(result.scale, result.zero),
    ]  # fmt: skip
    name = draw.writer.node("QLinearMatMul", inputs)
    return draw.finish(Tensor(name, (), result.scale, result.zero))


def qlinear_matmul_by_batch(draw: Draw) -> tuple[bytes, list[Array]]:
    """Each batch has weights of its own; ONNX Runtime has kernels of one scale for them."""
    shape, weight_shape = random_batches(draw)
    source = draw.input(shape)
    draw.batches[-1] = draw.integers((draw.images, *shape))
    values = draw.integers(weight_shape, np.int8)
    weights = Weights(values, draw.scale(-9, -5), np.int8(0), 2)
    result = draw.result((), draw.reach(weights, source))
    inputs = [
        source.name, *draw.grid(source.scale, source.zero),
        draw.writer.constant(values), *draw.grid(weights.scales, weights.zeros),
        *draw.grid(result.scale, result.zero),
    ]  # fmt: skip
    name = draw.writer.node("QLinearMatMul", inputs)
    return draw.finish(Tensor(name, (), result.scale, result.zero))


def _given_rows(draw: Draw) -> Tensor:
    shape = _rows(draw)
    source = draw.input(shape)
    if shape[0] > 1:  # no batch
        draw.batches[-1] = draw.integers((draw.images, *shape))
    return source


def qgemm(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.input((1, draw.integer(1, 40)))
    weights, is_transposed = random_matrix(draw, source)
    result = draw.result((), draw.reach(weights, source))
    bias = draw.writer.constant(random_bias(draw, weights, source)) if draw.integer(0, 3) else ""
    inputs = [
        source.name, *draw.grid(source.scale, source.zero),
        draw.writer.constant(weights.values), *draw.grid(weights.scales, weights.zeros),
        bias, *draw.grid(result.scale, result.zero),
    ]  # fmt: skip
    name = draw.writer.node("QGemm", inputs, MICROSOFT, transB=is_transposed)
    return draw.finish(Tensor(name, (), result.scale, result.zero))


def qlinear_add(draw: Draw) -> tuple[bytes, list[Array]]:
    shape = draw.image()
    sources = [draw.input(shape), draw.input(shape)]
    result = draw.result((), sum(source.reach for source in sources))
    grids = [[each.name, *draw.grid(each.scale, each.zero)] for each in sources]
    inputs = [*grids[0], *grids[1], *draw.grid(result.scale, result.zero)]
    name = draw.writer.node("QLinearAdd", inputs, MICROSOFT)
    return draw.finish(Tensor(name, (), result.scale, result.zero))


def qlinear_concat(draw: Draw) -> tuple[bytes, list[Array]]:
    _, _, height, width = draw.image()
    sources = [
        draw.input((1, draw.integer(1, 4), height, width)) for _ in range(draw.integer(1, 3))
    ]
    result = draw.result((), max(source.reach for source in sources))
    inputs = draw.grid(result.scale, result.zero)
    for each in sources:
        inputs += [each.name, *draw.grid(each.scale, each.zero)]
    name = draw.writer.node("QLinearConcat", inputs, MICROSOFT, axis=1)
    return draw.finish(Tensor(name, (), result.scale, result.zero))


def qlinear_global_average_pool(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.input(draw.frame())
    result = draw.result((), source.reach / 4)
    inputs = [source.name, *draw.grid(source.scale, source.zero),
              *draw.grid(result.scale, result.zero)]  # fmt: skip
    name = draw.writer.node("QLinearGlobalAveragePool", inputs, MICROSOFT, channels_last=0)
    return draw.finish(Tensor(name, (), result.scale, result.zero))


def matmul_integer(draw: Draw) -> tuple[bytes, list[Array]]:
    source = _given_rows(draw)
    weights = draw.weights((source.shape[-1], draw.integer(1, 9)), axis=1)
    zeros = np.ravel(weights.zeros)[0]
    inputs = [source.name, draw.writer.constant(weights.values),
              draw.writer.constant(source.zero), draw.writer.constant(zeros)]  # fmt: skip
    return _scaled(draw, draw.writer.node("MatMulInteger", inputs), weights)


def conv_integer(draw: Draw) -> tuple[bytes, list[Array]]:
    draw.dtype = np.dtype(np.uint8)  # ONNX Runtime has no kernel of int8
    source = draw.input(draw.frame())
    window = random_window(draw, source.shape)
    weights, groups = random_kernel(draw, source, window["kernel_shape"])
    weights = Weights(draw.integers(weights.values.shape), weights.scales, weights.zeros, 0)
    zero = draw.dtype.type(draw.integer(100, 150))
    inputs = [source.name, draw.writer.constant(weights.values),
              draw.writer.constant(source.zero), draw.writer.constant(zero)]  # fmt: skip
    return _scaled(draw, draw.writer.node("ConvInteger", inputs, group=groups, **window), weights)


def _scaled(draw: Draw, sums: str, weights: Weights) -> tuple[bytes, list[Array]]:
    """Sums cast, scaled and quantized."""
    scale = draw.scale(-9, -5)
    terms = weights.values.size / weights.values.shape[weights.axis]
    real = draw.writer.node("Cast", [sums], to=1)
    scaled = draw.writer.node("Mul", [real, draw.writer.constant(scale)])
    result = draw.result((), float(scale) * 8000 * np.sqrt(terms))
    return draw.finish(draw.quantize(draw.activated(scaled), result))


INTEGER_MODELS: Mapping[str, Model] = MappingProxyType(
    {model.__name__: model for model in (
        qlinear_conv, qlinear_matmul, qlinear_matmul_by_batch, qgemm, qlinear_add, qlinear_concat,
        qlinear_global_average_pool, matmul_integer, conv_integer,
    )}
)  # fmt: skip
"""Operators on integers."""
