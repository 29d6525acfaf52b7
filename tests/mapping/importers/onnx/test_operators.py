"""Every operator against ONNX Runtime without optimisations, over random models: bit for bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from mapping.importers import UnsupportedModelError
from mapping.importers.onnx import import_model
from tests.mapping.importers.onnx.draw import Draw, Model
from tests.mapping.importers.onnx.float_models import (
    EXACT_MODELS,
    FLOAT_MODELS,
    NOT_RUN_BY_DEFAULT,
    quarter,
    small_mean,
)
from tests.mapping.importers.onnx.integer_models import INTEGER_MODELS, many_sums
from tests.mapping.importers.onnx.limits import limits
from tests.mapping.importers.onnx.oracle import assert_same, infer, operators, results, session

SEEDS = st.integers(0, 2**32 - 1)
EXAMPLES = 20
RARE = 0.1
CERTAIN = 0.99
INTEGER_KERNELS = {"QGemm", "QLinearConv", "QLinearGlobalAveragePool", "QLinearMatMul"}


def check(model: Model, seed: int, *, is_dyadic: bool = False) -> None:
    """Compare, where every node is proven; some scales meet ties that no parameters have."""
    try:
        assert_same(*model(Draw(seed, is_dyadic=is_dyadic)))
    except UnsupportedModelError:
        reject()


def drawn(model: Model, seed: int) -> tuple[bytes, list[np.ndarray]]:
    """A random model that is supported, and its inputs."""
    data, batches = model(Draw(seed))
    try:
        import_model(data)
    except UnsupportedModelError:
        reject()
    return data, batches


def answers(data: bytes, batches: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Our only output and ONNX Runtime's, without optimisations, in the shape of the latter."""
    (theirs,) = infer(session(data), batches)
    (ours,) = results(import_model(data).network, batches)
    return ours.reshape(theirs.shape), theirs


@pytest.mark.parametrize("name", INTEGER_MODELS)
@given(seed=SEEDS)
@settings(max_examples=EXAMPLES)
def test_operators_on_integers(name: str, seed: int) -> None:
    check(INTEGER_MODELS[name], seed)


@pytest.mark.parametrize("seed", range(3))
def test_scales_are_those_of_the_kernels_to_the_last_place(seed: int) -> None:
    assert_same(*many_sums(Draw(seed)))


@pytest.mark.parametrize("name", EXACT_MODELS)
@given(seed=SEEDS)
@settings(max_examples=EXAMPLES)
def test_functions_of_few_integers_between_quantizations(name: str, seed: int) -> None:
    check(EXACT_MODELS[name], seed)


@pytest.mark.parametrize("name", FLOAT_MODELS)
@given(seed=SEEDS)
@settings(max_examples=EXAMPLES)
def test_sums_between_quantizations_whose_scales_are_powers_of_two(name: str, seed: int) -> None:
    check(FLOAT_MODELS[name], seed, is_dyadic=True)


@pytest.mark.parametrize("name", FLOAT_MODELS)
@given(seed=SEEDS)
@settings(max_examples=EXAMPLES)
def test_sums_of_any_scales_are_right_wherever_float32_decides(name: str, seed: int) -> None:
    data, batches = drawn(FLOAT_MODELS[name], seed)
    found, ours, theirs = limits(data, batches), *answers(data, batches)
    assert np.all(found.hold(theirs))
    assert np.all(found.hold(ours))
    np.testing.assert_array_equal(ours[found.is_certain], theirs[found.is_certain])


@pytest.mark.parametrize("name", sorted(FLOAT_MODELS.keys() - NOT_RUN_BY_DEFAULT))
@given(seed=SEEDS)
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.filter_too_much])
def test_sums_of_any_scales_are_those_of_the_kernels_that_replace_them(
    name: str, seed: int
) -> None:
    data, batches = drawn(FLOAT_MODELS[name], seed)
    assume(not INTEGER_KERNELS.isdisjoint(operators(data)))
    assert_same(data, batches, is_optimised=True, strict=False)


@pytest.mark.parametrize("name", FLOAT_MODELS)
def test_float32_decides_nearly_every_result(name: str) -> None:
    found = [limits(*FLOAT_MODELS[name](Draw(seed))) for seed in range(20)]
    assert np.mean(np.concatenate([each.is_certain.ravel() for each in found])) >= CERTAIN


@pytest.mark.parametrize("ratio", [1, 1 + 2.0**-20])
def test_onnx_runtime_has_two_results_for_one_sum_where_nothing_is_proven(ratio: float) -> None:
    data = quarter(ratio)
    assert len(import_model(data).unproven) == 1
    drawn = np.random.default_rng(0).integers(-128, 128, (2000, 1, 2, 2)).astype(np.int8)
    sums = drawn.sum((1, 2, 3))
    (means,) = infer(session(data), [drawn])
    assert any(np.unique(means[sums == each]).size > 1 for each in np.unique(sums))
    found = limits(data, [drawn])
    assert np.all(found.hold(means))
    assert not np.all(found.is_certain)


@pytest.mark.parametrize("size", [2, 3])
def test_means_of_few_are_proven_for_many_scales(size: int) -> None:
    proven = 0
    for seed in range(20):
        data, batches = small_mean(Draw(seed), size)
        proven += not assert_same(data, batches, strict=False).unproven
    assert proven >= 5


@pytest.mark.parametrize("name", {**INTEGER_MODELS, **EXACT_MODELS})
def test_what_is_not_proven_is_rare(name: str) -> None:
    model = {**INTEGER_MODELS, **EXACT_MODELS}[name]
    doubts = [len(import_model(model(Draw(seed))[0]).unproven) for seed in range(20)]
    assert np.mean(doubts) <= RARE
