"""compile, listing and info."""

import json
import os
from pathlib import Path

import pytest

from mapping.builder import Builder
from mapping.cli import commands
from mapping.compiler import compile_network
from mapping.line import line_load
from mapping.network import save_network
from mapping.networks import load_included
from mapping.presets import PRESETS
from mapping.program import Program
from systolic.spec.boards import board_named
from systolic.spec.config import ArrayConfig
from tests.cli.conftest import Systolic


def test_compile_writes_the_program_and_shows_its_cycles(
    systolic: Systolic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a short name
    path = Path("out.systolic")
    outcome = systolic("compile", "digits", "--config", "up5k", "-o", path, "--clock-mhz", "12")
    program = compile_network(
        load_included("digits_int8").graph, PRESETS["up5k"], name="digits_int8"
    )
    assert outcome.status == 0
    assert Program.load(path) == program
    assert f"{program.cycles:,} per image" in outcome.out
    assert f"{program.cycles / 12e3:.2f} ms per image at 12 MHz" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100
    for layer in program.layers:
        assert f"{layer.cycles:,}" in outcome.out


def test_compile_gives_two_slots_where_they_fit_and_says_so(
    systolic: Systolic, tmp_path: Path
) -> None:
    graph = load_included("digits_int8").graph
    two, one = (compile_network(graph, ArrayConfig(), slots=slots) for slots in (2, 1))
    tight = tmp_path / "tight.json"
    words = two.load_address + len(two.image) // two.config.word_bytes - 5
    tight.write_text(json.dumps({"scratchpad_words": words}))
    for arguments, text in (
        (
            ("--config", "default"),
            "slots      2: one image can be transferred while another one runs\n",
        ),
        (("--config", "default", "--slots", "1"), "slots      1\n"),
        (("--config", tight), "slots      1: a second one would need 40 bytes more\n"),
    ):
        outcome = systolic("compile", "digits", *arguments)
        assert outcome.status == 0
        assert text in outcome.out
        assert f"{one.cycles:,} per image" in outcome.out
    outcome = systolic("compile", "digits", "--config", tight, "--slots", "2")
    outcome.assert_fails(1, "digits_int8: program with 2 slots (1 needs less): ", "40 bytes too")


def test_compile_says_what_was_pruned_and_can_be_told_not_to(
    systolic: Systolic, tmp_path: Path
) -> None:
    path = tmp_path / "thin.systolic-net"
    builder = Builder()
    hidden = builder.input((4,), name="image").matmul([[1, 0, 2]] * 4, [0, 9, 0], name="hidden")
    last = hidden.requantize(1 << 30, 0).matmul([[1], [2], [3]], name="last")
    save_network(builder.graph(last.requantize(1 << 30, 0)), path)
    pruned, whole = systolic("compile", path), systolic("compile", path, "--no-prune")
    assert (pruned.status, whole.status) == (0, 0)
    rows = {line.split()[0]: line for line in pruned.out.splitlines() if line.strip()}
    assert rows["hidden"].endswith(" 1 out")
    assert rows["last"].endswith(" 1 in")
    assert "pruned" in pruned.out
    assert "pruned" not in whole.out
    assert "pruned channels: 1 in" in systolic("listing", path).out


def test_compile_writes_the_file_whole_or_not_at_all(
    systolic: Systolic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    outcome = systolic("compile", "digits", "-o", tmp_path / "out.systolic")
    assert outcome.status == 1
    assert outcome.err == "systolic: no space left on device\n"
    assert list(tmp_path.iterdir()) == []


def test_compile_refuses_a_missing_folder_before_it_works(
    systolic: Systolic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "to_program", None)
    outcome = systolic("compile", "digits", "-o", tmp_path / "missing" / "out.systolic")
    outcome.assert_fails(2, "the folder of", "does not exist")


def test_a_listing_is_the_same_for_a_network_and_its_program(
    systolic: Systolic, digits_program: Path
) -> None:
    outcome = systolic("listing", digits_program)
    assert outcome.status == 0
    assert "MATMUL" in outcome.out
    assert outcome.out == systolic("listing", "digits").out


def test_info_describes_a_network(systolic: Systolic) -> None:
    outcome = systolic("info", "digits_int4")
    assert outcome.status == 0
    assert "depthwise" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_info_of_a_program_is_what_compile_showed(systolic: Systolic, digits_program: Path) -> None:
    assert systolic("info", digits_program).out == systolic("compile", "digits").out


def test_info_alone_names_what_is_included(systolic: Systolic) -> None:
    outcome = systolic("info")
    for name in ("digits", "digits_int8", "digits_int4", *PRESETS):
        assert name in outcome.out


def test_compile_streams_what_does_not_fit_and_says_what_bounds_it(
    systolic: Systolic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # short names
    tight, path = Path("tight.json"), Path("streamed")
    tight.write_text(json.dumps({"scratchpad_words": 2500}))
    rates = ("--clock-mhz", "24", "--baud", "115200")
    outcome = systolic("compile", "digits", "--config", tight, "-o", path, *rates)
    assert outcome.status == 0
    program = Program.load(path)
    assert "slots      1: parts are sent while others run\n" in outcome.out
    counts = (
        f"{len(program.parts)}, of which {len(program.streamed)} are sent again for every image"
    )
    assert f"parts      {counts}: " in outcome.out
    assert f"{program.streamed_bytes:,} of {len(program.image):,} bytes" in outcome.out
    milliseconds = line_load(program).seconds(115200) * 1e3
    assert f"line       {milliseconds:,.2f} ms per image at 115,200 baud" in outcome.out
    assert "bound      by the line; the array is busy for" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100
    outcome = systolic("compile", "digits", "--config", tight, "--no-stream")
    outcome.assert_fails(1, "digits_int8: program: ", "are more than the scratchpad's 2500")
    outcome = systolic("run", path, "--simulator", "functional", "--images", "2")
    assert outcome.status == 0
    assert "as predicted, in every layer of every image" in outcome.out


def test_a_board_gives_configuration_clock_and_rate(systolic: Systolic) -> None:
    board = board_named("icebreaker")
    outcome = systolic("compile", "digits", "--board", board.name)
    program = compile_network(load_included("digits_int8").graph, board.config)
    assert outcome.status == 0
    assert f"digits_int8 on {board.config}" in outcome.out
    assert f"{program.cycles:,} per image" in outcome.out
    assert f"{program.cycles / board.clock.hz * 1e6:.1f} us per image" in outcome.out
    assert f"ms per image at {board.uart.baud:,} baud" in outcome.out


def test_a_board_that_is_not_there_is_refused(systolic: Systolic) -> None:
    outcome = systolic("compile", "digits", "--board", "icebraker")
    outcome.assert_fails(2, "there is no board 'icebraker'", "icebreaker")
