"""boards, build and program, as on the command line."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from boards import build as building
from boards import cli
from boards.build import TimingError
from systolic.spec.boards import Board, all_boards, board_named
from tests.boards.stand_in import Line
from tests.cli.conftest import Systolic


@pytest.fixture
def small(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds take a small design instead of an accelerator."""
    monkeypatch.setattr(building, "build", partial(building.build, cache=cache, make_link=Line))


def test_boards_lists_them_all(systolic: Systolic) -> None:
    outcome = systolic("boards")
    assert outcome.status == 0
    for board in all_boards():
        assert f" {board.name} " in outcome.out
        assert str(board.config) in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100
    assert "upduino-v3: close the OSC jumper" in outcome.out


def test_build_writes_the_bitstream_and_shows_the_report(
    systolic: Systolic, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = systolic("build", "icestick")
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    for word in ("logic cells", "1,280", "critical path", "Fmax", "build/icestick/icestick.bin"):
        assert word in outcome.out
    assert (tmp_path / "build" / "icestick" / "icestick.bin").stat().st_size == 32220
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_build_takes_another_configuration_clock_rate_and_folder(
    systolic: Systolic, small: None, tmp_path: Path
) -> None:
    config = replace(board_named("icestick").config, weight_bits=1)
    (tmp_path / "mine.json").write_text(config.to_json())
    outcome = systolic(
        "build", "icestick", "--config", tmp_path / "mine.json", "--clock-mhz", 36,
        "--baud", 115200, "-o", tmp_path / "out",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["config"]["weight_bits"] == 1
    assert (report["clock_mhz"], report["baud"]) == (36, 115200)


@pytest.mark.parametrize("verb", ["build", "program"])
def test_an_unknown_board_is_a_usage_error(verb: str, systolic: Systolic) -> None:
    systolic(verb, "icebraker").assert_fails(2, "no board 'icebraker': perhaps icebreaker")


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--config", "nothing"), 2, ("'nothing' is neither a preset",)),
        (("--clock-mhz", "0"), 2, ("--clock-mhz",)),
        (("--clock-mhz", "50"), 1, ("icestick: baud 3000000 is -2.0% off at 50 MHz",)),
        (("--clock-mhz", "67", "--baud", "115200"), 1, ("the PLL cannot make 67 MHz from 12 MHz",)),
        (("--baud", "16000000"), 1, ("icestick: baud must be between 1 and 12000000",)),
        (("--baud", "0"), 2, ("--baud",)),
        (("--seeds", "0"), 2, ("--seeds",)),
    ],
)
def test_what_cannot_be_built_is_one_line(
    options: tuple[str, ...], status: int, words: tuple[str, ...], systolic: Systolic, small: None
) -> None:
    systolic("build", "icestick", *options).assert_fails(status, *words)


def test_a_configuration_that_is_wrong_is_one_line(
    systolic: Systolic, small: None, tmp_path: Path
) -> None:
    (tmp_path / "bad.json").write_text('{"rows": 3}')
    outcome = systolic("build", "icestick", "--config", tmp_path / "bad.json")
    outcome.assert_fails(1, "bad.json: rows must be between 4 and 64, not 3")


def test_a_design_that_is_too_slow_shows_its_report_and_fails(
    systolic: Systolic, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(board: Board, **_: object) -> None:
        report = built.report
        raise TimingError("icestick: timing is not met", replace(report, clock_mhz=999.0))

    built = building.build(board_named("icestick"), cache=cache, make_link=Line)
    monkeypatch.setattr(cli.building, "build", slow)
    outcome = systolic("build", "icestick", "-o", tmp_path / "out")
    assert outcome.status == 1
    assert outcome.err == "systolic: icestick: timing is not met\n"
    assert "critical path" in outcome.out
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_line(
    systolic: Systolic, small: None, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    outcome = systolic("build", "icestick", "-o", tmp_path / "file" / "out")
    assert outcome.status == 1
    assert outcome.err.endswith("not a directory\n")


def test_program_loads_what_build_left(
    systolic: Systolic, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    systolic("program", "icestick").assert_fails(
        1, "build/icestick/icestick.bin: no such bitstream: 'systolic build icestick' makes it"
    )
    tool = tmp_path / "iceprog"
    tool.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n')
    tool.chmod(0o755)
    assert systolic("build", "icestick").status == 0
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = systolic("program", "icestick")
    assert outcome.status == 0, outcome.err
    assert "into Lattice iCEstick, by iceprog" in outcome.out
    path = tmp_path / "build" / "icestick" / "icestick.bin"
    assert (tmp_path / "called").read_text() == f"{path}\n"
