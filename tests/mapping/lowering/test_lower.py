"""Lowering: offsets folded into biases, operands of every node kind, features by name."""

import numpy as np
import pytest

from mapping.builder import Builder, Value
from mapping.errors import UnsupportedError
from mapping.lowering.fuse import fuse, stored_values
from mapping.lowering.lower import IDENTITY_MULTIPLIER, LoweredLayer, lower
from mapping.ops import ActType
from systolic.spec.config import ArrayConfig
from systolic.spec.rounding import Rounding

CONFIG = ArrayConfig()


def lowered(builder: Builder, *outputs: Value, config: ArrayConfig = CONFIG) -> list[LoweredLayer]:
    """The layers of a network."""
    graph = builder.graph(*outputs)
    layers = fuse(graph, config)
    return list(lower(graph, layers, stored_values(graph, layers), config))


def test_the_zero_point_is_folded_into_the_bias() -> None:
    builder = Builder()
    weights = np.array([[3, -4], [5, 6]])
    value = builder.input((2,), zero_point=-100).matmul(weights, bias=[7, 9])
    layer = lowered(builder, value.requantize(1 << 30, 0, ActType(8, signed=True, zero_point=4)))[0]
    # Codes are q + 128, so that the code of zero is 28.
    assert layer.requantization.bias.tolist() == [7 - 28 * 8, 9 - 28 * 2]
    assert layer.requantization.zero == 132


def test_both_operands_of_an_addition_have_their_own_offset() -> None:
    builder = Builder()
    left = builder.input((1,), bits=4, zero_point=-8)
    right = builder.input((1,), bits=8, zero_point=10)
    layer = lowered(builder, left.add(right, weights=(100, -3)).requantize(1 << 30, -4))[0]
    assert layer.requantization.bias.tolist() == [0 * 100 + 138 * 3]
    assert [operand.weights.item() for operand in layer.operands] == [100, -3]


def test_an_average_is_taken_of_values_not_of_codes() -> None:
    builder = Builder()
    layer = lowered(builder, builder.input((4, 4, 3), zero_point=5).avg_pool2d(2))[0]
    assert layer.requantization.bias.tolist() == [4 * -128] * 3
    assert layer.requantization.zero == 128
    assert layer.operands[0].taps.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_copies_leave_codes_alone() -> None:
    builder = Builder()
    layer = lowered(builder, builder.input((4, 4, 3), zero_point=5).max_pool2d(2))[0]
    assert layer.requantization.bias.tolist() == [0, 0, 0]
    assert layer.requantization.multiplier.tolist() == [IDENTITY_MULTIPLIER] * 3
    assert layer.requantization.zero == 0
    assert layer.grid == (4, 4)
    assert layer.out_shape == (2, 2, 3)


def test_a_flattened_image_is_a_kernel_over_all_of_it() -> None:
    builder = Builder()
    matrix = np.arange(24).reshape(12, 2)
    value = builder.input((2, 3, 2)).flatten().matmul(matrix)
    operand = lowered(builder, value.requantize(1 << 30, 0))[0].operands[0]
    assert operand.kernel == (2, 3)
    np.testing.assert_array_equal(operand.weights, matrix.reshape(6, 2, 2))


def test_padding_and_dilation_are_in_the_taps() -> None:
    builder = Builder()
    value = builder.input((9, 9, 1)).conv2d(
        np.ones((2, 3, 1, 1), np.int32), dilation=(4, 2), pad=(1, 0, 2, 0)
    )
    operand = lowered(builder, value.requantize(1 << 30, 0))[0].operands[0]
    assert operand.taps.tolist() == [[-1, -2], [-1, 0], [-1, 2], [3, -2], [3, 0], [3, 2]]


def test_the_rounding_follows_the_node() -> None:
    builder = Builder()
    sums = builder.input((2,)).matmul(np.ones((2, 1), np.int32))
    onnx = lowered(builder, sums.requantize_onnx(0.5))[0]
    assert onnx.requantization.rounding is Rounding.ONNX
    assert lowered(builder, sums.requantize(1 << 30, 0))[0].requantization.rounding is (
        Rounding.TFLITE
    )


def test_what_the_configuration_lacks_is_refused_by_name() -> None:
    builder = Builder()
    image = builder.input((2,))
    sums = image.matmul(np.ones((2, 1), np.int32), name="head")
    plain = ArrayConfig(onnx=False, table=False)
    with pytest.raises(UnsupportedError, match=r"head: rounds as ONNX Runtime .* onnx=True"):
        lowered(builder, sums.requantize_onnx(0.5), config=plain)
    table = image.lut(np.arange(-128, 128), name="sigmoid")
    with pytest.raises(UnsupportedError, match=r"sigmoid: uses a lookup table.*table=True"):
        lowered(builder, table, config=plain)
