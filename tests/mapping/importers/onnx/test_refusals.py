"""What is refused, and in which words."""

from typing import Any

import numpy as np
import pytest

from mapping.host_ends import AffineByAxis
from mapping.importers import ModelError, UnsupportedModelError
from mapping.importers.onnx import import_model
from tests.mapping.importers.onnx.draw import Draw
from tests.mapping.importers.onnx.float_models import FLOAT_MODELS
from tests.mapping.importers.onnx.writer import MICROSOFT, Writer

SCALE = np.float32(0.25)
ZERO = np.int8(3)
SHAPE = (1, 4, 6, 6)


class Model:
    """A model of one image, quantized and dequantized, that a test goes on with."""

    def __init__(self, shape: tuple[int, ...] = SHAPE) -> None:
        self.writer = Writer()
        self.integers = self.writer.input(shape, np.int8)
        self.real = self.dequantize(self.integers)

    def grid(self, scale: Any = SCALE, zero: Any = ZERO) -> list[str]:
        return [self.writer.constant(scale), self.writer.constant(zero)]

    def dequantize(self, name: str) -> str:
        return self.writer.node("DequantizeLinear", [name, *self.grid()])

    def weights(self, *shape: int, axis: int = 0, scales: int = 1) -> str:
        values = self.writer.constant(np.ones(shape, np.int8))
        grid = self.grid(np.full(scales, SCALE), np.zeros(scales, np.int8))
        return self.writer.node("DequantizeLinear", [values, *grid], axis=axis)

    def refusal(self, real: str) -> str:
        """Quantize a result, and give the words of refusal."""
        self.writer.output(self.writer.node("QuantizeLinear", [real, *self.grid()]), np.int8)
        with pytest.raises(ModelError) as caught:
            import_model(self.writer.to_bytes())
        assert "\n" not in str(caught.value)
        return str(caught.value)


def test_every_refusal_is_in_one_report() -> None:
    model = Model()
    model.writer.output(model.writer.node("Gelu", [model.real]), np.float32)
    model.writer.output(model.writer.node("NonZero", [model.integers]), np.int64)
    model.writer.output(model.writer.node("Relu", [model.writer.nodes[-1].output[0]]), np.float32)
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(model.writer.to_bytes())
    assert [(problem.operator, problem.index) for problem in caught.value.problems] == [
        ("Gelu", 1),
        ("NonZero", 2),
    ]


def by_axis(*, count: int, op: str, axis: int = 1) -> str:
    """Refusal of a node with so many scales behind a Relu, or behind the input."""
    model = Model()
    grid = model.grid(np.full(count, SCALE), np.zeros(count, np.int8))
    real = model.writer.node("Relu", [model.real])
    if op == "QuantizeLinear":
        model.writer.output(model.writer.node(op, [real, *grid], axis=axis), np.int8)
    else:
        name = model.writer.node("MaxPool", [model.integers], kernel_shape=[1, 1])
        model.writer.output(model.writer.node(op, [name, *grid], axis=axis), np.float32)
    with pytest.raises(ModelError) as caught:
        import_model(model.writer.to_bytes())
    return str(caught.value)


def test_only_the_ends_have_several_scales() -> None:
    assert "only inputs and outputs have several" in by_axis(count=4, op="QuantizeLinear")
    message = "must have the shape (1, 4, 1, 1), not (3,)"
    assert message in by_axis(count=3, op="DequantizeLinear")
    assert "within the 4 axes" in by_axis(count=4, op="DequantizeLinear", axis=9)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"zero_points": (1,)}, "must fill the shape"),
        ({"axis": 1}, "has no blocks of 1 on axis 1"),
        ({"block": 0}, "has no blocks of 0"),
    ],
)
def test_scales_have_to_fill_their_shape(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AffineByAxis(**{"scales": (1.0, 2.0), "zero_points": (0, 0), "shape": (2,), **fields})


def test_float_models_are_told_how_to_be_quantized() -> None:
    writer = Writer()
    writer.output(writer.node("Relu", [writer.input(SHAPE, np.float32)]), np.float32)
    with pytest.raises(ModelError, match="quantize_static"):
        import_model(writer.to_bytes())


@pytest.mark.parametrize(
    ("op", "attributes", "reason"),
    [
        ("AveragePool", {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}, "count_include_pad"),
        ("AveragePool", {"kernel_shape": [2, 2], "dilations": [2, 2]}, "its dilations must be 1"),
        ("AveragePool", {"kernel_shape": [2]}, "must be at least 1 on each of 2 axes, not (2,)"),
        ("AveragePool", {"kernel_shape": [5, 5], "strides": [2, 2], "ceil_mode": 1}, "ceil_mode"),
        ("MaxPool", {"kernel_shape": [2, 2], "auto_pad": "WHAT"}, "its auto_pad 'WHAT' is unknown"),
        ("MaxPool", {"kernel_shape": [2, 2], "pads": [1]}, "its pads must be 4, none negative"),
        ("Softmax", {"axis": 1}, "its axis must be the last of 4, not 1"),
        ("Transpose", {"perm": [0, 0, 1, 2]}, "does not fit"),
        ("Flatten", {"axis": 9}, "does not fit (axis 9)"),
        ("ConvTranspose", {}, "transposed convolutions are not supported"),
    ],
)
def test_attributes(op: str, attributes: dict[str, Any], reason: str) -> None:
    model = Model()
    assert reason in model.refusal(model.writer.node(op, [model.real], **attributes))


def test_weights_have_to_be_quantized_constants() -> None:
    model = Model()
    plain = model.writer.constant(np.ones((4, 4, 1, 1), np.float32))
    assert "its weights are not quantized" in model.refusal(
        model.writer.node("Conv", [model.real, plain])
    )
    model = Model()
    assert "its weights are computed" in model.refusal(
        model.writer.node("Conv", [model.real, model.real])
    )


def test_scales_have_to_be_along_the_outputs() -> None:
    model = Model((1, 4))
    weights = model.weights(4, 5, axis=0, scales=4)
    assert "scales must be along axis 1, not 0" in model.refusal(
        model.writer.node("MatMul", [model.real, weights])
    )


def test_a_bias_has_to_be_in_steps_of_the_sums() -> None:
    model = Model()
    weights = model.weights(4, 4, 1, 1)
    bias = model.writer.constant(np.ones(4, np.float32))
    assert "its bias must be quantized to int32" in model.refusal(
        model.writer.node("Conv", [model.real, weights, bias])
    )
    model = Model()
    weights, bias = model.weights(4, 4, 1, 1), model.weights(4)
    assert "input scale times weight scale" in model.refusal(
        model.writer.node("Conv", [model.real, weights, bias])
    )


def test_orders_that_would_take_a_copy_are_refused() -> None:
    model = Model()
    pooled = model.writer.node("MaxPool", [model.real], kernel_shape=[1, 1])
    turned = model.writer.node("Transpose", [pooled], perm=[0, 2, 1, 3])
    assert "would take a copy" in model.refusal(
        model.writer.node("MaxPool", [turned], kernel_shape=[1, 1])
    )


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf, 1e-30])
def test_scales_have_to_be_sound(scale: float) -> None:
    model = Model()
    grid = model.grid(np.float32(scale))
    real = model.writer.node("DequantizeLinear", [model.integers, *grid])
    assert "must hold scales in" in model.refusal(real)


def test_sums_cannot_be_outputs() -> None:
    model = Model()
    model.writer.output(
        model.writer.node("Conv", [model.real, model.weights(4, 4, 1, 1)]), np.float32
    )
    with pytest.raises(ModelError, match="must be quantized activations, or those dequantized"):
        import_model(model.writer.to_bytes())


def test_a_batch_of_several_images_is_refused() -> None:
    model = Model((2, 4, 6, 6))
    assert "or (1, channels, width), not (2, 4, 6, 6)" in (
        model.refusal(model.writer.node("MaxPool", [model.real], kernel_shape=[2, 2]))
    )


def test_products_of_activations_are_refused() -> None:
    model = Model()
    assert "products of two activations" in model.refusal(
        model.writer.node("Mul", [model.real, model.real])
    )


def test_functions_of_sums_are_refused() -> None:
    model = Model()
    total = model.writer.node("Add", [model.real, model.dequantize(model.integers)])
    assert "only a sum of two activations, perhaps clamped" in model.refusal(
        model.writer.node("HardSwish", [total])
    )


def test_unused_inputs_are_refused() -> None:
    model = Model()
    model.writer.input(SHAPE, np.int8)
    assert "is never used" in model.refusal(model.real)


def test_strict_refuses_what_float32_may_round_otherwise() -> None:
    data, _ = FLOAT_MODELS["conv"](Draw(seed=0))
    assert len(import_model(data).unproven) == 1
    with pytest.raises(UnsupportedModelError, match="next to ties it may give one step more"):
        import_model(data, strict=True)


def test_other_domains_are_named() -> None:
    model = Model()
    made = model.writer.node("QLinearLeakyRelu", [model.real], MICROSOFT)
    assert "com.microsoft.QLinearLeakyRelu 1: this operator is not supported" in model.refusal(made)
