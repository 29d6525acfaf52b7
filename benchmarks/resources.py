"""What accelerators and array cores take on iCE40, placed and routed, and how fast they are.

    python benchmarks/resources.py [--only NAME ...] [--seeds N] [--json FILE]

Each row is synthesised, placed and routed without a board: UP5K with SPRAM and DSP blocks, HX8K
with block RAM and adder rows. A bit-MAC is one weight bit times one activation bit: the array makes
rows x cols x weight_bits x digit_bits of them per cycle. Fmax is nextpnr's static timing, the best
of the seeds; it does not look inside DSP blocks. A full chip is a lottery of a few MHz: the first
seed of a row is one that was found to do well. A whole run takes about an hour; docs/resources.json
has one.
"""

import argparse
import json
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rich.console import Console
from rich.table import Table

from boards.ice40 import HX8K, UP5K, Ice40Flow, Report, ToolError, place_and_route
from systolic.accelerator import Accelerator
from systolic.core import Core
from systolic.spec.config import ArrayConfig


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    device: Ice40Flow
    config: ArrayConfig
    core_only: bool = False
    aim_mhz: float = 42.0
    seed: int = 1


def _shape(name: str) -> dict[str, int]:
    """Fields of a configuration that a row's name gives, such as ``16x4 w8 d4``."""
    match = re.search(r"(\d+)x(\d+) w(\d+) d(\d+)$", name)
    assert match is not None
    fields = ("rows", "cols", "weight_bits", "digit_bits")
    return dict(zip(fields, map(int, match.groups()), strict=True))


def _up5k(name: str, *, core_only: bool = False, seed: int = 1, **fields: int) -> Row:
    values = {"acc_bits": 24, "pe_cols": 4, **_shape(name), **fields}
    config = ArrayConfig(**values)  # type: ignore[arg-type]
    return Row(f"{name} up5k", UP5K, config, core_only, seed=seed)


def _hx8k(name: str, *, core_only: bool = False, **fields: int) -> Row:
    values = {
        "acc_bits": 24, "requantize_cycles": 12, "scratchpad_words": 256, **_shape(name), **fields,
    }  # fmt: skip
    config = ArrayConfig(multiplier="fabric", **values)  # type: ignore[arg-type]
    return Row(f"{name} hx8k", HX8K, config, core_only, 100.0)


ROWS = (
    _up5k("core 16x4 w8 d4", core_only=True),
    _up5k("16x4 w8 d4", seed=5, requantize_cycles=1),
    _up5k("16x4 w8 d2"),
    _up5k("16x4 w4 d4", requantize_cycles=1),
    _up5k("8x4 w8 d4", requantize_cycles=1),
    _up5k("16x4 w8 d1"),
    _hx8k("core 16x4 w8 d4", core_only=True, pe_cols=4),
    _hx8k("16x4 w8 d4", pe_cols=4),
    _hx8k("16x4 w8 d2", pe_cols=4),
    _hx8k("16x4 w4 d4", pe_cols=4),
    _hx8k("8x4 w8 d4", pe_cols=4),
    _hx8k("16x2 w8 d4", pe_cols=2),
)


class FewPins(wiring.Component):
    """A design behind two pins: its inputs are a shift register, its outputs another."""

    def __init__(self, inner: wiring.Component):
        self._inner = inner
        super().__init__({"i": In(1), "o": Out(1)})

    def overhead(self) -> int:
        """Flip-flops that the pins take, a logic cell each."""
        inputs, outputs = self._ports()
        return len(inputs) + len(outputs) + 6

    def _ports(self) -> tuple[Value, Value]:
        ports = list(self._inner.signature.flatten(self._inner))
        chosen = [
            Cat(Value.cast(value) for _, member, value in ports if member.flow == flow)
            for flow in (In, Out)
        ]
        return chosen[0], chosen[1]

    def elaborate(self, platform: object) -> Module:
        """Shift in, shift out a snapshot every 64 cycles."""
        m = Module()
        m.submodules.inner = self._inner
        inputs, outputs = self._ports()
        stimulus, snapshot, time = Signal(len(inputs)), Signal(len(outputs)), Signal(6)
        m.d.sync += [
            stimulus.eq(Cat(self.i, stimulus)),
            time.eq(time + 1),
            snapshot.eq(snapshot >> 1),
        ]
        with m.If(time == 0):
            m.d.sync += snapshot.eq(outputs)
        m.d.comb += [inputs.eq(stimulus), self.o.eq(snapshot[0])]
        return m


def measure(row: Row, seeds: int) -> tuple[Report, int]:
    """Best report over the seeds, and which it was."""
    reports: list[tuple[Report, int]] = []
    for seed in range(row.seed, row.seed + seeds):
        with tempfile.TemporaryDirectory() as folder:
            core = FewPins(Core(row.config)) if row.core_only else None
            report = place_and_route(
                core or Accelerator(row.config), row.device, Path(folder),
                seed=seed, freq_mhz=row.aim_mhz,
            )  # fmt: skip
        pins = core.overhead() if core is not None else 0
        reports.append((replace(report, logic_cells=report.logic_cells - pins), seed))
    return max(reports, key=lambda pair: pair[0].fmax_mhz)


def describe(row: Row, report: Report, seed: int) -> dict[str, int | float | str]:
    """Figures of a row."""
    config = row.config
    bit_macs = config.rows * config.cols * config.weight_bits * config.digit_bits
    return {
        "cells": report.logic_cells,
        "per_bit_mac": round(report.logic_cells / bit_macs, 3),
        "block_rams": report.block_rams,
        "sprams": report.sprams,
        "dsps": report.dsps,
        "fmax_mhz": report.fmax_mhz,
        "seed": seed,
        "gmacs_int8": round(
            config.rows * config.cols / config.digits(8) * report.fmax_mhz / 1000, 2
        ),
        "config": config.to_json(),
        "tools": report.tools,
    }


def main() -> None:
    """Measure, print the table as it grows, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows to measure")
    parser.add_argument("--seeds", type=int, default=1, help="seeds per row (default 1)")
    parser.add_argument(
        "--json", type=Path, help="file of figures to write, or to bring up to date"
    )
    arguments = parser.parse_args()
    console = Console(width=110)
    results: dict[str, dict[str, int | float | str]] = {}
    if arguments.json and arguments.json.exists():
        results = json.loads(arguments.json.read_text())  # rows that are not measured again
    for row in ROWS:
        if arguments.only and row.name not in arguments.only:
            continue
        try:
            results[row.name] = describe(row, *measure(row, arguments.seeds))
        except ToolError as error:
            results[row.name] = {"failed": str(error)}
        console.print(f"{row.name}: {results[row.name]}")
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    table = Table(title="iCE40, placed and routed")
    columns = (
        "cells",
        "per_bit_mac",
        "block_rams",
        "sprams",
        "dsps",
        "fmax_mhz",
        "seed",
        "gmacs_int8",
    )
    for name in ("design", *columns):
        table.add_column(name)
    for name, figures in results.items():
        table.add_row(name, *(str(figures.get(column, "-")) for column in columns))
    console.print(table)


if __name__ == "__main__":
    main()
