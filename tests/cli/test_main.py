"""The program itself: finding verbs, reporting failures, interruption."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from mapping.cli import commands
from tests.cli.conftest import Systolic

BIN = Path(sys.executable).parent


def test_without_a_verb_it_shows_all_of_them(systolic: Systolic) -> None:
    outcome = systolic()
    assert outcome.status == 0
    for verb in ("compile", "info", "listing", "run"):
        assert f"  {verb} " in outcome.out


def test_version_is_shown(systolic: Systolic) -> None:
    assert systolic("--version").out.startswith("systolic, version ")


@pytest.mark.parametrize("verb", ["compile", "info", "listing", "run"])
def test_every_verb_has_help_within_100_columns(systolic: Systolic, verb: str) -> None:
    outcome = systolic(verb, "--help")
    assert outcome.status == 0
    assert max(map(len, outcome.out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fly"], "No such command 'fly'"),
        (["--fast"], "--fast"),
        (["compile"], "Missing argument 'NETWORK'"),
        (["compile", "digits", "--clock-mhz", "0"], "--clock-mhz"),
        (["compile", "digits", "--clock-mhz", "nan"], "--clock-mhz"),
        (["run", "digits", "--simulator", "spice"], "'rtl'"),
        (["run", "digits", "--images", "0"], "--images"),
    ],
)
def test_a_wrong_command_line_is_status_2(
    systolic: Systolic, words: list[str], message: str
) -> None:
    systolic(*words).assert_fails(2, message, "--help")


@pytest.mark.parametrize("words", [["-v", "compile", "digits"], ["compile", "-v", "digits"]])
def test_verbose_shows_the_trace_before_the_line(
    systolic: Systolic, tmp_path: Path, words: list[str]
) -> None:
    config = tmp_path / "small.json"
    config.write_text('{"scratchpad_words": 384}')
    outcome = systolic(*words, "--config", config)
    assert outcome.status == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("systolic: digits_int8: ")


def test_an_interruption_is_one_line(systolic: Systolic, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt  # what Ctrl-C does where the shell has not switched it off

    monkeypatch.setattr(commands, "to_program", interrupted)
    outcome = systolic("compile", "digits")
    outcome.assert_fails(130, "interrupted")


def test_a_defect_of_ours_is_named_as_one(
    systolic: Systolic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(commands, "to_program", broken)
    systolic("compile", "digits").assert_fails(1, "internal error: KeyError", "surprise", "-v")


def test_a_message_of_several_lines_becomes_one(
    systolic: Systolic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise click.UsageError("first\nsecond")

    monkeypatch.setattr(commands, "to_program", broken)
    systolic("compile", "digits").assert_fails(2, "first second")


def test_the_installed_program_runs_and_passes_its_status_on() -> None:
    result = subprocess.run(
        [BIN / "systolic", "info", "nothing"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1


def test_a_reader_that_leaves_early_is_no_failure_to_report() -> None:
    command = f"'{BIN / 'systolic'}' listing digits | head -n 1"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert result.stdout.startswith("program digits_int8")
    assert result.stderr == ""
