"""ONNX files on the command line: info, compile, run, refusals, real inputs."""

from pathlib import Path

import numpy as np
import pytest

from mapping.importers.onnx import import_model
from mapping.reference import run
from tests.cli.conftest import Systolic
from tests.mapping.importers.onnx.draw import Draw
from tests.mapping.importers.onnx.float_models import FLOAT_MODELS
from tests.mapping.importers.onnx.integer_models import INTEGER_MODELS
from tests.mapping.importers.onnx.writer import Writer


@pytest.fixture
def gemm_file(tmp_path: Path) -> Path:
    path = tmp_path / "dense.onnx"
    path.write_bytes(FLOAT_MODELS["gemm"](Draw(seed=2))[0])
    return path


def test_models_are_described_compiled_and_run(systolic: Systolic, gemm_file: Path) -> None:
    described = systolic("info", gemm_file)
    assert described.status == 0
    assert "quantizes input 0" in described.out
    compiled = systolic("compile", gemm_file, "--config", "up5k")
    assert compiled.status == 0
    assert "dense on 16x4 w8 d4" in compiled.out
    outcome = systolic("run", gemm_file, "--simulator", "functional")
    assert outcome.status == 0
    assert ", 0 differ" in outcome.out
    for each in (described, compiled, outcome):
        assert each.out.count("remark     float32 rounds within sums") == 1


def test_inputs_are_taken_in_the_files_order(systolic: Systolic, tmp_path: Path) -> None:
    data, (batch,) = INTEGER_MODELS["qlinear_conv"](Draw(seed=5))
    network = import_model(data).network
    assert network.ends.input_layouts[0] is not None
    (tmp_path / "conv.onnx").write_bytes(data)
    np.save(tmp_path / "x.npy", batch)
    words = ("run", tmp_path / "conv.onnx", "--simulator", "functional")
    low = np.iinfo(batch.dtype).min
    codes = network.ends.begin(0, batch, low, low + 255)
    (scores,) = network.ends.finish(run(network.graph, codes))
    np.save(tmp_path / "y.npy", scores.reshape(len(scores), -1).argmax(axis=1))
    outcome = systolic(*words, "--input", tmp_path / "x.npy", "--labels", tmp_path / "y.npy")
    assert outcome.status == 0, outcome.err
    assert f"100.0% ({len(batch)} of {len(batch)})" in outcome.out
    np.save(tmp_path / "x.npy", batch.transpose(0, 2, 3, 1))  # the array's order
    wanted = ", ".join(map(str, batch.shape[1:]))
    systolic(*words, "--input", tmp_path / "x.npy").assert_fails(
        1, f"have shape (n, {wanted}), not"
    )


def test_numbers_are_not_nan(systolic: Systolic, gemm_file: Path, tmp_path: Path) -> None:
    shape = import_model(gemm_file.read_bytes()).network.ends.input_layouts[0].before
    np.save(tmp_path / "x.npy", np.full((2, *shape), np.nan, np.float32))
    words = ("run", gemm_file, "--simulator", "functional", "--input", tmp_path / "x.npy")
    systolic(*words).assert_fails(1, "must hold numbers, not NaN")


def test_everything_that_is_not_supported_gets_a_line(systolic: Systolic, tmp_path: Path) -> None:
    writer = Writer()
    given = writer.input((1, 4), np.int8)
    for op in ("Gelu", "NonZero"):
        writer.output(writer.node(op, [given]), np.float32)
    path = tmp_path / "other.onnx"
    path.write_bytes(writer.to_bytes())
    outcome = systolic("run", path)
    assert outcome.status == 1
    assert "2 things are not supported" in outcome.err
    assert "  NonZero 1: this operator is not supported" in outcome.err


def test_damaged_files_are_refused_in_one_line(systolic: Systolic, gemm_file: Path) -> None:
    gemm_file.write_bytes(gemm_file.read_bytes()[:100])
    systolic("run", gemm_file).assert_fails(1, "damaged or cut off")
