"""Random models: every output, every bit of it, as QONNX's arithmetic gives it."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.importers.qonnx import import_model
from mapping.network import from_bytes, to_bytes
from mapping.reference import run
from tests.mapping.importers.qonnx.executor import Executor
from tests.mapping.importers.qonnx.models import MODELS, dense

IMAGES = 4
FEW, MANY = 25, 1000
SEEDS = st.integers(0, 2**32 - 1)


def images(data: bytes, seed: int) -> np.ndarray:
    shape = [
        axis.dim_value for axis in Executor(data).model.graph.input[0].type.tensor_type.shape.dim
    ]
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (IMAGES, *shape)).astype(np.float32)


def check(data: bytes, seed: int, *, adds_exactly: bool = False) -> None:
    imported = import_model(data)
    network, batch = imported.network, images(data, seed)
    assert from_bytes(to_bytes(network)) == network
    assert network.ends.real_inputs is not None
    codes = network.ends.real_inputs[0](batch[:, 0])
    (got,) = network.ends.finish(run(network.graph, codes))
    executor = Executor(data, adds_exactly=adds_exactly)
    wanted = np.concatenate([executor(image)[0] for image in batch])
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, wanted)
    assert bool(imported.rounded) == adds_exactly == bool(network.info.remarks)


@pytest.mark.parametrize("kind", MODELS)
@settings(max_examples=FEW)
@given(seed=SEEDS)
def test_outputs_are_those_of_the_executor(kind: str, seed: int) -> None:
    check(MODELS[kind](seed), seed)


@settings(max_examples=FEW)
@given(seed=SEEDS)
def test_scales_of_any_value_are_rounded_once(seed: int) -> None:
    """Weights and activations whose float32 numbers are exact, but not their sums."""
    check(dense(seed, is_exact=False, few_bits=True), seed, adds_exactly=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
@settings(max_examples=MANY)
@given(seed=SEEDS)
def test_outputs_of_many_models_are_those_of_the_executor(kind: str, seed: int) -> None:
    check(MODELS[kind](seed), seed)


@pytest.mark.parametrize("kind", MODELS)
def test_the_executor_is_qonnxs(kind: str) -> None:
    pytest.importorskip("qonnx", reason="the package qonnx is not installed")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    for seed in range(FEW):
        data = MODELS[kind](seed)
        model = ModelWrapper(onnx.load_from_string(data)).transform(InferShapes())
        for image in images(data, seed):
            (wanted,) = execute_onnx(model, {"image": image}).values()
            np.testing.assert_array_equal(Executor(data)(image)[0], wanted)
