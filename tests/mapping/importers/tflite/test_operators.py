"""Every operator against tflite-micro, over random small models: bit for bit."""

import pytest

from tests.mapping.importers.tflite.oracle import assert_same
from tests.mapping.importers.tflite.random_model import MODELS, random_model

MODELS_EACH = 12
MORE_MODELS = 200


@pytest.mark.parametrize("name", MODELS)
def test_random_models_are_those_of_tflite_micro(name: str) -> None:
    for seed in range(MODELS_EACH):
        assert_same(*random_model(name, seed))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_many_random_models_are_those_of_tflite_micro(name: str) -> None:
    for seed in range(MODELS_EACH, MORE_MODELS):
        assert_same(*random_model(name, seed))
