"""Random models of one operator each, for the properties of the importer.

Scales and zero points are drawn over what converters produce and beyond; results use their whole
range, so that clamps and roundings both occur.
"""

from collections.abc import Callable

import numpy as np

from tests.mapping.importers.tflite.writer import ModelWriter, options

Rng = np.random.Generator
Batch = np.ndarray
IMAGES = 3
FUSED = (0, 1, 2, 3)  # none, RELU, RELU_N1_TO_1, RELU6


class Draw:
    """One random model and a batch for each of its inputs."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.writer = ModelWriter()
        self.batches: list[Batch] = []

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def scale(self, low: float = -8, high: float = 0) -> float:
        return float(np.float32(2.0 ** self.rng.uniform(low, high)))

    def zero_point(self) -> int:
        return int(self.rng.choice([-128, 127, 0, self.integer(-128, 127)]))

    def input(self, shape: tuple[int, ...], scale: float | None = None) -> int:
        self.batches.append(self.rng.integers(-128, 128, (IMAGES, *shape[1:])).astype(np.int8))
        return self.writer.input(shape, scale or self.scale(), self.zero_point())

    def image(self, channels: int | None = None, extent: int = 9) -> tuple[int, ...]:
        height, width = self.integer(1, extent), self.integer(1, extent)
        return 1, height, width, channels or self.integer(1, 6)

    def source_of(self, index: int) -> tuple[float, int]:
        made = self.writer.graph.tensors[index].quantization
        return float(made.scale[0]), int(made.zeroPoint[0])

    def finish(self, output: int) -> tuple[bytes, list[Batch]]:
        self.writer.output(output)
        return self.writer.to_bytes(), self.batches

    def weights(self, shape: tuple[int, ...], axis: int, channels: int, source: float) -> int:
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        per_channel = self.integer(0, 1)
        scales = [self.scale(-9, -5) for _ in range(channels if per_channel else 1)]
        self.weight_scales = np.broadcast_to(np.float32(scales), channels) * np.float32(source)
        return self.writer.constant(values, scales, axis=axis)

    def bias(self, channels: int, *, is_optional: bool = True) -> int:
        if is_optional and not self.integer(0, 3):
            return -1
        values = self.rng.integers(-3000, 3000, channels).astype(np.int32)
        return self.writer.constant(values, list(self.weight_scales))

    def window(self, extents: tuple[int, int]) -> tuple[int, list[int], list[int], list[int]]:
        """Padding, kernel, stride and dilation that fit an image."""
        padding, kernel, stride, dilation = self.integer(0, 1), [], [], []
        for extent in extents:
            taps = self.integer(1, min(4, extent))
            kernel.append(taps)
            limit = (extent - 1) // (taps - 1) if taps > 1 else 2
            dilation.append(self.integer(1, min(2, limit)) if padding else 1)
        stride = [self.integer(1, 3)] * 2 if self.integer(0, 1) else [self.integer(1, 3), 1]
        return padding, kernel, stride, dilation

    def windows(
        self, extents: tuple[int, ...], padding: int, kernel: list[int], stride: list[int],
        dilation: list[int],
    ) -> list[int]:  # fmt: skip
        reach = [(taps - 1) * step + 1 for taps, step in zip(kernel, dilation, strict=True)]
        return [
            -(-(extent - (span - 1) * padding) // step)
            for extent, span, step in zip(extents, reach, stride, strict=True)
        ]


def conv(draw: Draw, depthwise: bool = False) -> int:
    shape = draw.image()
    source = draw.input(shape)
    padding, kernel, stride, dilation = draw.window(shape[1:3])
    if depthwise:
        stride = [stride[0]] * 2  # the kernel of tflite-micro takes both, converters write one
        multiplier = draw.integer(1, 3)
        channels = shape[3] * multiplier
        kernel_shape, axis = (1, *kernel, channels), 3
    else:
        channels = draw.integer(1, 8)
        kernel_shape, axis = (channels, *kernel, shape[3]), 0
    weights = draw.weights(kernel_shape, axis, channels, draw.source_of(source)[0])
    # tflite-micro's depthwise kernel reads a bias that is left out
    bias = draw.bias(channels, is_optional=not depthwise)
    rows, cols = draw.windows(shape[1:3], padding, kernel, stride, dilation)
    spread = float(draw.weight_scales.max()) * 60 * np.prod(kernel_shape[1:]) ** 0.5
    output = draw.writer.tensor((1, rows, cols, channels), spread, draw.zero_point())
    more = {"depthMultiplier": multiplier} if depthwise else {}
    made = options(
        "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions", padding=padding,
        strideH=stride[0], strideW=stride[1], dilationHFactor=dilation[0],
        dilationWFactor=dilation[1], fusedActivationFunction=int(draw.rng.choice(FUSED)), **more,
    )  # fmt: skip
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    draw.writer.operator(name, [source, weights, bias], [output], made, version=3)
    return output


def depthwise_conv(draw: Draw) -> int:
    return conv(draw, depthwise=True)


def fully_connected(draw: Draw) -> int:
    features, outputs = draw.integer(1, 40), draw.integer(1, 12)
    source = draw.input((1, features))
    weights = draw.weights((outputs, features), 0, outputs, draw.source_of(source)[0])
    bias = draw.bias(outputs)
    spread = float(draw.weight_scales.max()) * 60 * features**0.5
    output = draw.writer.tensor((1, outputs), spread, draw.zero_point())
    made = options("FullyConnectedOptions", fusedActivationFunction=int(draw.rng.choice(FUSED)))
    draw.writer.operator("FULLY_CONNECTED", [source, weights, bias], [output], made, version=4)
    return output


def add(draw: Draw) -> int:
    shape = (1, 8, 8, 32)
    left, right = draw.input(shape), draw.input(shape)
    ends = draw.source_of(left)[0] + draw.source_of(right)[0]
    output = draw.writer.tensor(shape, ends * 2 ** draw.rng.uniform(-2, 0), draw.zero_point())
    made = options("AddOptions", fusedActivationFunction=int(draw.rng.choice(FUSED)))
    draw.writer.operator("ADD", [left, right], [output], made, version=2)
    return output


def pool(draw: Draw, name: str) -> int:
    shape = draw.image()
    source = draw.input(shape)
    padding, kernel, stride, _ = draw.window(shape[1:3])
    padding = 1 if name == "AVERAGE_POOL_2D" else padding
    rows, cols = draw.windows(shape[1:3], padding, kernel, stride, [1, 1])
    output = draw.writer.tensor((1, rows, cols, shape[3]), *draw.source_of(source))
    made = options(
        "Pool2DOptions", padding=padding, strideH=stride[0], strideW=stride[1],
        filterHeight=kernel[0], filterWidth=kernel[1],
        fusedActivationFunction=int(draw.rng.choice(FUSED)),
    )  # fmt: skip
    draw.writer.operator(name, [source], [output], made, version=2)
    return output


def average_pool(draw: Draw) -> int:
    return pool(draw, "AVERAGE_POOL_2D")


def max_pool(draw: Draw) -> int:
    return pool(draw, "MAX_POOL_2D")


def mean(draw: Draw) -> int:
    shape = draw.image()
    source = draw.input(shape)
    axes = draw.writer.constant(np.array([1, 2], np.int32)[:: draw.integer(0, 1) * 2 - 1])
    keep = bool(draw.integer(0, 1))
    result = draw.source_of(source)
    if draw.integer(0, 1):
        result = result[0] * 2 ** draw.rng.uniform(-2, 1), draw.zero_point()
    output = draw.writer.tensor((1, 1, 1, shape[3]) if keep else (1, shape[3]), *result)
    made = options("ReducerOptions", keepDims=keep)
    draw.writer.operator("MEAN", [source, axes], [output], made, version=2)
    return output


def reshape(draw: Draw) -> int:
    shape = draw.image()
    source = draw.input(shape)
    shapes = [(1, int(np.prod(shape))), (1, shape[3], shape[1], shape[2]), (1, 1, *shape[2:])]
    wanted = shapes[draw.integer(0, 1)] if shape[1] > 1 else shapes[draw.integer(0, 2)]
    target = draw.writer.constant(np.array(wanted, np.int32))
    output = draw.writer.tensor(wanted, *draw.source_of(source))
    draw.writer.operator("RESHAPE", [source, target], [output], options("ReshapeOptions"))
    return output


def pad(draw: Draw) -> int:
    shape = draw.image()
    source = draw.input(shape)
    borders = np.zeros((4, 2), np.int32)
    borders[1:3] = draw.rng.integers(0, 4, (2, 2))
    target = draw.writer.constant(borders)
    padded = tuple(int(extent) for extent in np.array(shape) + borders.sum(axis=1))
    output = draw.writer.tensor(padded, *draw.source_of(source))
    draw.writer.operator("PAD", [source, target], [output], options("PadOptions"))
    return output


def concatenate(draw: Draw) -> int:
    shape, scale = draw.image(), draw.scale()
    inputs = [draw.input((*shape[:3], draw.integer(1, 5)), scale) for _ in range(3)]
    zero_point = draw.zero_point()
    for index in inputs:
        draw.writer.graph.tensors[index].quantization.zeroPoint = [zero_point]
    channels = sum(draw.writer.graph.tensors[index].shape[3] for index in inputs)
    output = draw.writer.tensor((*shape[:3], channels), scale, zero_point)
    made = options("ConcatenationOptions", axis=int(draw.rng.choice([3, -1])))
    draw.writer.operator("CONCATENATION", inputs, [output], made, version=2)
    return output


def _function(draw: Draw, name: str, scale: float, result: tuple[float, int]) -> int:
    """A function of one activation, at all 256 of them."""
    source = draw.input((1, 256), scale)
    draw.batches[-1][:] = np.arange(-128, 128)
    if result == (0, 0):
        result = draw.source_of(source)
    output = draw.writer.tensor((1, 256), *result)
    draw.writer.operator(name, [source], [output])
    return output


def logistic(draw: Draw) -> int:
    return _function(draw, "LOGISTIC", draw.scale(-10, 1), (1 / 256, -128))


def tanh(draw: Draw) -> int:
    return _function(draw, "TANH", draw.scale(-10, 1), (1 / 128, 0))


def hard_swish(draw: Draw) -> int:
    scale = draw.scale(-9, 1)
    result = scale * 2 ** draw.rng.uniform(-2, 3), draw.zero_point()
    return _function(draw, "HARD_SWISH", scale, result)


def relu(draw: Draw) -> int:
    scale = draw.scale()
    same = bool(draw.integer(0, 1))
    result = (0.0, 0) if same else (scale * 2 ** draw.rng.uniform(-2, 2), draw.zero_point())
    return _function(draw, "RELU", scale, result)


def relu6(draw: Draw) -> int:
    return _function(draw, "RELU6", draw.scale(), (0, 0))


def quantize(draw: Draw) -> int:
    scale = draw.scale()
    return _function(
        draw, "QUANTIZE", scale, (scale * 2 ** draw.rng.uniform(-2, 2), draw.zero_point())
    )


def softmax(draw: Draw) -> int:
    classes = draw.integer(1, 30)
    source = draw.input((1, classes), draw.scale(-6, 1))
    output = draw.writer.tensor((1, classes), 1 / 256, -128)
    made = options("SoftmaxOptions", beta=float(draw.rng.choice([1.0, 0.5])))
    draw.writer.operator("SOFTMAX", [source], [output], made, version=2)
    return output


def real_ends(draw: Draw) -> int:
    """Real inputs and outputs around a clamp."""
    shape = (1, 300)
    real = draw.writer.input(shape, 1.0, kind="FLOAT32")
    draw.writer.graph.tensors[real].quantization = None
    scale, zero_point = draw.scale(), draw.zero_point()
    reach = draw.rng.normal(0, 100 * scale, (IMAGES, *shape[1:])).astype(np.float32)
    halves = (draw.rng.integers(-300, 300, reach.shape) + np.float32(0.5)) * np.float32(scale)
    draw.batches.append(np.where(draw.rng.integers(0, 2, reach.shape), reach, halves))
    draw.batches[-1] = draw.batches[-1].astype(np.float32)
    integers = draw.writer.tensor(shape, scale, zero_point)
    draw.writer.operator("QUANTIZE", [real], [integers])
    held = draw.writer.tensor(shape, scale, zero_point)
    draw.writer.operator("RELU", [integers], [held])
    output = draw.writer.tensor(shape, kind="FLOAT32")
    draw.writer.operator("DEQUANTIZE", [held], [output])
    return output


MODELS: dict[str, Callable[[Draw], int]] = {
    made.__name__: made
    for made in (
        conv, depthwise_conv, fully_connected, add, average_pool, max_pool, mean, reshape, pad,
        concatenate, logistic, tanh, hard_swish, relu, relu6, quantize, softmax, real_ends,
    )
}  # fmt: skip


def random_model(name: str, seed: int) -> tuple[bytes, list[Batch]]:
    """A model of one operator, and a batch per input."""
    draw = Draw(seed)
    return draw.finish(MODELS[name](draw))
