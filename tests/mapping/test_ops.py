"""Types and nodes: what is legal, and the message for everything that is not."""

from collections.abc import Callable

import numpy as np
import pytest

from mapping.builder import Builder, Value
from mapping.ops import (
    ActType,
    Add,
    Clamp,
    Concat,
    Conv2d,
    GraphError,
    MatMul,
    MaxPool2d,
    RequantizeOnnx,
    RequantizeTflite,
    RequantizeThresholds,
    TensorType,
)

INT8 = ActType(8, signed=True)
INT2 = ActType(2, signed=True)


def ones(*shape: int) -> np.ndarray:
    """Weights of one."""
    return np.ones(shape, np.int32)


def image(height: int = 6, width: int = 5, channels: int = 4, bits: int = 8) -> Value:
    """An input image in a builder of its own."""
    return Builder().input((height, width, channels), bits=bits)


@pytest.mark.parametrize(
    ("bits", "signed", "q_min", "q_max"),
    [(1, True, -1, 0), (1, False, 0, 1), (4, True, -8, 7), (8, False, 0, 255)],
)
def test_act_type_knows_its_range(bits: int, signed: bool, q_min: int, q_max: int) -> None:
    element = ActType(bits, signed)
    assert (element.q_min, element.q_max, element.codes) == (q_min, q_max, 2**bits)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ActType(9, True), r"activation bits must be 1\.\.8, not 9"),
        (lambda: ActType(0, True), r"activation bits must be 1\.\.8, not 0"),
        (lambda: ActType(4, True, 8), r"zero point must be -8\.\.7 .*, not 8"),
        (lambda: ActType(4, False, -1), r"zero point must be 0\.\.15 .*, not -1"),
        (lambda: TensorType((2, 3), INT8), r"\(features,\) or \(height, width, channels\)"),
        (lambda: TensorType((2, 0, 3), INT8), r"at least 1, not \(2, 0, 3\)"),
        (lambda: TensorType((1 << 25,), INT8), r"at most 16,777,216 elements, not 33,554,432"),
    ],
)
def test_illegal_types_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: image().conv2d(ones(3, 3, 3, 8)),
            r"node 1, conv2d: needs 3 input channels, not 4",
        ),
        (lambda: image().conv2d(ones(3, 3, 2, 6), groups=4), r"groups must divide .*\(6\), not 4"),
        (lambda: image().conv2d(ones(7, 3, 4, 2)), r"spans 7, beyond the padded height of 6"),
        (lambda: image().conv2d(ones(1, 3, 4, 2), dilation=3), r"spans 7, beyond .* width of 5"),
        (lambda: image().conv2d(ones(1, 1, 4, 2), stride=0), r"stride must be 1\.\.255, not 0"),
        (
            lambda: image().conv2d(ones(1, 1, 4, 2), stride=0, pad="same"),
            r"stride must be 1\.\.255, not 0",
        ),
        (
            lambda: image().conv2d(ones(1, 1, 4, 2), pad=(0, -1, 0, 0)),
            r"padding at the bottom must be 0\.\.255, not -1",
        ),
        (lambda: image().conv2d(ones(3, 3, 4)), r"weights must have 4 non-empty axes"),
        (lambda: image().conv2d(ones(3, 3, 4, 2), ones(3)), r"\(2\), not 3"),
        (lambda: image().conv2d(ones(1, 1, 4, 2) * 8, weight_bits=4), r"-8\.\.7, not 8\.\.8"),
        (lambda: image().conv2d(ones(1, 1, 4, 2) * 0.5), r"weights must be int32, not float64"),
        (
            lambda: image().conv2d(ones(1, 1, 4, 2), np.array([0, 1 << 31])),
            r"bias must be -2147483648\.\.2147483647, not 0\.\.2147483648",
        ),
        (lambda: image().matmul(ones(5, 2)), r"needs 5 input features .*, not 4"),
        (
            lambda: image().matmul(ones(4, 2), weight_bits=17),
            r"weight_bits must be 1\.\.16, not 17",
        ),
        (lambda: image().matmul(ones(4, 2)).matmul(ones(2, 2)), r"needs activations, not acc"),
        (lambda: image().requantize(1 << 30, 0), r"needs accumulators .*, not 6x5x4 int8 z0"),
        (lambda: image().flatten().max_pool2d(2), r"needs a \(height, width, channels\) input"),
        (lambda: image().max_pool2d(2, pad=(2, 0, 0, 0)), r"top must be below the kernel \(2\)"),
        (lambda: image().avg_pool2d(7), r"spans 7, beyond the padded height of 6"),
        (lambda: image().reshape(7), r"shape must hold 120 elements, not \(7,\)"),
        (lambda: image().clamp(-129, 0), r"clamp_min must be -128\.\.127, not -129"),
        (lambda: image().clamp(5, 4), r"clamp_max must be 5\.\.127, not 4"),
        (lambda: image(bits=4).lut(np.arange(8)), r"one entry per code \(16\), not 8"),
        (lambda: image(bits=1).lut(np.array([0, 128])), r"table must be -128\.\.127, not 0\.\.128"),
    ],
)
def test_illegal_layers_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda acc: acc.requantize(1, 0),
            r"multiplier must be 0 or 1073741824\.\.2147483647, not 1",
        ),
        (lambda acc: acc.requantize(1 << 31, 0), r"multiplier must be 0\.\.2147483647"),
        (lambda acc: acc.requantize(1 << 30, -32), r"shift must be -31\.\.30, not -32"),
        (
            lambda acc: acc.requantize([1 << 30] * 2, 0),
            r"as many shifts as multipliers \(2\), not 1",
        ),
        (lambda acc: acc.requantize([1 << 30] * 2, [0] * 2), r"one per channel \(3\), not 2"),
        (lambda acc: acc.requantize_onnx(np.float32(np.nan)), r"scale must be .*, not nan"),
        (lambda acc: acc.requantize_onnx(np.float32(0)), r"scale must be .*, not 0\.0"),
        (lambda acc: acc.requantize_onnx(1), r"scale must be float32, not int"),
        (lambda acc: acc.requantize_fixed(1, round_constant=3), r"0 or a power of two, not 3"),
        (lambda acc: acc.requantize_fixed(1 << 48), r"multiplier must be 0\.\.281474976710655"),
        (lambda acc: acc.requantize(1 << 30, 0, clamp=(0, 128)), r"clamp_max must be 0\.\.127"),
        (
            lambda acc: acc.requantize_thresholds([1, 2], INT2),
            r"needs 3 threshold\(s\) per channel for 2-bit activations, not 2",
        ),
        (lambda acc: acc.requantize_thresholds([1, 3, 2], INT2), r"must be in ascending order"),
        (lambda acc: acc.requantize_thresholds([[1, 2, 3]] * 2, INT2), r"channel \(3\), not 2"),
        (
            lambda acc: acc.requantize_thresholds([1, 2, 3], INT2, is_descending=[True] * 2),
            r"one value per row of thresholds \(1\), not 2",
        ),
        (lambda acc: acc.requantize_thresholds([1, 2, 2.5], INT2), r"must be int64, not float64"),
    ],
)
def test_illegal_requantizations_are_refused(make: Callable[[Value], object], message: str) -> None:
    acc = image().matmul(ones(4, 3))
    with pytest.raises(GraphError, match=message):
        make(acc)


def test_nodes_with_two_inputs_refuse_what_does_not_match() -> None:
    builder = Builder()
    left, right = builder.input((4, 4, 2)), builder.input((4, 3, 2))
    other = builder.input((4, 4, 2), zero_point=1)
    with pytest.raises(GraphError, match=r"inputs of one shape, not \(4, 4, 2\) and \(4, 3, 2\)"):
        left.add(right)
    with pytest.raises(GraphError, match=r"alike but for their channels"):
        left.concat(other)
    with pytest.raises(GraphError, match=r"a weight must be -32768\.\.32767, not 32768"):
        left.add(other, (1, 32768))
    with pytest.raises(GraphError, match=r"value 0 belongs to another builder"):
        image().add(left)
    with pytest.raises(GraphError, match=r"add: needs 2 input\(s\), not 1"):
        Add(inputs=(0,))
    with pytest.raises(GraphError, match=r"needs at least 2 inputs, not 1"):
        Concat(inputs=(0,))


@pytest.mark.parametrize(
    ("extent", "stride", "kernel", "before", "after"),
    [(8, 1, 3, 1, 1), (8, 2, 3, 0, 1), (7, 2, 3, 1, 1), (8, 2, 2, 0, 0), (5, 3, 4, 1, 1)],
)
def test_same_padding_follows_tensorflow(
    extent: int, stride: int, kernel: int, before: int, after: int
) -> None:
    builder = Builder()
    value = builder.input((extent, extent, 1))
    weights = ones(kernel, kernel, 1, 1)
    node = builder.graph(value.conv2d(weights, stride=stride, pad="same")).nodes[1]
    assert isinstance(node, Conv2d)
    assert node.pad == (before, after, before, after)


def test_arrays_are_copied_and_cannot_be_changed() -> None:
    weights = ones(4, 2)
    node = MatMul(inputs=(0,), weights=weights, bias=ones(2))
    weights[0, 0] = 5
    assert node.weights[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        node.weights[0, 0] = 5


def test_nodes_are_equal_by_value() -> None:
    def conv(value: int = 1, name: str = "a") -> Conv2d:
        return Conv2d(inputs=(0,), name=name, weights=ones(1, 1, 1, 2) * value, bias=ones(2))

    assert conv() == conv()
    assert hash(conv()) == hash(conv())
    assert conv() != conv(value=2)
    assert conv() != conv(name="b")
    assert conv() != Clamp(inputs=(0,), clamp_min=0, clamp_max=1)


def test_depthwise_is_one_input_channel_per_group() -> None:
    depthwise = Conv2d(inputs=(0,), weights=ones(3, 3, 1, 8), bias=ones(8), groups=4)
    dense = Conv2d(inputs=(0,), weights=ones(3, 3, 1, 8), bias=ones(8))
    assert depthwise.is_depthwise
    assert depthwise.in_channels == 4
    assert not dense.is_depthwise


def test_messages_name_the_node() -> None:
    with pytest.raises(GraphError, match=r"^node 1, max_pool2d 'shrink': the kernel spans 9"):
        image().max_pool2d(9, name="shrink")
    with pytest.raises(GraphError, match=r"^max_pool2d 'shrink': kernel must be 1\.\.255, not 0"):
        MaxPool2d(inputs=(0,), name="shrink", kernel=(0, 1), stride=(1, 1))


def test_thresholds_are_held_to_what_a_sum_can_reach() -> None:
    far = [-(1 << 62), -(1 << 31), 7, 1 << 31, 1 << 31, 1 << 40, (1 << 63) - 1]
    value = image().matmul(ones(4, 3)).requantize_thresholds(far, ActType(3, signed=False))
    node = value._builder.graph(value).nodes[2]
    assert isinstance(node, RequantizeThresholds)
    assert node.thresholds.tolist() == [[-(1 << 31)] * 2 + [7] + [1 << 31] * 4]
    assert node.is_descending.tolist() == [False]


def test_scales_are_one_or_per_channel() -> None:
    common = {"inputs": (0,), "element": INT8, "clamp_min": -128, "clamp_max": 127}
    tflite = RequantizeTflite(**common, multiplier=np.full(3, 1 << 30), shift=np.zeros(3, int))
    onnx = RequantizeOnnx(**common, scale=np.ones(1, np.float32))
    assert (tflite.channels, onnx.channels) == (3, 1)
