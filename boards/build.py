"""From a board to its bitstream: gateware, synthesis, several seeds of place-and-route, packing.

Every result is kept by a digest of all that it depends on, so that nothing is done twice, and a
build that was interrupted goes on where it was.
"""

import hashlib
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from platformdirs import user_cache_path

from boards import carry, control_sets, ecp5, flow, ice40
from boards.chips import flow_of
from boards.flow import Flow, to_rtlil
from boards.pins import board_pins, input_clock_hz, load_platform
from boards.report import (
    BuildReport,
    Placed,
    logic_by_component,
    read_logged_usage,
    read_placed,
)
from boards.tools import ToolError, tool_command, tool_version
from boards.top import BoardTop, MakeLink, clock_source
from systolic.links.uart_accelerator import UartAccelerator
from systolic.spec.boards import Board

Progress = Callable[[str, str], None]
"""Takes the name of a step and how it is; called from several threads."""

_STAGES: Final = {"Packing": "packing", "Creating initial": "placing", "Routing": "routing"}
_SPARE_SEEDS: Final = 4
"""Tried one by one where those that were asked for find no place: few do in a full chip."""
_SOURCES: Final[tuple[ModuleType, ...]] = (carry, control_sets, ecp5, flow, ice40)


class UnplacedError(ToolError):
    """The design fits, but no seed that was tried found a place for every cell."""


class FitError(ToolError):
    """The design needs more of something than the chip has."""


class TimingError(RuntimeError):
    """The design is too slow for its clock.

    Parameters
    ----------
    message : str
        One line.
    report : BuildReport
        What was reached, and where it is lost.
    """

    def __init__(self, message: str, report: BuildReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Bitstream:
    """A finished build.

    Parameters
    ----------
    report : BuildReport
        What it takes and how fast it is.
    files : dict of str to Path
        Suffix to file, in the cache: bitstream, placed and routed design, constraints, ``.json``
        (the netlist).
    """

    report: BuildReport
    files: dict[str, Path]

    def export(self, folder: Path) -> tuple[Path, ...]:
        """Copy the files, and the report behind them, into a folder; each is there whole or not.

        Returns
        -------
        tuple of Path
            The bitstream first, the report last.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        with _scratch(folder) as scratch:
            for suffix, path in self.files.items():
                shutil.copyfile(path, scratch / f"{self.report.board}{suffix}")
                written.append(folder / f"{self.report.board}{suffix}")
            written.append(folder / "report.json")
            (scratch / "report.json").write_text(self.report.to_json())
            for path in written:
                os.replace(scratch / path.name, path)
        return tuple(written)


def default_cache() -> Path:
    """Folder that keeps what was built."""
    return user_cache_path("systolic") / "builds"


def build(
    board: Board,
    *,
    seeds: int = 1,
    jobs: int | None = None,
    cache: Path | None = None,
    make_link: MakeLink | None = None,
    progress: Progress = lambda step, state: None,
) -> Bitstream:
    """Build the bitstream of a board's accelerator.

    Parameters
    ----------
    board : Board
        Board; :func:`dataclasses.replace` its fields for another configuration, clock or rate.
    seeds : int
        How many placements are tried (from the board's first seed on); the fastest is taken. Where
        none of them finds a place for every cell, up to four more.
    jobs : int, optional
        How many of them at once; by default one per processor.
    cache : Path, optional
        Folder of what was built; by default the user's.
    make_link : callable, optional
        Makes what works behind the pins; by default :class:`UartAccelerator`.
    progress : callable, optional
        Told of every step.

    Raises
    ------
    BoardError
        If the board's definition, pins or clock cannot be had.
    ToolError
        If a tool is missing or fails.
    FitError
        If the design does not fit.
    UnplacedError
        If it does, but no seed finds a place for every cell.
    TimingError
        If no seed is fast enough.
    """
    platform = load_platform(board)
    chip = flow_of(board, platform)
    for tool in chip.tools:
        tool_command(tool)
    progress("gateware", "elaborating")
    source = clock_source(board, input_clock_hz(board, platform))
    rtlil = to_rtlil(BoardTop(board, source, make_link or _accelerator(board)))
    constraints = chip.write_constraints(board_pins(board, platform))
    tools = tuple(tool_version(tool) for tool in chip.tools)
    digest = _digest(rtlil, constraints, repr(chip), str(board.clock.hz), *tools)
    progress("gateware", "done")
    folder = (cache or default_cache()) / digest
    folder.mkdir(parents=True, exist_ok=True)
    _synthesise(chip, folder, rtlil, constraints, progress)
    placed = _place_any(chip, folder, board, seeds, jobs or os.cpu_count(), progress)
    best = max(placed, key=lambda one: one.fmax_mhz)
    report = BuildReport(
        board=board.name,
        config=asdict(board.config),
        config_digest=board.config.digest.hex(),
        chip=f"{chip.name}-{chip.package}",
        clock_mhz=board.clock.hz / 1e6,
        baud=board.uart.baud,
        best=best,
        seeds={one.seed: one.fmax_mhz for one in placed},
        logic=logic_by_component(folder / "packed.json"),
        tools=tools,
        build_digest=digest,
    )
    if not report.meets_timing:
        raise TimingError(_slow(report), report)
    return Bitstream(report, _pack(chip, folder, best.seed))


def _accelerator(board: Board) -> MakeLink:
    return lambda: UartAccelerator(
        board.config,
        clock_hz=board.clock.hz,
        baud=board.uart.baud,
        window_log2=board.window_log2,
        board_id=board.board_id,
    )


def _digest(*parts: str) -> str:
    sources = (inspect.getsource(module) for module in _SOURCES)
    return hashlib.sha256(json.dumps([*parts, *sources]).encode()).hexdigest()[:24]


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Folder inside a folder, for files that are moved out of it when they are whole."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as name:
        yield Path(name)


def _synthesise(chip: Flow, folder: Path, rtlil: str, constraints: str, progress: Progress) -> None:
    if not (folder / "packed.json").exists():
        progress("synthesis", "running")
        with _scratch(folder) as scratch:
            (scratch / "top.il").write_text(rtlil)
            (scratch / f"top{chip.constraints[1]}").write_text(constraints)
            chip.synthesise(scratch)
            for name in (f"top{chip.constraints[1]}", "packed.json"):
                os.replace(scratch / name, folder / name)
    progress("synthesis", "done")


def _place_any(
    chip: Flow, folder: Path, board: Board, seeds: int, jobs: int | None, progress: Progress
) -> list[Placed]:
    """As :func:`_place_all`, with spare seeds where none finds a place."""
    first = board.first_seed
    spares = range(first + seeds, first + seeds + _SPARE_SEEDS)
    *earlier, last = range(first, first + seeds), *([seed] for seed in spares)
    for attempt in earlier:
        try:
            return _place_all(chip, folder, board, attempt, jobs, progress)
        except UnplacedError:
            continue
    return _place_all(chip, folder, board, last, jobs, progress)


def _place_all(
    chip: Flow, folder: Path, board: Board, seeds: Sequence[int], jobs: int | None,
    progress: Progress,
) -> list[Placed]:  # fmt: skip
    """Results of all seeds that could be placed and routed; at least one."""
    failures: list[ToolError] = []

    def place(seed: int) -> Placed | None:
        try:
            placed = _place(chip, folder, board, seed, lambda text: progress(f"seed {seed}", text))
        except ToolError as error:
            progress(f"seed {seed}", "failed")
            failures.append(error)
            return None
        progress(f"seed {seed}", f"{placed.fmax_mhz:.2f} MHz")
        return placed

    with ThreadPoolExecutor(jobs) as pool:
        try:
            results = list(pool.map(place, seeds))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    placed = [result for result in results if result is not None]
    if not placed:
        raise failures[0]
    return placed


def _place(
    chip: Flow, folder: Path, board: Board, seed: int, tell: Callable[[str], None]
) -> Placed:
    report = folder / f"seed-{seed}.json"
    if not report.exists():

        def observe(line: str) -> None:
            for start, stage in _STAGES.items():
                if line.startswith(f"Info: {start}"):
                    tell(stage)

        tell("starting")
        with _scratch(folder) as scratch:
            for name in ("packed.json", f"top{chip.constraints[1]}"):
                os.link(folder / name, scratch / name)
            try:
                chip.place(scratch, seed=seed, freq_mhz=board.clock.hz / 1e6, observe=observe)
            except ToolError as error:
                _explain(chip, board, (scratch / f"seed-{seed}.log").read_text(), error)
            # The report last: what it reports is there if it is.
            for suffix in (chip.routed[1], ".json"):
                os.replace(scratch / f"seed-{seed}{suffix}", folder / f"seed-{seed}{suffix}")
    return read_placed(chip, seed, report)


def _explain(chip: Flow, board: Board, log: str, error: ToolError) -> None:
    """Raise what is wrong if a design does not fit, or else the tool's own complaint."""
    usage = read_logged_usage(chip, log)
    excess = [one for one in usage if not one.fits]
    if not excess:
        full = f" ({usage[0].used:,} {usage[0].name} of {usage[0].available:,})" if usage else ""
        if "legal placement" in str(error):
            raise UnplacedError(
                f"{board.name}: no place for every cell was found{full}: try more --seeds, or "
                "smaller rows or cols"
            ) from error
        raise ToolError(f"{board.name}: {error}{full}") from error
    needs = ", ".join(f"{one.used:,} {one.name} of {one.available:,}" for one in excess)
    is_memory = all("RAM" in one.name for one in excess)
    smaller = "scratchpad_words" if is_memory else "rows, cols, weight_bits or digit_bits"
    raise FitError(
        f"{board.name}: {board.config} does not fit: it needs {needs}; take smaller {smaller}"
    ) from error


def _slow(report: BuildReport) -> str:
    path = report.best.critical_path
    slowest = max(path, key=lambda part: part.logic_ns + part.routing_ns).component if path else ""
    tried = f"best of {len(report.seeds)} seeds" if len(report.seeds) > 1 else "one seed"
    return (
        f"{report.board}: timing is not met: {report.best.fmax_mhz:.2f} MHz where "
        f"{report.clock_mhz:g} MHz are wanted ({tried}; the critical path is mostly in {slowest}): "
        f"try --seeds {4 * len(report.seeds)} or a slower --clock-mhz"
    )


def _pack(chip: Flow, folder: Path, seed: int) -> dict[str, Path]:
    routed = f"seed-{seed}{chip.routed[1]}"
    bitstream = f"seed-{seed}{chip.bitstream_suffix}"
    if not (folder / bitstream).exists():
        with _scratch(folder) as scratch:
            os.link(folder / routed, scratch / routed)
            chip.pack(scratch, routed, bitstream)
            os.replace(scratch / bitstream, folder / bitstream)
    return {
        chip.bitstream_suffix: folder / bitstream,
        chip.routed[1]: folder / routed,
        chip.constraints[1]: folder / f"top{chip.constraints[1]}",
        ".json": folder / "packed.json",
    }
