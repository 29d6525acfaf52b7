"""Random models of one or few operators, for the properties of the importer.

Scales and zero points are drawn over what quantizers produce and beyond; results use their whole
range, so that clamps and roundings both occur.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from tests.mapping.importers.onnx.writer import MICROSOFT, Writer

IMAGES = 3
Array = np.ndarray


@dataclass(frozen=True)
class Tensor:
    """A value of the model: integers on a grid."""

    name: str
    shape: tuple[int, ...]
    scale: np.float32
    zero: Any

    @property
    def reach(self) -> float:
        """Largest real number, about."""
        return 128 * float(self.scale)


class Draw:
    """One random model and a batch for each of its inputs.

    Parameters
    ----------
    seed : int
        Of everything that is drawn.
    is_dyadic : bool
        Whether scales are powers of two, of which float32 adds products exactly.
    """

    def __init__(self, seed: int, *, is_dyadic: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.writer = Writer()
        self.batches: list[Array] = []
        self.is_dyadic = is_dyadic
        self.dtype = np.dtype(np.int8 if self.integer(0, 1) else np.uint8)

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def scale(self, low: float = -8, high: float = 0) -> np.float32:
        exponent = self.rng.uniform(low, high)
        return np.float32(2.0 ** (np.rint(exponent) if self.is_dyadic else exponent))

    def near(self, real: float) -> np.float32:
        """Scale of a grid on which ``real`` is some hundred steps."""
        exponent = np.log2(real / 128) + self.rng.uniform(-1.5, 0.5)
        return np.float32(2.0 ** (np.rint(exponent) if self.is_dyadic else exponent))

    def zero(self) -> Any:
        low = np.iinfo(self.dtype).min
        drawn = self.rng.choice([low, low + 255, low + 128, self.integer(low, low + 255)])
        return self.dtype.type(drawn)

    def integers(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        limits = np.iinfo(dtype or self.dtype)
        return self.rng.integers(limits.min, limits.max, shape, endpoint=True).astype(
            dtype or self.dtype
        )

    def input(self, shape: tuple[int, ...]) -> Tensor:
        self.batches.append(self.integers((IMAGES, *shape[1:])))
        name = self.writer.input(shape, self.dtype)
        return Tensor(name, shape, self.scale(), self.zero())

    def real_input(self, shape: tuple[int, ...]) -> Tensor:
        """Real numbers that are quantized first."""
        tensor = Tensor(self.writer.input(shape, np.float32), shape, self.scale(), self.zero())
        steps = self.rng.normal(0, 90, (IMAGES, *shape[1:]))
        steps[0] = np.rint(steps[0]) + 0.5  # ties
        self.batches.append((steps * tensor.scale).astype(np.float32))
        return self.quantize(tensor.name, tensor)

    def image(self, channels: int | None = None) -> tuple[int, ...]:
        return 1, channels or self.integer(1, 6), self.integer(1, 8), self.integer(1, 8)

    def grid(self, scale: Any, zero: Any) -> list[str]:
        return [self.writer.constant(scale), self.writer.constant(zero)]

    def dequantize(self, tensor: Tensor) -> str:
        inputs = [tensor.name, *self.grid(tensor.scale, tensor.zero)]
        return self.writer.node("DequantizeLinear", inputs)

    def quantize(self, real: str, like: Tensor) -> Tensor:
        inputs = [real, *self.grid(like.scale, like.zero)]
        name = self.writer.node("QuantizeLinear", inputs)
        return Tensor(name, like.shape, like.scale, like.zero)

    def result(self, shape: tuple[int, ...], reach: float) -> Tensor:
        """Grid of a result whose real numbers reach so far."""
        return Tensor("", shape, self.near(reach), self.zero())

    def activated(self, real: str) -> str:
        """Perhaps a Relu or a Clip behind a float operator."""
        match self.integer(0, 3):
            case 0:
                return self.writer.node("Relu", [real])
            case 1:
                bounds = [self.writer.constant(np.float32(bound)) for bound in (-0.7, 1.3)]
                return self.writer.node("Clip", [real, *bounds])
            case _:
                return real

    def finish(self, tensor: Tensor) -> tuple[bytes, list[Array]]:
        """Model that returns a tensor, as integers or as reals."""
        if self.integer(0, 3):
            self.writer.output(tensor.name, self.dtype)
        else:
            self.writer.output(self.dequantize(tensor), np.float32)
        return self.writer.to_bytes(), self.batches

    def weights(self, shape: tuple[int, ...], axis: int) -> "Weights":
        """Random weights with their scales and zero points, for the channels of an axis."""
        dtype = self.dtype if self.dtype == np.uint8 and self.integer(0, 1) else np.dtype(np.int8)
        values = self.integers(shape, dtype)
        count = shape[axis] if self.integer(0, 1) else 1
        scales = np.array([self.scale(-9, -5) for _ in range(count)], np.float32)
        middle = 128 if dtype == np.uint8 else 0
        spread = 0 if self.integer(0, 1) or dtype == np.int8 else 20
        zeros = np.full(count, middle + self.integer(-spread, spread)).astype(dtype)
        if count == 1 and self.integer(0, 1):
            return Weights(values, scales[0], zeros[0], axis)
        return Weights(values, scales, zeros, axis)

    def reach(self, weights: "Weights", tensor: Tensor) -> float:
        """Size of typical sums of products."""
        terms = weights.values.size / weights.values.shape[weights.axis]
        return float(np.sqrt(terms) * 90 * 90 * tensor.scale * np.median(weights.scales))


@dataclass(frozen=True)
class Weights:
    """Constant integers with scales along an axis."""

    values: Array
    scales: Any
    zeros: Any
    axis: int


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


def _given_rows(draw: Draw) -> Tensor:
    shape = _rows(draw)
    source = draw.input(shape)
    if shape[0] > 1:  # no batch
        draw.batches[-1] = draw.integers((IMAGES, *shape))
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
    grid = draw.grid(weights.scales, weights.zeros)
    matrix = draw.writer.node(
        "DequantizeLinear", [draw.writer.constant(weights.values), *grid], axis=weights.axis
    )
    inputs = [draw.dequantize(source), matrix]
    if draw.integer(0, 3):
        bias = draw.writer.constant(_bias(draw, weights, source))
        scales = draw.writer.constant(source.scale * weights.scales)
        inputs.append(draw.writer.node("DequantizeLinear", [bias, scales], axis=0))
    return draw.activated(draw.writer.node(op, inputs, **attributes))


def matmul(draw: Draw) -> tuple[bytes, list[Array]]:
    source = draw.real_input((1, draw.integer(1, 4), draw.integer(1, 9)))
    weights = draw.weights((source.shape[-1], draw.integer(1, 9)), axis=1)
    grid = draw.grid(weights.scales, weights.zeros)
    matrix = draw.writer.node(
        "DequantizeLinear", [draw.writer.constant(weights.values), *grid], axis=1
    )
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
        qlinear_conv, qlinear_matmul, qgemm, qlinear_add, qlinear_concat,
        qlinear_global_average_pool, matmul_integer, conv_integer,
    )}
)  # fmt: skip
"""Operators on integers."""

EXACT_MODELS: Mapping[str, Model] = MappingProxyType(
    {model.__name__: model for model in (add, concat, function, curve, max_pool)}
)
"""Float operators between quantizations whose results are proven of any scales."""

FLOAT_MODELS: Mapping[str, Model] = MappingProxyType(
    {model.__name__: model for model in (conv, gemm, matmul, average_pool, moved)}
)
"""Float operators whose sums are exact of few scales."""
