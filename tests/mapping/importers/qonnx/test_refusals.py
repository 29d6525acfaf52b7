"""What is not supported is refused in one line that says so, all of it at once."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from mapping.importers import ModelError, UnsupportedModelError
from mapping.importers.qonnx import import_model
from tests.mapping.importers.qonnx.models import Writer


def image(net: Writer) -> str:
    return net.quant(net.input(2, 4, 4), 2, 1.0, signed=True)


def vector(net: Writer) -> str:
    return net.quant(net.input(6), 2, 1.0, signed=True)


def matmul(net: Writer, value: str, outputs: int = 3) -> str:
    return net.node("MatMul", value, net.constant(np.ones((6, outputs))))


def message(build: Callable[[Writer], str]) -> str:
    net = Writer(seed=0)
    with pytest.raises(ModelError) as caught:
        import_model(net.finish(build(net)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def conv(net: Writer, value: str, weights: object, **attributes: object) -> str:
    return net.node("Conv", value, net.constant(weights), **attributes)


REFUSALS: dict[str, tuple[Callable[[Writer], str], str]] = {
    "unknown operator": (
        lambda net: net.node("Softmax", matmul(net, vector(net))),
        "this operator is not supported",
    ),
    "unknown quantizer": (
        lambda net: net.node("FloatQuant", net.input(6), domain=net.domain),
        "this operator is not supported",
    ),
    "real weights": (
        lambda net: net.node("MatMul", vector(net), net.constant(np.full((6, 3), 0.3))),
        "its weights are real numbers: quantize them",
    ),
    "real activations": (
        lambda net: matmul(net, net.input(6)),
        "where quantized activations are needed: put a Quant or BipolarQuant before it",
    ),
    "computed weights": (
        lambda net: net.node("MatMul", (v := vector(net)), v),
        "input 1 must be a constant",
    ),
    "scale per channel": (
        lambda net: net.quant(net.input(2, 4, 4), 2, np.ones((2, 1, 1)) * [[[1]], [[2]]],
                              signed=True),
        "its scale differs between channels, which only weights may have",
    ),
    "computed scale": (
        lambda net: net.node("BipolarQuant", (v := vector(net)), v, domain=net.domain),
        "input 1 must be a constant",
    ),
    "negative scale": (
        lambda net: net.bipolar(net.input(6), -1.0),
        "its scale must be positive",
    ),
    "bits": (
        lambda net: net.quant(net.input(6), 9, 1.0, signed=True),
        "activations have at most 8 bits",
    ),
    "half a bit": (
        lambda net: net.node("Quant", net.input(6), *map(net.constant, (1.0, 0.0, 2.5)),
                             domain=net.domain),
        "its bit width must be an integer 1..32, not 2.5",
    ),
    "rounding": (
        lambda net: net.node("Quant", net.input(6), *map(net.constant, (1.0, 0.0, 2)),
                             domain=net.domain, rounding_mode="STOCHASTIC"),
        "its rounding_mode must be one of ROUND, HALF_EVEN, CEIL, FLOOR, UP, DOWN, HALF_UP, "
        "HALF_DOWN, not 'STOCHASTIC'",
    ),
    "border without zero": (
        lambda net: conv(net, net.node("Add", image(net), net.constant(0.25)),
                         np.ones((1, 2, 3, 3)), pads=[1] * 4),
        "it pads with 0, which its input cannot hold",
    ),
    "weights' matrix": (
        lambda net: net.node("MatMul", vector(net), net.constant(np.ones((5, 3)))),
        r"its weights must be a matrix of 6 rows, not \(5, 3\)",
    ),
    "constant too large": (
        lambda net: net.node("Add", matmul(net, vector(net)), net.constant(np.ones((7, 1, 3)))),
        "does not fit a tensor",
    ),
    "different pixels": (
        lambda net: net.bipolar(net.node("Add", conv(net, image(net), np.ones((1, 2, 1, 1))),
                                         net.constant(np.arange(4))), 1.0),
        "a constant differs between pixels",
    ),
    "division by zero": (
        lambda net: net.node("Div", matmul(net, vector(net)), net.constant(0)),
        "must not divide by 0",
    ),
    "division of a constant": (
        lambda net: net.node("Div", net.constant(1), matmul(net, vector(net))),
        "dividing a constant by what is computed",
    ),
    "product of two": (
        lambda net: net.node("Mul", (v := vector(net)), v),
        "of two computed operands only Add is supported",
    ),
    "scales that do not divide": (
        lambda net: net.node("Add", net.quant(matmul(net, (v := vector(net)), 6), 2, 0.75,
                                              signed=True), v),
        "its inputs' scales are 0.75 and 1: quantize both with one scale",
    ),
    "training": (
        lambda net: net.node("Dropout", net.node("Foo", vector(net))),
        "Foo 1: this operator is not supported",
    ),
    "overflow of float32": (
        lambda net: net.bipolar(net.node("Mul", net.node(
            "Mul", matmul(net, vector(net)), net.constant(1e30)), net.constant(1e30)), 1.0),
        "leaves the range of float32",
    ),
    "wide sums": (
        lambda net: net.node("MatMul", net.quant(net.input(6), 8, 1.0, signed=True),
                             net.constant(np.full((6, 3), 100))),
        "which takes 598 codes of 8 bits for each, and only 64 are supported: quantize the output",
    ),
    "moved output": (
        lambda net: net.node("Transpose", conv(net, image(net), np.ones((2, 2, 1, 1))),
                             perm=[0, 2, 3, 1]),
        "leave that to the host",
    ),
    "no array": (lambda net: net.node("Relu", net.input(6)), "it is not computed by the array"),
    "uneven levels": (
        lambda net: net.node("Quant", matmul(net, vector(net)), *map(net.constant, (3.0, 0, 6)),
                             domain=net.domain, rounding_mode="DOWN", signed=1),
        "lie unevenly",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_say_what_and_what_to_do(case: str) -> None:
    build, pattern = REFUSALS[case]
    assert re.search(pattern, message(build))


def test_all_refusals_are_named_at_once() -> None:
    net = Writer(seed=0)
    value = vector(net)
    first = net.node("Erf", matmul(net, value))
    second = net.node("Sign", first)
    third = net.node("Exp", matmul(net, value))
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(net.finish(second, third))
    assert [problem.operator for problem in caught.value.problems] == ["Erf", "Sign", "Exp"]


def test_what_follows_a_refusal_is_not_blamed() -> None:
    net = Writer(seed=0)
    value = net.bipolar(net.node("Erf", matmul(net, vector(net))), 1.0)
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(net.finish(value))
    assert [problem.operator for problem in caught.value.problems] == ["Erf"]


def test_models_without_a_quantized_input_are_refused() -> None:
    net = Writer(seed=0)
    net.input(6)
    with pytest.raises(ModelError, match="not computed by the array"):
        import_model(net.finish(net.constant(1.0)))
