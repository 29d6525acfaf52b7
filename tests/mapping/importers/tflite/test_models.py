"""Real networks: every tensor of every layer as tflite-micro computes it."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from mapping.compiler import compile_network
from mapping.importers.tflite import load_tflite
from mapping.network import from_bytes, to_bytes
from mapping.presets import PRESETS
from mapping.reference import run, run_all
from sim.functional import FunctionalSimulator
from sim.runner import read_tensor, run_network
from tests.mapping.importers.tflite.oracle import assert_same, infer, load

MODELS = Path(__file__).parents[5] / "shared" / "models"
IMAGES = 20
ROOMY = replace(PRESETS["up5k"], scratchpad_words=65536)
SHAPES = {
    "kws_ref_model": (49, 10, 1),
    "pretrainedResnet_quant": (32, 32, 3),
    "ad01_int8": (640,),
}


def model_path(name: str) -> Path:
    path = MODELS / name
    if not path.exists():
        pytest.skip(f"the real networks ({MODELS.parent.name}/{MODELS.name}) are not here")
    return path


def images(name: str, count: int) -> np.ndarray:
    rng = np.random.default_rng(4)
    return rng.integers(-128, 128, (count, *SHAPES[name])).astype(np.int8)


@lru_cache
def speech() -> tuple[np.ndarray, np.ndarray]:
    with np.load(model_path("inputs/kws_eembc_400.npz")) as file:
        return file["x"], file["y"]


@pytest.mark.parametrize("name", SHAPES)
def test_every_tensor_is_that_of_tflite_micro(name: str) -> None:
    data = model_path(f"{name}.tflite").read_bytes()
    imported = assert_same(data, [images(name, IMAGES)])
    assert len(imported.nodes) >= 11


def test_every_tensor_of_real_speech_is_that_of_tflite_micro() -> None:
    assert_same(model_path("kws_ref_model.tflite").read_bytes(), [speech()[0][:IMAGES]])


def check_every_layer(name: str, batch: np.ndarray, *, prune: bool) -> None:
    """Every tensor that the compiled program stores, with memory to keep them all."""
    graph = load_tflite(model_path(f"{name}.tflite")).graph
    program = compile_network(graph, ROOMY, keep_all=True, slots=1, prune=prune)
    simulator, expected = FunctionalSimulator(ROOMY), run_all(graph, batch)
    for index in range(len(batch)):
        outputs, _ = run_network(simulator, program, batch[index : index + 1])
        for output, node in zip(outputs, graph.outputs, strict=True):
            np.testing.assert_array_equal(output[0], expected[node][index])
        for tensor in program.tensors:
            if tensor.packing is None and not prune:  # pruned tensors have fewer channels
                got = read_tensor(simulator, program, tensor)
                np.testing.assert_array_equal(got, expected[tensor.node][index])


@pytest.mark.parametrize("prune", [False, True], ids=["whole", "pruned"])
def test_the_functional_simulator_gives_every_layer(prune: bool) -> None:
    check_every_layer("kws_ref_model", images("kws_ref_model", 1), prune=prune)


@pytest.mark.slow
@pytest.mark.parametrize("prune", [False, True], ids=["whole", "pruned"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_functional_simulator_gives_every_layer_of_many_images(name: str, prune: bool) -> None:
    check_every_layer(name, images(name, IMAGES), prune=prune)


@pytest.mark.slow
def test_answers_to_speech_are_those_of_tflite_micro() -> None:
    path = model_path("kws_ref_model.tflite")
    features, labels = speech()
    network, interpreter = load_tflite(path), load(path.read_bytes())
    (scores,) = network.ends.finish(run(network.graph, features))
    wanted = np.stack([infer(interpreter, [image[None]]).output(0) for image in features])
    np.testing.assert_array_equal(scores, wanted)
    assert np.count_nonzero(scores.argmax(axis=1) == labels) == 364


@pytest.mark.parametrize("name", SHAPES)
def test_imported_networks_survive_the_network_file(name: str) -> None:
    network = load_tflite(model_path(f"{name}.tflite"))
    assert from_bytes(to_bytes(network)) == network
