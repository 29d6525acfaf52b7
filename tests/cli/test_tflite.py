"""TensorFlow Lite files on the command line: info, compile, run, refusals, accuracy."""

from pathlib import Path

import numpy as np
import pytest

from mapping.cli.failure import Failure
from mapping.importers.tflite import import_model
from mapping.reference import run
from sim.results import save_results
from tests.cli.conftest import Systolic
from tests.mapping.importers.tflite.random_model import random_model
from tests.mapping.importers.tflite.writer import ModelWriter, options


@pytest.fixture
def dense_file(tmp_path: Path) -> Path:
    path = tmp_path / "dense.tflite"
    path.write_bytes(random_model("fully_connected", seed=2)[0])
    return path


def test_models_are_described_compiled_and_run(systolic: Systolic, dense_file: Path) -> None:
    described = systolic("info", dense_file)
    assert described.status == 0
    assert "fully_connected_0" in described.out
    compiled = systolic("compile", dense_file, "--config", "up5k")
    assert compiled.status == 0
    assert "dense on 16x4 w8 d4" in compiled.out
    outcome = systolic("run", dense_file, "--simulator", "functional")
    assert outcome.status == 0
    assert "random images (seed 0)" in outcome.out
    assert ", 0 differ" in outcome.out


def test_labelled_inputs_give_the_accuracy(
    systolic: Systolic, dense_file: Path, tmp_path: Path
) -> None:
    graph = import_model(dense_file.read_bytes()).network.graph
    x = np.random.default_rng(3).integers(-128, 128, (8, *graph.types[0].shape)).astype(np.int8)
    y = run(graph, x)[0].argmax(axis=1)
    y[0] = (y[0] + 1) % 4  # one wrong answer
    np.savez(tmp_path / "both.npz", x=x, y=y)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    words = ("run", dense_file, "--simulator", "functional", "--input")
    for more in ((tmp_path / "both.npz",), (tmp_path / "x.npy", "--labels", tmp_path / "y.npy")):
        outcome = systolic(*words, *more)
        assert outcome.status == 0, outcome.err
        assert "87.5% (7 of 8)" in outcome.out
    np.save(tmp_path / "y.npy", y[:3])
    outcome = systolic(*words, tmp_path / "x.npy", "--labels", tmp_path / "y.npy")
    outcome.assert_fails(1, "one integer for each image, shape (8,), not int64 of shape (3,)")
    np.save(tmp_path / "y.npy", y - 9)
    outcome = systolic(*words, tmp_path / "x.npy", "--labels", tmp_path / "y.npy")
    assert outcome.status == 1
    assert "labels must be 0..3, not -9..-6" in outcome.err


def test_results_are_written(systolic: Systolic, dense_file: Path, tmp_path: Path) -> None:
    graph = import_model(dense_file.read_bytes()).network.graph
    x = np.random.default_rng(3).integers(-128, 128, (3, *graph.types[0].shape)).astype(np.int8)
    np.save(tmp_path / "x.npy", x)
    words = ("run", dense_file, "--simulator", "functional", "--input", tmp_path / "x.npy", "-o")
    for name in ("y.npy", "y.npz"):
        outcome = systolic(*words, tmp_path / name)
        assert outcome.status == 0, outcome.err
        assert f"written    {tmp_path / name}, " in outcome.out
    wanted = run(graph, x)[0]
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), wanted)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y0"], wanted)
    systolic(*words, tmp_path / "y.txt").assert_fails(2, "must end in .npy or .npz")
    systolic(*words, tmp_path / "no" / "y.npy").assert_fails(2, "does not exist")
    with pytest.raises(Failure, match="holds one array, not 2"):
        save_results(tmp_path / "y.npy", (wanted, wanted))


def test_everything_that_is_not_supported_gets_a_line(systolic: Systolic, tmp_path: Path) -> None:
    writer = ModelWriter()
    source = writer.input((1, 4), 0.5)
    tensors = [writer.tensor((1, 4), 0.5) for _ in range(2)]
    writer.operator("SIN", [source], tensors[:1])
    writer.operator("COS", tensors[:1], tensors[1:])
    writer.output(tensors[1])
    path = tmp_path / "waves.tflite"
    path.write_bytes(writer.to_bytes())
    outcome = systolic("info", path)
    assert outcome.status == 1
    assert outcome.err.splitlines() == [
        f"systolic: {path}: 2 things are not supported:",
        "  SIN 0: this operator is not supported",
        "  COS 1: this operator is not supported",
    ]


def test_damaged_models_are_refused_in_one_line(systolic: Systolic, dense_file: Path) -> None:
    dense_file.write_bytes(dense_file.read_bytes()[:100])
    systolic("run", dense_file).assert_fails(1, "the file is damaged or cut off")


def test_real_inputs_are_quantized_by_the_host(systolic: Systolic, tmp_path: Path) -> None:
    writer = ModelWriter()
    real = writer.tensor((1, 4), kind="FLOAT32")
    writer.graph.inputs.append(real)
    integers, sums = writer.tensor((1, 4), 0.5, 1), writer.tensor((1, 2), 0.5)
    writer.operator("QUANTIZE", [real], [integers])
    weights = writer.constant(np.ones((2, 4), np.int8), 0.5)
    made = options("FullyConnectedOptions")
    writer.operator("FULLY_CONNECTED", [integers, weights, -1], [sums], made)
    writer.output(sums)
    path = tmp_path / "real.tflite"
    path.write_bytes(writer.to_bytes())
    np.save(tmp_path / "x.npy", np.array([[0.5, 1.0, -3.0, 1000.0]], np.float32))
    words = ("run", path, "--simulator", "functional", "--input", tmp_path / "x.npy")
    outcome = systolic(*words)
    assert outcome.status == 0, outcome.err
    assert "2 compared with the reference, 0 differ" in outcome.out
    assert "quantizes input 0" in systolic("info", path).out
