"""The training example, for a few epochs: it runs, learns and holds out the same images."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mapping.network import load_network
from mapping.networks import load_digits_images, load_included, network_names
from mapping.reference import run

SCRIPT = Path(__file__).parents[2] / "examples" / "train_digits.py"


@pytest.mark.slow
def test_training_writes_networks_that_work(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    subprocess.run(
        [sys.executable, str(SCRIPT), "--folder", str(tmp_path), "--epochs", "8"],
        check=True, capture_output=True, cwd=SCRIPT.parents[1],
    )  # fmt: skip
    digits = load_digits_images()
    with np.load(tmp_path / "digits_held_out.npz") as arrays:
        np.testing.assert_array_equal(arrays["indices"], digits.indices)
        np.testing.assert_array_equal(arrays["images"], digits.images)
    for name in network_names():
        network = load_network(tmp_path / f"{name}.systolic-net")
        # all but the logits, whose zero point is measured
        assert network.graph.types[:-1] == load_included(name).graph.types[:-1]
        logits = run(network.graph, network.quantize_input(digits.images))[0]
        assert np.mean(logits.argmax(axis=1) == digits.labels) > 0.8
