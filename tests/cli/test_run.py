"""run: what is compared, with what, and how a difference is reported."""

import re
from pathlib import Path

import numpy as np
import pytest

from mapping import reference
from mapping.networks import load_digits_images, load_included
from sim import cli, inputs
from sim.compiled import toolchain
from sim.functional import FunctionalSimulator
from systolic.spec.registers import Registers
from tests.cli.conftest import Systolic

FAST = ("--simulator", "functional")


def test_the_gateware_gives_the_reference_outputs_in_the_predicted_cycles(
    systolic: Systolic,
) -> None:
    outcome = systolic("run", "digits_int4", "--images", "20", "--clock-mhz", "12")
    assert outcome.status == 0
    assert "20 held-out images" in outcome.out
    assert "200 compared with the reference, 0 differ" in outcome.out
    assert "as predicted, in every layer of every image" in outcome.out
    assert re.search(r"time +[\d.]+ [um]s per image at 12 MHz, [\d,]+ images/s", outcome.out)
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_accuracy_is_that_of_the_reference(systolic: Systolic) -> None:
    network, digits = load_included("digits_int8"), load_digits_images()
    scores = reference.run(network.graph, network.quantize_input(digits.images[:50]))[0]
    right = int((scores.argmax(axis=1) == digits.labels[:50]).sum())
    assert f"({right} of 50;" in systolic("run", "digits", "--images", "50", *FAST).out


def test_a_program_is_compared_with_the_functional_simulator(
    systolic: Systolic, digits_program: Path
) -> None:
    outcome = systolic("run", digits_program, "--images", "3")
    assert outcome.status == 0
    assert "3 random images (seed 0)" in outcome.out
    assert "30 compared with the functional simulator, 0 differ" in outcome.out


def test_a_program_on_the_functional_simulator_says_that_nothing_is_compared(
    systolic: Systolic, digits_program: Path
) -> None:
    outcome = systolic("run", digits_program, "--images", "2", *FAST)
    assert outcome.status == 0
    assert "not compared" in outcome.out


def test_a_network_without_images_runs_on_random_ones(
    systolic: Systolic, pool_network: Path
) -> None:
    outcome = systolic("run", pool_network, *FAST)
    assert outcome.status == 0
    assert "10 random images (seed 0)" in outcome.out
    assert "30 compared with the reference, 0 differ" in outcome.out
    assert "accuracy" not in outcome.out


def test_an_output_that_differs_fails(systolic: Systolic, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: object) -> object:
        outputs = right(*arguments)
        outputs[0][1, 3] += 1
        return outputs

    right = reference.run
    monkeypatch.setattr(reference, "run", wrong)
    outcome = systolic("run", "digits", "--images", "4", *FAST)
    assert outcome.status == 1
    assert "40 compared with the reference, 1 differ" in outcome.out
    assert outcome.err == "systolic: 1 of 40 outputs differ\n"


def test_a_cycle_count_that_differs_fails(
    systolic: Systolic, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(FunctionalSimulator):
        def run(self, addr: int, *, step: bool = False, resume: bool = False) -> list[Registers]:
            marks = super().run(addr, step=step, resume=resume)
            last = marks[-1]
            return [*marks[:-1], Registers(last.identity, last.cycles + 1, last.busy_cycles)]

    monkeypatch.setattr(cli, "FunctionalSimulator", Slow)
    outcome = systolic("run", "digits", "--images", "2", *FAST)
    assert outcome.status == 1
    assert outcome.err == "systolic: cycles are not as predicted in dense\n"


def test_inputs_come_from_a_file(systolic: Systolic, pool_network: Path) -> None:
    path = pool_network.with_name("images.npy")
    np.save(path, np.arange(96).reshape(2, 4, 4, 3))
    outcome = systolic("run", pool_network, "--input", path, *FAST)
    assert outcome.status == 0
    assert f"2 images of {path}" in outcome.out
    assert "6 compared with the reference, 0 differ" in outcome.out


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 4, 4), np.int8), "must have shape (n, 4, 4, 3), not (2, 4, 4)"),
        (np.zeros((2, 4, 4, 3)), "takes integers -128..127, not float64: quantize it"),
        (np.full((2, 4, 4, 3), 128), "must be -128..127"),
        (np.zeros((0, 4, 4, 3), np.int8), "at least one"),
        (np.int8(3), "must have shape (n, 4, 4, 3), not ()"),
        (np.array([None]), "Python objects"),
    ],
    ids=["shape", "dtype", "range", "empty", "scalar", "objects"],
)
def test_a_wrong_input_is_refused(
    systolic: Systolic, pool_network: Path, array: np.ndarray, message: str
) -> None:
    path = pool_network.with_name("images.npy")
    np.save(path, array)
    outcome = systolic("run", pool_network, "--input", path, *FAST)
    assert outcome.status == 1
    assert message.lower() in outcome.err.lower()
    assert outcome.err.count("\n") == 1


def test_a_file_that_is_no_array_is_refused(systolic: Systolic, pool_network: Path) -> None:
    path = pool_network.with_name("images.npz")
    path.write_bytes(b"nonsense")
    systolic("run", pool_network, "--input", path).assert_fails(1, str(path))
    np.savez(path, a=np.zeros(3))
    systolic("run", pool_network, "--input", path).assert_fails(1, "must hold an array x")
    path.write_bytes(b"")
    systolic("run", pool_network, "--input", path).assert_fails(1, str(path))


def test_a_missing_or_superfluous_input_is_refused(systolic: Systolic, pool_network: Path) -> None:
    missing = pool_network.with_name("missing.npy")
    systolic("run", pool_network, "--input", missing).assert_fails(2, "missing.npy")
    path = pool_network.with_name("images.npy")
    np.save(path, np.zeros((1, 4, 4, 3), np.int8))
    outcome = systolic("run", pool_network, "--input", path, "--input", path)
    outcome.assert_fails(1, "has 1 input(s), not 2")


def test_more_images_than_there_are_is_refused(systolic: Systolic) -> None:
    systolic("run", "digits", "--images", "451").assert_fails(2, "at most 450, not 451")


def test_random_inputs_are_the_same_every_time(systolic: Systolic, digits_program: Path) -> None:
    program = cli.Program.load(digits_program)
    first, second = inputs.random_batch(program), inputs.random_batch(program)
    assert (first.inputs[0] == second.inputs[0]).all()
    assert first.inputs[0].min() == -128
    assert first.inputs[0].max() == 127


def test_a_waveform_is_written(systolic: Systolic, pool_network: Path) -> None:
    path = pool_network.with_name("pool.vcd")
    outcome = systolic("run", pool_network, "--config", "tiny", "--vcd", path)
    assert outcome.status == 0
    text = path.read_text()
    assert "$enddefinitions" in text
    assert text.count("$var") > 20


def test_a_waveform_appears_whole_or_not_at_all(
    systolic: Systolic, pool_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_network", interrupted)
    before = set(pool_network.parent.iterdir())
    outcome = systolic(
        "run", pool_network, "--config", "tiny", "--vcd", pool_network.with_name("pool.vcd")
    )
    assert outcome.status == 130
    assert set(pool_network.parent.iterdir()) == before


def test_a_waveform_needs_the_gateware_and_a_folder(systolic: Systolic, tmp_path: Path) -> None:
    systolic("run", "digits", "--vcd", tmp_path / "a.vcd", *FAST).assert_fails(2, "rtl")
    systolic("run", "digits", "--vcd", tmp_path / "b" / "a.vcd").assert_fails(2, "does not exist")


def test_a_missing_compiler_says_what_to_install(
    systolic: Systolic, pool_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain.shutil, "which", lambda _: None)
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda _: None)
    outcome = systolic("run", pool_network, "--config", "tiny")
    outcome.assert_fails(1, "no C compiler", "install one, or the Python package ziglang")
