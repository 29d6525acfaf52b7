"""The generator of random small networks behind :mod:`tests.strategies`.

A network grows layer by layer, and a few random images with it: scales and biases are fitted to
what these give, so that activations spread over their range instead of sticking to its ends.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mapping.builder import Builder, Value
from mapping.graph import Graph
from mapping.ops import (
    ActType,
    Add,
    AvgPool2d,
    Clamp,
    Concat,
    Conv2d,
    GlobalAvgPool,
    Input,
    Lut,
    MatMul,
    MaxPool2d,
    Node,
    Pad,
    Padding,
    RequantizeFixed,
    RequantizeOnnx,
    RequantizeTflite,
    RequantizeThresholds,
    Reshape,
    TensorType,
    Weighted,
)
from mapping.reference import Tensor, evaluate
from systolic.spec.rounding import FRACTION_BITS, Rounding

CALIBRATION_IMAGES = 16
LAYER_MACS = 2000
MAX_SIDE = 6
MAX_CHANNELS = 9
MAX_SCALE = 1.5  # the requantizer's multipliers end at 2
_T = TypeVar("_T")


class Choices(Protocol):
    """Where a generator's decisions come from."""

    def integer(self, low: int, high: int) -> int:
        """Choose a number in ``low..high``; ``low`` is the simplest."""
        ...


def images_for(graph: Graph, n: int, seed: int = 0) -> NDArray[np.int64]:
    """Seeded random inputs of a network, uniform over the input type, shape (n, ...)."""
    tensor = graph.types[graph.input_ids[0]]
    assert isinstance(tensor.element, ActType)
    rng = np.random.default_rng(seed)
    low, high = tensor.element.q_min, tensor.element.q_max
    return rng.integers(low, high, (n, *tensor.shape), endpoint=True)


@dataclass
class _Draft:
    """A network being made, with every node's result for a few random images."""

    choices: Choices
    rounding: Rounding
    max_weight_bits: int
    max_threshold_bits: int
    builder: Builder = field(default_factory=Builder)
    results: list[Tensor] = field(default_factory=list)
    is_weighted: bool = False

    def pick(self, options: Sequence[_T]) -> _T:
        return options[self.choices.integer(0, len(options) - 1)]

    def pair(self, low: int, high: int) -> tuple[int, int]:
        return self.choices.integer(low, high), self.choices.integer(low, high)

    def rng(self) -> np.random.Generator:
        """Source of numbers too many to shrink one by one."""
        return np.random.default_rng(self.choices.integer(0, 2**16 - 1))

    def element(self) -> ActType:
        bits = self.pick((8, 4, 8, 4, 8, 2, 3, 5, 6, 7, 1))
        signed = bool(self.choices.integer(0, 1))
        span = ActType(bits, signed)
        return ActType(bits, signed, self.choices.integer(span.q_min, span.q_max))

    def input(self) -> Value:
        channels = self.choices.integer(1, MAX_CHANNELS)
        is_image = self.choices.integer(0, 3) > 0
        shape = (*self.pair(1, MAX_SIDE), channels) if is_image else (channels,)
        node = Input(type=TensorType(shape, self.element()), name="input")
        value = self.builder.append(node)
        graph = self.builder.graph(value)
        self.results.append(images_for(graph, CALIBRATION_IMAGES))
        return value

    def append(self, node: Node) -> Value:
        self.results.append(self.evaluate(node))
        return self.builder.append(node)

    def evaluate(self, node: Node) -> Tensor:
        operands = tuple(self.results[operand] for operand in node.inputs)
        types = tuple(self.builder.type_of(operand) for operand in node.inputs)
        return evaluate(node, operands, types)

    def out_channels(self, macs_per_channel: int) -> int:
        return self.choices.integer(1, max(1, min(MAX_CHANNELS, LAYER_MACS // macs_per_channel)))

    def weights(self, *shape: int) -> tuple[NDArray[np.int32], int]:
        """Weights uniform over the range of a random width, and that width."""
        bits = self.max_weight_bits - self.choices.integer(0, self.max_weight_bits - 1)
        half = 1 << (bits - 1)
        return self.rng().integers(-half, half, shape).astype(np.int32), bits

    def weighted(self, node: Weighted) -> Value:
        """Append a weighted node with a bias fitted to it, and its requantization."""
        self.is_weighted = True
        sums = self.evaluate(node).reshape(-1, node.out_channels)
        if self.max_threshold_bits and self.choices.integer(0, 3) > 0:
            return self.by_thresholds(self.append(node), sums)
        element, scale = self.element(), self.scale_for(sums)
        scale = np.minimum(scale * element.codes, MAX_SCALE)
        middle = (element.q_min + element.q_max) / 2 - element.zero_point
        bias = np.rint(middle / scale - sums.mean(axis=0)).astype(np.int32)
        return self.requantize(self.append(replace(node, bias=bias)), element, scale)

    def by_thresholds(self, acc: Value, sums: Tensor) -> Value:
        """Append thresholds, per channel or one row, that cut the sums seen: a few beyond them."""
        bits = self.choices.integer(1, self.max_threshold_bits)
        rows = sums.shape[1] if self.choices.integer(0, 1) else 1
        rng, spread = self.rng(), np.ceil(sums.std()) + 1
        low, high = np.floor(sums.min(axis=0) - spread), np.ceil(sums.max(axis=0) + spread)
        if rows == 1:
            low, high = low.min(keepdims=True), high.max(keepdims=True)
        cuts = rng.integers(low[:, None], high[:, None], (rows, (1 << bits) - 1), endpoint=True)
        signed = bool(self.choices.integer(0, 1))
        span = ActType(bits, signed)
        element = ActType(bits, signed, self.choices.integer(span.q_min, span.q_max))
        return self.append(
            RequantizeThresholds(
                inputs=(acc.node_id,), element=element,
                clamp_min=element.q_min, clamp_max=element.q_max,
                thresholds=np.sort(cuts, axis=1).astype(np.int64),
                is_descending=rng.integers(0, 1, rows, endpoint=True).astype(np.bool_),
            )
        )  # fmt: skip

    def scale_for(self, sums: Tensor) -> NDArray[np.float64]:
        """Scales, one or one per channel, that spread sums over a range of 1.

        Its ends are two standard deviations from the mean: a few values saturate.
        """
        axis = 0 if self.choices.integer(0, 1) else None
        return 1 / (4 * np.atleast_1d(np.maximum(sums.std(axis=axis), 0.1)))

    def requantize(self, acc: Value, element: ActType, scale: NDArray[np.float64]) -> Value:
        clamp = (element.q_min, element.q_max)
        if self.choices.integer(0, 3) == 3:
            middle = (element.q_min + element.q_max) // 2
            clamp = (min(element.zero_point, middle), clamp[1])  # a fused ReLU
        inputs, (clamp_min, clamp_max) = (acc.node_id,), clamp
        if self.rounding is Rounding.ONNX:
            return self.append(
                RequantizeOnnx(
                    inputs=inputs, element=element, clamp_min=clamp_min, clamp_max=clamp_max,
                    scale=scale.astype(np.float32),
                )
            )  # fmt: skip
        if scale.size == 1 and self.choices.integer(0, 3) == 3:
            return self.append(
                RequantizeFixed(
                    inputs=inputs, element=element, clamp_min=clamp_min, clamp_max=clamp_max,
                    multiplier=int(scale[0] * (1 << FRACTION_BITS)),
                    round_constant=(1 << self.choices.integer(0, 16)) >> 1,
                )
            )  # fmt: skip
        mantissa, exponent = np.frexp(scale)
        return self.append(
            RequantizeTflite(
                inputs=inputs, element=element, clamp_min=clamp_min, clamp_max=clamp_max,
                multiplier=np.floor(mantissa * (1 << 31)).astype(np.int64),
                shift=exponent.astype(np.int64),
            )
        )  # fmt: skip


def _matmul(draft: _Draft, value: Value) -> Value:
    tensor = value.type
    outputs = draft.out_channels(tensor.elements)
    weights, bits = draft.weights(tensor.channels, outputs)
    bias = np.zeros(outputs, np.int32)
    inputs = (value.node_id,)
    return draft.weighted(MatMul(inputs=inputs, weights=weights, bias=bias, weight_bits=bits))


def _conv(draft: _Draft, value: Value, groups: int, outputs_per_group: int | None) -> Value:
    """Convolution of random geometry; ``None`` leaves the number of outputs to chance too."""
    height, width, channels = value.type.shape
    kernel, stride, dilation = draft.pair(1, 3), draft.pair(1, 3), draft.pair(1, 2)
    pad = Padding(*(draft.choices.integer(0, 2) for _ in Padding._fields))
    kernel = (
        _largest_kernel(kernel[0], dilation[0], height + pad.top + pad.bottom),
        _largest_kernel(kernel[1], dilation[1], width + pad.left + pad.right),
    )
    inputs = channels // groups
    if outputs_per_group is None:
        outputs_per_group = draft.out_channels(height * width * kernel[0] * kernel[1] * channels)
    outputs = groups * outputs_per_group
    weights, bits = draft.weights(*kernel, inputs, outputs)
    return draft.weighted(
        Conv2d(
            inputs=(value.node_id,), weights=weights, bias=np.zeros(outputs, np.int32),
            stride=stride, dilation=dilation, pad=pad, groups=groups, weight_bits=bits,
        )
    )  # fmt: skip


def _largest_kernel(taps: int, dilation: int, extent: int) -> int:
    return min(taps, (extent - 1) // dilation + 1)


def _conv2d(draft: _Draft, value: Value) -> Value:
    value = _as_image(draft, value)
    return _conv(draft, value, groups=1, outputs_per_group=None)


def _depthwise(draft: _Draft, value: Value) -> Value:
    value = _as_image(draft, value)
    multiplier = draft.choices.integer(1, 2 if value.type.channels <= MAX_CHANNELS else 1)
    return _conv(draft, value, value.type.channels, multiplier)


def _grouped(draft: _Draft, value: Value) -> Value:
    value = _as_image(draft, value)
    channels = value.type.channels
    groups = draft.pick([count for count in range(1, channels + 1) if channels % count == 0])
    return _conv(draft, value, groups, draft.choices.integer(1, 2))


def _max_pool2d(draft: _Draft, value: Value) -> Value:
    value = _as_image(draft, value)
    height, width, _ = value.type.shape
    kernel = (draft.choices.integer(1, min(3, height)), draft.choices.integer(1, min(3, width)))
    sides = (kernel[0], kernel[0], kernel[1], kernel[1])
    pad = Padding(*(draft.choices.integer(0, min(1, side - 1)) for side in sides))
    stride = draft.pair(1, 3)
    return draft.append(MaxPool2d(inputs=(value.node_id,), kernel=kernel, stride=stride, pad=pad))


def _avg_pool2d(draft: _Draft, value: Value) -> Value:
    value = _as_image(draft, value)
    height, width, _ = value.type.shape
    kernel = (draft.choices.integer(1, min(3, height)), draft.choices.integer(1, min(3, width)))
    stride = draft.pair(1, 3)
    return draft.append(AvgPool2d(inputs=(value.node_id,), kernel=kernel, stride=stride))


def _global_avg_pool(draft: _Draft, value: Value) -> Value:
    value = _as_image(draft, value)
    return draft.append(GlobalAvgPool(inputs=(value.node_id,)))


def _clamp(draft: _Draft, value: Value) -> Value:
    element = _act(value)
    quarter = element.codes // 4
    low = draft.choices.integer(element.q_min, element.q_min + quarter)
    high = element.q_max - draft.choices.integer(0, quarter)
    return draft.append(Clamp(inputs=(value.node_id,), clamp_min=low, clamp_max=high))


def _lut(draft: _Draft, value: Value) -> Value:
    element = draft.element()
    codes = _act(value).codes
    table = draft.rng().integers(element.q_min, element.q_max, codes, endpoint=True)
    table = table.astype(np.int16)
    return draft.append(Lut(inputs=(value.node_id,), table=table, element=element))


def _add(draft: _Draft, value: Value) -> Value:
    """Residual block: the value plus a branch of it through a matmul of as many channels."""
    tensor = value.type
    if tensor.elements * tensor.channels > LAYER_MACS:
        return _clamp(draft, value)
    weights, bits = draft.weights(tensor.channels, tensor.channels)
    bias = np.zeros(tensor.channels, np.int32)
    inputs = (value.node_id,)
    branch = draft.weighted(MatMul(inputs=inputs, weights=weights, bias=bias, weight_bits=bits))
    operand_weights = draft.pair(1, 255)
    if draft.choices.integer(0, 1):
        operand_weights = (operand_weights[0], -operand_weights[1])
    acc = draft.append(Add(inputs=(value.node_id, branch.node_id), weights=operand_weights))
    sums = draft.results[acc.node_id].reshape(-1, tensor.channels)
    span = draft.element()
    scale = np.minimum(draft.scale_for(sums) * span.codes, MAX_SCALE)
    # An addition has no bias: its zero point has to bring the mean to the middle.
    offset = round((span.q_min + span.q_max) / 2 - float((sums * scale).mean()))
    zero_point = min(max(offset, span.q_min), span.q_max)
    return draft.requantize(acc, ActType(span.bits, span.signed, zero_point), scale)


def _concat(draft: _Draft, value: Value) -> Value:
    """The value beside a clamped copy of itself, which has the same type."""
    if value.type.channels > MAX_CHANNELS:
        return _clamp(draft, value)
    other = _clamp(draft, value)
    inputs = draft.pick(((value.node_id, other.node_id), (other.node_id, value.node_id)))
    return draft.append(Concat(inputs=inputs))


def _pad(draft: _Draft, value: Value) -> Value:
    value = _as_image(draft, value)
    pad = Padding(*(draft.choices.integer(0, 2) for _ in Padding._fields))
    return draft.append(Pad(inputs=(value.node_id,), pad=pad))


def _reshape(draft: _Draft, value: Value) -> Value:
    """Exchange the axes' lengths, or stand a vector up as an image."""
    shape = value.type.shape
    if len(shape) == 1:
        return _as_image(draft, value)
    turned = draft.pick(((shape[1], shape[0], shape[2]), (1, shape[0] * shape[1], shape[2])))
    return draft.append(Reshape(inputs=(value.node_id,), shape=turned))


def _flatten(draft: _Draft, value: Value) -> Value:
    return draft.append(Reshape(inputs=(value.node_id,), shape=(value.type.elements,)))


def _as_image(draft: _Draft, value: Value) -> Value:
    if value.type.is_image:
        return value
    features = value.type.elements
    # As square as it gets: the largest divisor that is no more than the square root.
    height = next(side for side in range(int(features**0.5), 0, -1) if features % side == 0)
    shape = (height, features // height, 1)
    return draft.append(Reshape(inputs=(value.node_id,), shape=shape))


def _act(value: Value) -> ActType:
    assert isinstance(value.type.element, ActType)
    return value.type.element


LAYERS: dict[str, Callable[[_Draft, Value], Value]] = {
    "matmul": _matmul,
    "conv2d": _conv2d,
    "max_pool2d": _max_pool2d,
    "depthwise": _depthwise,
    "clamp": _clamp,
    "add": _add,
    "concat": _concat,
    "grouped": _grouped,
    "avg_pool2d": _avg_pool2d,
    "pad": _pad,
    "reshape": _reshape,
    "flatten": _flatten,
    "global_avg_pool": _global_avg_pool,
    "lut": _lut,
}


def generate_network(
    choices: Choices,
    max_layers: int,
    layers: Sequence[str],
    max_weight_bits: int,
    roundings: Sequence[Rounding],
    max_threshold_bits: int = 0,
) -> Graph:
    """One network; :func:`tests.strategies.networks` describes the parameters."""
    rounding = roundings[choices.integer(0, len(roundings) - 1)]
    draft = _Draft(choices, rounding, max_weight_bits, max_threshold_bits)
    value = draft.input()
    for _ in range(choices.integer(1, max_layers)):
        value = LAYERS[draft.pick(layers)](draft, value)
    if not draft.is_weighted:
        value = _matmul(draft, value)
    return draft.builder.graph(value)
