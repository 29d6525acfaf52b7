"""Random expressions: the network that they become gives what numpy gives."""

import numpy as np
from hypothesis import event, given, note, settings
from hypothesis import strategies as st

from mapping.reference import run
from mapping.tensor import ExpressionError, Tensor
from mapping.tensor.lower import lower
from sim.functional import FunctionalSimulator
from systolic.spec.config import ArrayConfig
from tests.mapping.tensor.movements import chains, values

CONFIG = ArrayConfig(scratchpad_words=65536)


def moved(draw: st.DrawFn, tensor: Tensor, longest: int) -> Tensor:
    for movement in draw(chains(tensor.shape, longest)):
        tensor = tensor._move(movement)
    return tensor


def some_axes(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axis for axis in range(len(shape)) if draw(st.integers(0, 2)) == 0)


def sums(draw: st.DrawFn, tensor: Tensor) -> Tensor:
    """Products with constants, movements, sums and offsets, in any order."""
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            shape = tuple(draw(st.sampled_from((1, n))) for n in tensor.shape)
            tensor = tensor * Tensor.constant(values(shape, draw(st.integers(0, 9)), -5, 5), 4)
        if draw(st.booleans()):
            tensor = moved(draw, tensor, 2)
        if draw(st.booleans()):
            tensor = tensor.sum(axis=some_axes(draw, tensor.shape))
        if draw(st.integers(0, 3)) == 0:
            tensor = tensor + values(tensor.shape[-1:], draw(st.integers(0, 9)), -90, 90)
    return tensor


def pointwise(draw: st.DrawFn, tensor: Tensor) -> Tensor:
    kind = draw(st.integers(0, 3))
    if kind == 1:
        return tensor.clip(*sorted((draw(st.integers(-9, 9)), draw(st.integers(-9, 9)))))
    if kind == 2:
        return tensor.lut(values((256,), 3), zero_point=draw(st.integers(-9, 9)))
    if kind == 3 and tensor.ndim:
        return tensor.max(axis=draw(st.integers(0, tensor.ndim - 1)))
    return tensor


@st.composite
def expressions(draw: st.DrawFn) -> Tensor:
    """One to three layers over an image, moved about between them."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    tensor = Tensor.input(shape, zero_point=draw(st.integers(-20, 20)))
    for _ in range(draw(st.integers(1, 3))):
        tensor = sums(draw, moved(draw, tensor, 3))
        scale: object = draw(st.sampled_from((0.7, 0.04)))
        if tensor.ndim and draw(st.booleans()):
            scale = np.linspace(0.02, 0.9, tensor.shape[-1])
        tensor = tensor.quantize(scale, zero_point=draw(st.integers(-9, 9)))
        tensor = moved(draw, pointwise(draw, moved(draw, tensor, 2)), 1)
    return tensor


REFUSALS = ("no maximum over dense windows", "zeros are no border", "too many for a matrix",
            "one scale or one per channel", "depends on no input", "weight_bits",
            "may differ between channels")  # fmt: skip


@settings(max_examples=300)
@given(expressions())
def test_the_network_gives_what_numpy_gives(tensor: Tensor) -> None:
    note(str(tensor))
    given_values = [values(node.shape, 5) for node in tensor.inputs]
    expected = tensor.numpy(*given_values)
    try:
        lowered = lower(tensor.expression)
    except ExpressionError as error:
        event(next(reason for reason in REFUSALS if reason in str(error)))  # none: it fails
        return
    shapes = [lowered.graph.types[node].shape for node in lowered.graph.input_ids]
    batches = [each.reshape(1, *shape) for each, shape in zip(given_values, shapes, strict=True)]
    (stored,) = run(lowered.graph, *batches)
    np.testing.assert_array_equal(lowered.values(stored[0]), expected)


@settings(max_examples=25)
@given(expressions())
def test_the_program_gives_what_numpy_gives(tensor: Tensor) -> None:
    note(str(tensor))
    given_values = [values(node.shape, 6) for node in tensor.inputs]
    try:
        result = tensor.run(FunctionalSimulator(CONFIG), *given_values)
    except ExpressionError:
        return  # the test above says which ones
    np.testing.assert_array_equal(result, tensor.numpy(*given_values))
    assert tensor.explain(CONFIG).startswith(str(tensor))
