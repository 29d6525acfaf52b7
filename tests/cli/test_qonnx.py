"""QONNX files on the command line: info, compile, run on real numbers, refusals."""

from pathlib import Path

import numpy as np
import pytest

from mapping.importers.qonnx import import_model
from mapping.reference import run
from tests.cli.conftest import Systolic
from tests.mapping.importers.qonnx.models import Writer, wide


@pytest.fixture
def wide_file(tmp_path: Path) -> Path:
    path = tmp_path / "wide.onnx"
    path.write_bytes(wide(seed=3))
    return path


def test_models_are_described_compiled_and_run(systolic: Systolic, wide_file: Path) -> None:
    described = systolic("info", wide_file)
    assert described.status == 0
    assert "quantizes input 0, makes output 0 real" in described.out
    assert systolic("compile", wide_file, "--config", "up5k").status == 0
    outcome = systolic("run", wide_file, "--simulator", "functional")
    assert outcome.status == 0
    assert ", 0 differ" in outcome.out


def test_real_inputs_are_quantized_and_answers_counted(
    systolic: Systolic, wide_file: Path, tmp_path: Path
) -> None:
    network = import_model(wide_file.read_bytes()).network
    assert network.ends.real_inputs is not None
    x = np.random.default_rng(5).normal(0, 1, (8, *network.graph.types[0].shape))
    (scores,) = network.ends.finish(run(network.graph, network.ends.real_inputs[0](x)))
    y = scores.argmax(axis=1)
    y[0] = (y[0] + 1) % scores.shape[1]  # one wrong answer
    np.savez(tmp_path / "both.npz", x=x.astype(np.float32), y=y)
    words = ("run", wide_file, "--simulator", "functional", "--input")
    outcome = systolic(*words, tmp_path / "both.npz")
    assert outcome.status == 0, outcome.err
    assert "87.5% (7 of 8)" in outcome.out
    assert "both.npz, quantized" in outcome.out
    np.save(tmp_path / "x.npy", (x * 1000).astype(int))
    systolic(*words, tmp_path / "x.npy").assert_fails(1, "give real numbers as floats")
    np.save(tmp_path / "x.npy", x[:, 1:])
    systolic(*words, tmp_path / "x.npy").assert_fails(1, "must have shape (n, ")


def test_everything_that_is_not_supported_gets_a_line(systolic: Systolic, tmp_path: Path) -> None:
    net = Writer(seed=0)
    value = net.quant(net.input(6), 2, 1.0, signed=True)
    path = tmp_path / "no.onnx"
    path.write_bytes(net.finish(net.node("Erf", value), net.node("Sign", value)))
    outcome = systolic("info", path)
    assert outcome.status == 1
    assert "2 things are not supported:" in outcome.err
    assert "Erf 1: this operator is not supported" in outcome.err
    assert "Sign 2: this operator is not supported" in outcome.err
