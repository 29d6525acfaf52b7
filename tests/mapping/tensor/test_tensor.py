"""What users see: numpy's rules, listings, explanations and refusals that name the expression."""

import doctest
import importlib
from collections.abc import Callable

import numpy as np
import pytest

from examples import lazy_tensors
from mapping.tensor import ExpressionError, Tensor, conv2d, max_pool2d
from systolic.spec.config import ArrayConfig
from tests.mapping.tensor.movements import values

CONFIG = ArrayConfig()
X = Tensor.input((6, 5, 4), zero_point=5, name="x")
Y = Tensor.input((6, 5, 4), name="y")
KERNEL = Tensor.constant(values((3, 3, 4, 8)), name="kernel")


@pytest.mark.parametrize(
    "key",
    [0, -1, slice(1, 4), (slice(None), slice(None, None, -2)), (..., 1), (None, 2, ..., None),
     (slice(4, 0, -3), 1, slice(-2, None))],
    ids=str,
)  # fmt: skip
def test_indexing_is_numpys(key: object) -> None:
    image = values(X.shape)
    np.testing.assert_array_equal(X[key].numpy(image), image[key])


def test_arithmetic_is_numpys_on_values_without_zero_point() -> None:
    image, other = values(X.shape, 1), values(Y.shape, 2)
    left = image - 5
    lazy = (3 - X * [1, 2, 3, 4]).sum(axis=(0, -1), keepdims=True) + Y.sum(0, keepdims=True)
    expected = (3 - left * [1, 2, 3, 4]).sum(axis=(0, -1), keepdims=True)
    expected = expected + other.sum(axis=0, keepdims=True)
    np.testing.assert_array_equal(lazy.numpy(image, other), expected)


def test_arrays_on_the_left_are_constants() -> None:
    matrix, given = values((3, 6), 1), values((6, 2), 2)
    tensor = Tensor.input((6, 2))
    np.testing.assert_array_equal((matrix @ tensor).numpy(given), matrix @ given)
    np.testing.assert_array_equal((given * tensor).numpy(given), given * given)
    np.testing.assert_array_equal((given - tensor).numpy(given), given - given)


def test_constants_are_computed_at_once() -> None:
    constant = (Tensor.constant([[1, 2], [3, 4]]).T @ [[1], [1]]).sum()
    np.testing.assert_array_equal(constant.numpy(), 10)
    assert len(str(constant).splitlines()) == 1


def test_explanation_says_why_layers_end() -> None:
    hidden = conv2d(X, KERNEL, pad="same").quantize(0.01)
    text = max_pool2d(hidden, 3, 1).explain(CONFIG)
    assert "the sums: convolution with a 3x3 kernel" in text
    assert "cannot join: its windows overlap" in text
    twice = (hidden.clip(0, 9) + hidden.clip(-9, 0)).quantize(1.0).explain(CONFIG)
    assert "2 nodes read it, so it has to be stored: clamp" in twice
    assert "does not compile" in (X * Y).quantize(0.1).explain(CONFIG)
    assert "the host reads (4, 5, 6)" in X.clip(0, 9).permute(2, 1, 0).explain(CONFIG)


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: X.reshape(7), r"x: reshape: \(6, 5, 4\) cannot become \(7\)"),
    (lambda: X.clip(0, 9).permute(0, 0, 1), r"clamp\(x\): permute: needs each axis"),
    (lambda: X + np.zeros((3, 3), int), r"x: shapes \(6, 5, 4\) and \(3, 3\) do not broadcast"),
    (lambda: X @ X, "the right side must be"),
    (lambda: X.sum(axis=3), "x: has 3 axes, so no axis 3"),
    (lambda: X[9], "x: has no element 9"),
    (lambda: X[3:3], "x: nothing is left"),
    (lambda: X * 0.5, "constants must be integers, not float64"),
    (lambda: X.sum().max(), "max needs activations: quantize first"),
    (lambda: X.clip(9, 0), r"bounds must be -133..122 in order, not \(9, 0\)"),
    (lambda: X.quantize(0.0), "a scale must be above 0"),
    (lambda: X.quantize([0.1, 0.2]), r"scales of shape \(2,\) do not broadcast"),
    (lambda: X.lut([1, 2]), "the table must be 256 integers -128..127"),
    (lambda: X.numpy(values((2, 2))), r"x: must be integers of shape \(6, 5, 4\)"),
    (lambda: conv2d(X, KERNEL, groups=2), "conv2d in 2 groups: 4 channels do not fit"),
    (lambda: conv2d(X, KERNEL, pad="half"), "must be same, valid or four lengths, not 'half'"),
    (lambda: bool(X), "x: has no truth value"),
    (lambda: X.sum(axis=2).compile(CONFIG), r"sum\(x, axis=\(2\)\): sums stay .* quantize them"),
    (lambda: (X * Y).quantize(0.1).compile(CONFIG), r"\(x \* y\): both factors are computed"),
    (lambda: X.max(axis=2).compile(CONFIG), "is no maximum over dense windows"),
    (lambda: X.pad((0, 0), (0, 0), (1, 1)).clip(3, 9).compile(CONFIG), "are no border"),
    (lambda: (X.sum(0) + Y.sum(0)).quantize(1).compile(CONFIG), "adds sums over two tensors"),
    (lambda: (X + Y + 1).quantize(1).compile(CONFIG), "and no constant: quantize the sums first"),
    (lambda: (X * 99999).quantize(1).compile(CONFIG), "weight_bits must be 1..16, not 18"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[text for _, text in REFUSED])
def test_refusals_name_the_expression(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_kernels_may_be_arrays() -> None:
    image, kernel = values(X.shape), values((3, 3, 4, 8))
    assert repr(X) == "Tensor(shape=(6, 5, 4), int8 z5)"
    got, wanted = (conv2d(X, each, pad="same").numpy(image) for each in (kernel, KERNEL))
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", ["explain", "fit", "lower", "tensor", "view"])
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"mapping.tensor.{name}"))
    assert result.attempted
    assert not result.failed


def test_the_example_gives_one_program_and_numpys_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lazy_tensors.main()
    text = capsys.readouterr().out
    assert "bytes: True" in text
    assert "numpy the same: True" in text
