"""Build every board's default bitstream, and write what it takes into docs/boards.md.

    python benchmarks/bitstreams.py [BOARD ...] [--seeds N]

The reports are kept in docs/boards.json, so that boards can be built one at a time; without a name
only the page is written again. All ten take some hours on one core, most of it iCE40 UP5K and the
85F.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from boards.build import TimingError, build
from boards.tools import ToolError
from systolic.spec.boards import Board, all_boards, board_named
from systolic.spec.config import ArrayConfig

DOCS = Path(__file__).parent.parent / "docs"
DATA = DOCS / "boards.json"
PAGE = DOCS / "boards.md"

HEAD = """\
# Boards

Made by `python benchmarks/bitstreams.py`; figures are those of `systolic build BOARD`, from the
reports in `boards.json`. Fmax is nextpnr's static timing, the best of the seeds that were tried; a
build fails if the clock is faster. int8 GMAC/s is what the array does at that clock while it
computes.

"""


def record(board: Board, seeds: int) -> dict[str, Any]:
    """Build a board, and return its report or why there is none."""
    try:
        return json.loads(build(board, seeds=seeds).report.to_json())
    except TimingError as error:
        return json.loads(error.report.to_json())
    except ToolError as error:
        return {"board": board.name, "failed": str(error)}


def page(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Text of the page, from the boards and their reports."""
    boards = all_boards()
    parts = [HEAD, _table(boards, reports), "\n## How each is connected\n\n"]
    parts += [_description(board, reports.get(board.name, {})) for board in boards]
    return "".join(parts)


def _table(boards: tuple[Board, ...], reports: Mapping[str, Mapping[str, Any]]) -> str:
    columns = "board", "array", "clock MHz", "Fmax MHz", "logic cells", "memory blocks", "DSPs"
    lines = [f"| {' | '.join((*columns, 'int8 GMAC/s'))} |\n", f"|{'---|' * (len(columns) + 1)}\n"]
    for board in boards:
        report = reports.get(board.name, {})
        lines.append(f"| {' | '.join((f'`{board.name}`', *_figures(board, report)))} |\n")
    return "".join(lines)


def _figures(board: Board, report: Mapping[str, Any]) -> tuple[str, ...]:
    clock = f"{board.clock.hz / 1e6:g}"
    if "best" not in report:
        return str(board.config), clock, "not measured", "", "", "", ""
    config = ArrayConfig(**report["config"])
    usage = {one["name"]: one for one in report["best"]["usage"] if one["used"]}
    texts = {name: f"{one['used']:,} of {one['available']:,}" for name, one in usage.items()}
    memories = [f"{texts[name]} {name}" for name in ("block RAMs", "SPRAMs") if name in texts]
    rate = config.rows * config.cols / config.digits(8) * report["clock_mhz"] / 1e3
    seeds = len(report["seeds"])
    fmax = f"{report['best']['fmax_mhz']:.2f} ({seeds} seed{'s' * (seeds > 1)})"
    return (
        str(config), f"{report['clock_mhz']:g}", fmax, texts["logic cells"], ", ".join(memories),
        texts.get("DSPs", ""), f"{rate:.2f}",
    )  # fmt: skip


def _description(board: Board, report: Mapping[str, Any]) -> str:
    uart = board.uart
    port = f" (its port {uart.usb_interface})" if uart.usb_interface is not None else ""
    lines = [
        f"**{board.title}** (`{board.name}`): UART at {uart.baud:,} baud behind USB "
        f"{uart.usb_vendor:04x}:{uart.usb_product:04x}{port}; loaded by "
        f"{' or '.join(programmer.tool for programmer in board.programmers)}."
    ]
    if board.notes:
        lines.append(f"{board.notes[0].upper()}{board.notes[1:]}.")
    if "failed" in report:
        lines.append(f"Not built: {report['failed']}.")
    if report.get("best", {}).get("critical_path"):
        path = report["best"]["critical_path"]
        slow = max(path, key=lambda part: part["logic_ns"] + part["routing_ns"])["component"]
        lines.append(f"The critical path is mostly in `{slow}`.")
    return " ".join(lines) + "\n\n"


def main() -> None:
    """Build what is named, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("boards", nargs="*", metavar="BOARD", help="boards to build")
    parser.add_argument("--seeds", type=int, default=1, help="seeds per board (default 1)")
    arguments = parser.parse_args()
    reports = json.loads(DATA.read_text()) if DATA.exists() else {}
    for name in arguments.boards:
        with Console(stderr=True).status(f"building {name}"):
            reports[name] = record(board_named(name), arguments.seeds)
        DATA.write_text(json.dumps(dict(sorted(reports.items())), indent=1) + "\n")
    PAGE.write_text(page(reports))


if __name__ == "__main__":
    main()
