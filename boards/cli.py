"""The boards' verbs: boards, build, program."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from boards import build as building
from boards.build import Bitstream, TimingError
from boards.chips import flow_of
from boards.pins import load_platform
from boards.program import program
from boards.report import BuildReport
from boards.tools import ToolError
from mapping.cli.display import facts, print_table, table
from mapping.cli.failure import Failure, reported
from mapping.cli.main import verbose_option
from mapping.cli.subject import load_config
from systolic.spec.boards import Board, BoardError, all_boards, board_named

OUTPUT: Final = Path("build")
"""Folder of the boards' folders, unless another is named."""

_COMPONENTS_SHOWN: Final = 12


@click.command("boards")
@verbose_option
def boards_command() -> None:
    """List the boards that bitstreams can be built for."""
    made = table(
        "boards", "<name", "<board", "<chip", "clock MHz", "Mbaud", "<configuration", "<link"
    )
    for board in all_boards():
        chip = flow_of(board, load_platform(board))
        usb = f"USB {board.uart.usb_vendor:04x}:{board.uart.usb_product:04x}"
        made.add_row(
            board.name, board.title, chip.name, f"{board.clock.hz / 1e6:g}",
            f"{board.uart.baud / 1e6:g}", str(board.config), usb,
        )  # fmt: skip
    print_table(made)
    for board in all_boards():
        if board.notes:
            click.echo(f"{board.name}: {board.notes}")


@click.command("build")
@click.argument("board_name", metavar="BOARD")
@click.option(
    "--config", "config_name", metavar="CONFIG",
    help="A preset or a JSON file; by default the board's own configuration.",
)  # fmt: skip
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, show_default=True,
    help="How many placements to try; the fastest is taken.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(min=1), help="How many at once; by default one per processor."
)
@click.option("--clock-mhz", type=click.IntRange(1, 255), help="Another clock.")
@click.option("--baud", type=click.IntRange(min=1), help="Another rate of the serial port.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
    help="Where the files go; by default build/BOARD.",
)  # fmt: skip
@verbose_option
def build_command(
    board_name: str,
    config_name: str | None,
    seeds: int,
    jobs: int | None,
    clock_mhz: int | None,
    baud: int | None,
    output: Path | None,
) -> None:
    """Build the bitstream of a board's accelerator, and report what it takes and how fast it is."""
    board = _chosen(board_name, config_name, clock_mhz, baud)
    try:
        with reported(BoardError, ToolError, OSError), _steps() as progress:
            bitstream = building.build(board, seeds=seeds, jobs=jobs, progress=progress)
    except TimingError as error:
        show_report(error.report)
        raise Failure(str(error)) from error
    show_report(bitstream.report)
    _export(bitstream, output or OUTPUT / board.name)


@click.command("program")
@click.argument("board_name", metavar="BOARD")
@click.argument("bitstream", required=False, metavar="[BITSTREAM]", type=click.Path(path_type=Path))
@verbose_option
def program_command(board_name: str, bitstream: Path | None) -> None:
    """Load a bitstream into a board: a file, or what 'systolic build' left in build/BOARD."""
    board = _named(board_name)
    with reported(BoardError):
        suffix = flow_of(board, load_platform(board)).bitstream_suffix
    path = bitstream or OUTPUT / board.name / f"{board.name}{suffix}"
    with reported(ToolError, OSError):
        tool = program(board, path)
    facts(loaded=f"{path} into {board.title}, by {tool}")


def _named(name: str) -> Board:
    try:
        return board_named(name)
    except BoardError as error:
        raise click.UsageError(str(error)) from None


def _chosen(name: str, config_name: str | None, clock_mhz: int | None, baud: int | None) -> Board:
    """Board with whatever the user wants otherwise."""
    board = _named(name)
    config = load_config(config_name) if config_name else board.config
    clock = replace(board.clock, hz=clock_mhz * 1_000_000) if clock_mhz else board.clock
    uart = replace(board.uart, baud=baud) if baud else board.uart
    with reported(BoardError, about=board.name):
        return replace(board, config=config, clock=clock, uart=uart)


@contextmanager
def _steps() -> Generator[building.Progress]:
    """Show the steps of a build, one line each, on a terminal."""
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    tasks: dict[str, TaskID] = {}
    lock = threading.Lock()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as lines:

        def tell(step: str, state: str) -> None:
            with lock:
                if step not in tasks:
                    tasks[step] = lines.add_task(step, total=1)
                done = state in ("done", "failed") or state.endswith("MHz")
                lines.update(tasks[step], description=f"{step:<10} {state}", completed=int(done))

        yield tell


def show_report(report: BuildReport) -> None:
    """Print what a build takes, how fast it is, and where its critical path goes."""
    used = table(f"{report.board}: {report.chip}", "<resource", "used", "of", "share")
    for usage in report.best.usage:
        if usage.used:
            used.add_row(
                usage.name, f"{usage.used:,}", f"{usage.available:,}", f"{usage.share:.0%}"
            )
    print_table(used)
    logic = table("logic by component, before packing", "<component", "LUTs and lone flip-flops")
    for component, count in list(report.logic.items())[:_COMPONENTS_SHOWN]:
        logic.add_row(component, f"{count:,}")
    print_table(logic)
    path = table("critical path", "<component", "logic ns", "routing ns")
    for segment in report.best.critical_path:
        path.add_row(segment.component, f"{segment.logic_ns:.2f}", f"{segment.routing_ns:.2f}")
    print_table(path)
    seeds = ", ".join(f"{fmax:.2f}" for fmax in report.seeds.values())
    facts(
        clock=f"{report.clock_mhz:g} MHz, {report.baud:,} baud",
        Fmax=f"{report.best.fmax_mhz:.2f} MHz (seed {report.best.seed} of {seeds})",
    )


def _export(bitstream: Bitstream, folder: Path) -> None:
    with reported(OSError):
        first, *rest = bitstream.export(folder)
    facts(
        bitstream=f"{first}, {first.stat().st_size:,} bytes",
        beside_it=", ".join(path.name for path in rest),
    )
