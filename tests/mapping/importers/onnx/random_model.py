"""Random models of one or few operators, for the properties of the importer."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from tests.mapping.importers.onnx.draw import Array, Draw, Tensor, Weights
from tests.mapping.importers.onnx.writer import MICROSOFT, Writer


def _bias(draw: Draw, weights: Weights, source: Tensor) -> Array:
    terms = weights.values.size / weights.values.shape[weights.axis]
    spread = int(np.sqrt(terms) * 4000)
    return draw.rng.integers(-spread, spread, weights.values.shape[weights.axis]).astype(np.int32)


def _window(draw: Draw, shape: tuple[int, ...], *, has_dilation: bool = True) -> dict[str, Any]:
    """Attributes of windows that fit the image."""
    kernel = [draw.integer(1, min(3, extent)) for extent in shape[2:]]
    pads = [draw.integer(0, tap - 1) for tap in kernel * 2]
    dilation = [
        draw.integer(1, 2) if has_dilation and 2 * (tap - 1) < extent else 1
        for tap, extent in zip(kernel, shape[2:], strict=True)
    ]
    made = {"kernel_shape": kernel, "strides": [draw.integer(1, 3), draw.integer(1, 3)]}
    if has_dilation:
        made["dilations"] = dilation
    is_dense = all(step <= tap for step, tap in zip(made["strides"], kernel, strict=True))
    match draw.integer(0, 3):
        case 0 if is_dense or has_dilation:
            made["auto_pad"] = str(draw.rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
            made.pop("dilations", None)
        case _:
            made["pads"] = pads
    return made


def _kernel(draw: Draw, source: Tensor, kernel: list[int]) -> tuple[Weights, int]:
    """Weights of a convolution, and its groups."""
    channels = source.shape[1]
    groups = int(draw.rng.choice([1, 1, channels]))
    outputs = groups * draw.integer(1, 6 // groups if groups < 6 else 1)
    return draw.weights((outputs, channels // groups, *kernel), axis=0), groups


def qlinear_conv(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.input(draw.image())
    window = _window(draw, source.shape)
    weights, groups = _kernel(draw, source, window["kernel_shape"])
    result = draw.result((), draw.reach(weights, source))
    inputs = [
        source.name, *draw.grid(source.scale, source.zero),
        draw.writer.constant(weights.values), *draw.grid(weights.scales, weights.zeros),
        *draw.grid(result.scale, result.zero),
    ]  # fmt: skip
    if draw.integer(0, 3):
        inputs.append(draw.writer.constant(_bias(draw, weights, source)))
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
        *draw.grid(result.scale, result.zero), draw.writer.constant(_bias(draw, weights, source)),
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


def _batches(draw: Draw) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of activations and weights of several products."""
    size, rows, features = draw.integer(2, 3), draw.integer(1, 4), draw.integer(1, 9)
    return (size, rows, features), (size, features, draw.integer(1, 5))


def qlinear_matmul_by_batch(draw: Draw) -> tuple[bytes, list[Array]]:
    """Each batch has weights of its own; ONNX Runtime has kernels of one scale for them."""
    shape, weight_shape = _batches(draw)
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


def matmul_by_batch(draw: Draw) -> tuple[bytes, list[Array]]:
    shape, weight_shape = _batches(draw)
    source = draw.real_input(shape)
    draw.batches[-1] = draw.reals(shape, source.scale)
    weights = draw.weights(weight_shape, axis=2)
    inputs = [draw.dequantize(source), _dequantized(draw, weights)]
    real = draw.activated(draw.writer.node("MatMul", inputs))
    return draw.finish(draw.quantize(real, draw.result((), draw.reach(weights, source))))


def _given_rows(draw: Draw) -> Tensor:
    shape = _rows(draw)
    source = draw.input(shape)
    if shape[0] > 1:  # no batch
        draw.batches[-1] = draw.integers((draw.images, *shape))
    return source


def qgemm(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.input((1, draw.integer(1, 40)))
    is_transposed = draw.integer(0, 1)
    outputs = draw.integer(1, 9)
    shape = (outputs, source.shape[1]) if is_transposed else (source.shape[1], outputs)
    weights = draw.weights(shape, axis=0 if is_transposed else 1)
    result = draw.result((), draw.reach(weights, source))
    bias = draw.writer.constant(_bias(draw, weights, source)) if draw.integer(0, 3) else ""
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
    source = draw.input(draw.image())
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
    source = draw.input(draw.image())
    window = _window(draw, source.shape)
    weights, groups = _kernel(draw, source, window["kernel_shape"])
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


def conv(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.real_input(draw.image())
    window = _window(draw, source.shape)
    weights, groups = _kernel(draw, source, window["kernel_shape"])
    real = _weighted(draw, "Conv", source, weights, group=groups, **window)
    return draw.finish(draw.quantize(real, draw.result((), draw.reach(weights, source))))


def gemm(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.real_input((1, draw.integer(1, 40)))
    is_transposed = draw.integer(0, 1)
    outputs = draw.integer(1, 9)
    shape = (outputs, source.shape[1]) if is_transposed else (source.shape[1], outputs)
    weights = draw.weights(shape, axis=0 if is_transposed else 1)
    real = _weighted(draw, "Gemm", source, weights, transB=is_transposed)
    return draw.finish(draw.quantize(real, draw.result((), draw.reach(weights, source))))


def _weighted(draw: Draw, op: str, source: Tensor, weights: Weights, **attributes: Any) -> str:
    """Float operator of dequantized operands, perhaps with a bias and a clamp."""
    inputs = [draw.dequantize(source), _dequantized(draw, weights)]
    if draw.integer(0, 3):
        bias = draw.writer.constant(_bias(draw, weights, source))
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


def max_pool(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.input(draw.image())
    window = _window(draw, source.shape, has_dilation=False)
    if "pads" in window:
        window["ceil_mode"] = draw.integer(0, 1)
    if draw.integer(0, 1):
        name = draw.writer.node("MaxPool", [source.name], **window)
        return draw.finish(Tensor(name, (), source.scale, source.zero))
    real = draw.writer.node("MaxPool", [draw.dequantize(source)], **window)
    return draw.finish(draw.quantize(real, source))


def average_pool(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.real_input(draw.image())
    real = draw.dequantize(source)
    match draw.integer(0, 2):
        case 0:
            mean = draw.writer.node("GlobalAveragePool", [real])
        case 1:
            axes = draw.writer.constant(np.array([2, 3]))
            mean = draw.writer.node("ReduceMean", [real, axes], keepdims=draw.integer(0, 1))
        case _:
            window = _window(draw, source.shape, has_dilation=False)
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


Model = Callable[[Draw], tuple[bytes, list[Array]]]

INTEGER_MODELS: Mapping[str, Model] = MappingProxyType(
    {model.__name__: model for model in (
        qlinear_conv, qlinear_matmul, qlinear_matmul_by_batch, qgemm, qlinear_add, qlinear_concat,
        qlinear_global_average_pool, matmul_integer, conv_integer,
    )}
)  # fmt: skip
"""Operators on integers."""

EXACT_MODELS: Mapping[str, Model] = MappingProxyType(
    {model.__name__: model for model in (add, concat, function, curve, max_pool)}
)
"""Float operators between quantizations whose results are proven of any scales."""

FLOAT_MODELS: Mapping[str, Model] = MappingProxyType(
    {model.__name__: model for model in (conv, gemm, matmul, matmul_by_batch, average_pool, moved)}
)
"""Float operators whose sums are exact of few scales."""
