"""Every operator against ONNX Runtime without optimisations, over random models: bit for bit."""

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from mapping.importers.onnx import UnsupportedModelError, import_model
from tests.mapping.importers.onnx.draw import Draw
from tests.mapping.importers.onnx.oracle import assert_same
from tests.mapping.importers.onnx.random_model import (
    EXACT_MODELS,
    FLOAT_MODELS,
    INTEGER_MODELS,
    Model,
    many_sums,
)

SEEDS = st.integers(0, 2**32 - 1)
EXAMPLES = 20
RARE = 0.1


def check(model: Model, seed: int, *, is_dyadic: bool = False) -> None:
    """Compare, where every node is proven; some scales meet ties that no parameters have."""
    try:
        assert_same(*model(Draw(seed, is_dyadic=is_dyadic)))
    except UnsupportedModelError:
        reject()


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


@pytest.mark.parametrize("name", ["conv", "gemm"])
@given(seed=SEEDS)
@settings(max_examples=EXAMPLES)
def test_sums_of_any_scales_are_those_of_the_kernels_that_replace_them(
    name: str, seed: int
) -> None:
    assert_same(*FLOAT_MODELS[name](Draw(seed)), is_optimised=True, strict=False)


@pytest.mark.parametrize("name", {**INTEGER_MODELS, **EXACT_MODELS})
def test_what_is_not_proven_is_rare(name: str) -> None:
    model = {**INTEGER_MODELS, **EXACT_MODELS}[name]
    doubts = [len(import_model(model(Draw(seed))[0]).unproven) for seed in range(20)]
    assert np.mean(doubts) <= RARE
