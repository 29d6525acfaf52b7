"""Products of two computed tensors, joined tensors, means, and programs with several results."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from mapping.ops import Constant, DynamicMatMul
from mapping.program.file import to_bytes
from mapping.tensor import (
    ExpressionError,
    Tensor,
    compile_tensors,
    concat,
    run_tensors,
)
from sim.functional import FunctionalSimulator
from systolic.spec.config import ArrayConfig
from tests.mapping.tensor.movements import values

CONFIG = ArrayConfig(scratchpad_words=65536)
A = Tensor.input((5, 6), zero_point=3, name="a")
B = Tensor.input((7, 6), name="b")
C = Tensor.input((6, 7), name="c")


def check(tensor: Tensor) -> None:
    """Whether the simulator's result is numpy's."""
    arrays = [values(node.shape, seed) for seed, node in enumerate(tensor.inputs)]
    result = tensor.run(FunctionalSimulator(CONFIG), *arrays)
    np.testing.assert_array_equal(result, tensor.numpy(*arrays))


FORMS: list[Callable[[], Tensor]] = [
    lambda: (A.reshape(5, 1, 6) * B.reshape(1, 7, 6)).sum(axis=2),
    lambda: (B.reshape(1, 7, 6) * A.reshape(5, 1, 6)).sum(axis=-1),
    lambda: (A.T.reshape(6, 5, 1).expand(6, 5, 7) * B.permute(1, 0)[:, None]).sum(axis=0),
    lambda: (A.reshape(5, 1, 2, 3) * B.reshape(1, 7, 2, 3)).sum(axis=3).sum(axis=2),
]


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_a_product_give_the_same_bytes(form: Callable[[], Tensor]) -> None:
    # Naming a first keeps the order of the inputs.
    direct, other = (
        to_bytes(compile_tensors([A.clip(-9, 9), one.quantize(0.002)], CONFIG))
        for one in (A @ B.T, form())
    )
    assert direct == other


def test_rows_that_lie_in_order_are_read_where_they_are() -> None:
    nodes = (A @ B.T).quantize(0.002).graph().nodes
    assert [type(node).__name__ for node in nodes] == [
        "Input", "Input", "DynamicMatMul", "RequantizeTflite",
    ]  # fmt: skip


def test_columns_are_turned_by_a_product_with_ones() -> None:
    nodes = (A @ C).quantize(0.002).graph().nodes
    assert sum(isinstance(node, DynamicMatMul) for node in nodes) == 2
    (ones,) = (node for node in nodes if isinstance(node, Constant))
    np.testing.assert_array_equal(ones.values[0], np.eye(7))


@pytest.mark.parametrize(
    "build",
    [
        lambda: A @ B.T, lambda: A @ C, lambda: C.T @ A.T, lambda: A @ A.T, lambda: A.T @ A,
        lambda: (A @ B.T).T, lambda: A[1:4, 2:5] @ B[::2, 1:4].T, lambda: A[0] @ C,
        lambda: A.pad((1, 0), (0, 0)) @ B.T, lambda: A[:, :1] @ B[:, 2:3].T,
        lambda: A.reshape(1, 5, 6) @ B.flip(0).T, lambda: A[:, :1] * B[:, 0],
    ],
)  # fmt: skip
def test_products_give_what_numpy_gives(build: Callable[[], Tensor]) -> None:
    check(build().quantize(0.002, zero_point=-5))


def test_scales_may_differ_between_the_right_sides_rows() -> None:
    check((A @ B.T).quantize(np.linspace(0.001, 0.01, 7)))
    with pytest.raises(ExpressionError, match="may differ between channels only"):
        (A @ B.T).quantize(np.linspace(0.001, 0.01, 5)[:, None]).graph()


@st.composite
def products(draw: st.DrawFn) -> Tensor:
    """Two to three products in a row of tensors of random types, some of them turned."""
    extents = st.integers(1, 6)

    def activations(rows: int, cols: int) -> Tensor:
        bits, signed = draw(st.sampled_from((1, 4, 8))), draw(st.booleans())
        low = -(1 << bits - 1) if signed else 0
        zero = draw(st.integers(low, low + (1 << bits) - 1))
        source = Tensor.input((rows, cols), 8, name="source")
        weights = values((cols, cols), draw(st.integers(0, 9)), -128, 127)
        return (source @ weights).quantize(0.003, zero, bits, signed)

    tensor = activations(draw(extents), draw(extents))
    for _ in range(draw(st.integers(1, 2))):
        other = activations(draw(extents), tensor.shape[1])
        if draw(st.booleans()):
            other = activations(tensor.shape[1], draw(extents)).T
        pair = (tensor, other) if draw(st.booleans()) else (other, tensor)
        tensor = (pair[0] @ pair[1].T).quantize(0.004, zero_point=draw(st.integers(-99, 99)))
    return tensor


@settings(max_examples=25)
@given(products())
def test_random_products_give_what_numpy_gives(tensor: Tensor) -> None:
    note(str(tensor))
    check(tensor)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_joined_tensors_are_numpys(axis: int) -> None:
    other = Tensor.input((5, 6), zero_point=3, name="other")
    check(concat([A, other.flip(1), A[:, ::-1]], axis))
    check((concat([A, other], axis).sum(axis=0) + 7).quantize(0.1))


@pytest.mark.parametrize("zero_point", [0, -128, 5])
def test_means_round_q_half_away_from_zero(zero_point: int) -> None:
    image = Tensor.input((4, 6, 3), zero_point=zero_point, name="image")
    given_q = values(image.shape, 1)
    sums = given_q.sum(axis=(0, 1))
    rounded = np.sign(sums) * ((np.abs(sums) + 12) // 24)
    np.testing.assert_array_equal(image.mean((0, 1)).numpy(given_q), rounded)
    check(image.mean((0, 1)))
    check(image.reshape(2, 2, 3, 2, 3).mean((1, 3), keepdims=True))
    padded = image.pad((1, 1), (0, 0), (0, 0)).sliding_window_view((2, 2), axis=(0, 1))
    check(padded.mean((-2, -1)))


def test_several_tensors_share_what_they_have_in_common() -> None:
    hidden = (A @ values((6, 6), 1)).quantize(0.01)
    tensors = [(hidden @ B.T).quantize(0.002), hidden.relu(), hidden.T]
    arrays = values(A.shape, 1), values(B.shape, 2)
    results = run_tensors(FunctionalSimulator(CONFIG), tensors, *arrays)
    for tensor, result in zip(tensors, results, strict=True):
        expected = tensor.numpy(*arrays[: len(tensor.inputs)])
        np.testing.assert_array_equal(result, expected)
    program = compile_tensors(tensors, CONFIG, slots=2)
    assert len(program.outputs) == 3
    assert len(program.slots) == 2
    assert len(hidden.compile(CONFIG, slots=1).slots) == 1


def test_explanation_says_what_is_stored_as_weights() -> None:
    text = (A @ C).quantize(0.002).explain(CONFIG)
    assert "the sums: matmul of two computed tensors" in text
    assert "dynamic_matmul + requantize + as weights" in text
    assert "as weights (complement)" in text
    assert "cannot join: it multiplies two stored tensors" in text


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: (A * A).quantize(0.1).graph(), r"\(a \* a\): both factors are computed, and pair up"),
    (lambda: (A * A).sum(axis=1).quantize(0.1).graph(), "pair up the elements of an axis"),
    (lambda: (A[:, None] * B).sum(axis=(1, 2)).quantize(1.0).graph(), "along an axis of one"),
    (lambda: ((A * 2) @ B.T).quantize(0.1).graph(), "quantize it first"),
    (lambda: ((A @ B.T) * 2).quantize(0.1).graph(), "put these into the scale"),
    (lambda: (A @ B.T + 1).quantize(0.1).graph(), "quantize the product first"),
    (lambda: concat([]), "needs at least one tensor"),
    (lambda: concat([A, B], 1), r"b: concat along axis 1: shape \(7, 6\) does not fit \(5, 6\)"),
    (lambda: concat([A, B], 0), "b: concat needs tensors of one type, not int8 z3 and int8 z0"),
    (lambda: A.sum(0).mean(), "mean needs activations"),
    (lambda: Tensor.input((2, 3, 4)).mean(2).graph(), "is no mean over dense windows"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[text for _, text in REFUSED])
def test_refusals_name_the_expression(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)
