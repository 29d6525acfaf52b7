"""Synthesis, placement, routing and packing for iCE40: yosys, nextpnr and icepack."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from amaranth.hdl import Elaboratable

from boards.carry import pack_carry_heads
from boards.control_sets import absorb_controls
from boards.flow import Flow, to_rtlil
from boards.pins import Pin, pcf
from boards.tools import ToolError, run, tool_command, tool_version

__all__ = ["HX1K", "HX4K", "HX8K", "UP5K", "Ice40Flow", "Report", "ToolError", "place_and_route"]

# The contents of our memories are undefined at power-on: told so, yosys can use SPRAM.
_SCRIPT = """
read_rtlil top.il
delete t:$meminit_v2
synth_ice40 {options} -top top -json synth.json
"""

# The same with the LUTs mapped for area instead of speed: in synth_ice40, abc9 stands for the lines
# between its two parts. Adders of a few bits are no carry chains here, whose ends take cells, too.
_AREA_SCRIPT = """
read_rtlil top.il
delete t:$meminit_v2
synth_ice40 {options} -top top -run begin:map_gates
techmap -map +/techmap.v t:$alu r:Y_WIDTH<=5 %i
synth_ice40 {options} -top top -run map_gates:map_luts
techmap -map +/ice40/latches_map.v
abc -dress -lut 4 -script {abc}
ice40_wrapcarry -unwrap
techmap -map +/ice40/ff_map.v
clean
opt_lut -tech ice40
synth_ice40 {options} -top top -json synth.json -run map_cells:
"""

_AREA_STEPS = (
    "strash", "ifraig", "scorr",
    # Resubstitution over growing cuts, as in abc's own compress2rs.
    "balance -l", "resub -K 6 -l", "rewrite -l", "resub -K 6 -N 2 -l", "refactor -l",
    "resub -K 8 -l", "balance -l", "resub -K 8 -N 2 -l", "rewrite -l", "resub -K 10 -l",
    "rewrite -z -l", "resub -K 10 -N 2 -l", "balance -l", "resub -K 12 -l", "refactor -z -l",
    "resub -K 12 -N 2 -l", "rewrite -z -l", "balance -l",
    "dch -f", "if", "mfs2 -a", "lutpack -S 1", "mfs2 -a",
)  # fmt: skip


@dataclass(frozen=True)
class Ice40Flow(Flow):
    """An iCE40 in its package.

    Parameters
    ----------
    synth_options : str
        Options of ``synth_ice40``.
    is_for_area : bool
        Whether logic is mapped to as few cells as possible, be it slower: one to four percent.
    place_options : str
        Options of ``nextpnr-ice40``.
    """

    synth_options: str = ""
    is_for_area: bool = False
    place_options: str = ""

    tools: ClassVar[tuple[str, str, str]] = ("yosys", "nextpnr-ice40", "icepack")
    routed: ClassVar[tuple[str, str]] = ("--asc", ".asc")
    constraints: ClassVar[tuple[str, str]] = ("--pcf", ".pcf")
    bitstream_suffix: ClassVar[str] = ".bin"
    resources: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "ICESTORM_LC": "logic cells",
            "ICESTORM_RAM": "block RAMs",
            "ICESTORM_SPRAM": "SPRAMs",
            "ICESTORM_DSP": "DSPs",
            "ICESTORM_PLL": "PLLs",
        }
    )

    def write_constraints(self, pins: Sequence[Pin]) -> str:
        """Text of the constraints."""
        return pcf(pins)

    def synthesise(self, folder: Path) -> None:
        """Make ``packed.json`` of ``top.il``, by yosys and two passes of our own.

        Raises
        ------
        ToolError
            If yosys is missing or fails.
        """
        script = _AREA_SCRIPT if self.is_for_area else _SCRIPT
        abc = "+" + ";".join(step.replace(" ", ",") for step in _AREA_STEPS)
        (folder / "synth.ys").write_text(script.format(options=self.synth_options, abc=abc))
        run([*tool_command("yosys"), "-q", "-l", "yosys.log", "synth.ys"], folder)
        netlist = json.loads((folder / "synth.json").read_text())
        pack_carry_heads(netlist)
        absorb_controls(netlist)
        (folder / "packed.json").write_text(json.dumps(netlist))

    def _chip_options(self) -> list[str]:
        return [f"--{self.name}", "--package", self.package, *self.place_options.split()]


UP5K = Ice40Flow(
    "up5k",
    "sg48",
    "-dsp -spram -dffe_min_ce_use 4",
    is_for_area=True,
    # Wires are slow, and a full chip has long ones: what is critical goes first. A seed that finds
    # no place for a cell in a million attempts hardly ever does: the next one is sooner there.
    place_options=(
        "--placer-heap-timingweight 30 --placer-heap-critexp 3 "
        "--placer-heap-cell-placement-timeout 24"
    ),
)
HX8K = Ice40Flow("hx8k", "ct256", "-device hx")
HX4K = Ice40Flow("hx8k", "tq144:4k", "-device hx")
HX1K = Ice40Flow("hx1k", "tq144", "-device hx", is_for_area=True)


@dataclass(frozen=True)
class Report:
    """What a placed and routed design takes and how fast it is.

    Parameters
    ----------
    logic_cells, block_rams, sprams, dsps : int
        Used.
    fmax_mhz : float
        Highest clock frequency by nextpnr's static timing analysis.
    tools : str
        Versions of yosys and nextpnr.
    """

    logic_cells: int
    block_rams: int
    sprams: int
    dsps: int
    fmax_mhz: float
    tools: str

    def to_dict(self) -> dict[str, int | float | str]:
        """Plain dictionary."""
        return asdict(self)


def place_and_route(
    design: Elaboratable,
    flow: Ice40Flow,
    folder: Path,
    *,
    seed: int = 1,
    freq_mhz: float | None = None,
) -> Report:
    """Synthesise, place and route a design whose ports become unconstrained pins.

    Parameters
    ----------
    design : Elaboratable
        Top module; at most as many port bits as the package has pins.
    flow : Ice40Flow
        Chip.
    folder : Path
        Where the tools' files go; made if it does not exist.
    seed : int
        nextpnr's seed.
    freq_mhz : float, optional
        Frequency to aim at.

    Raises
    ------
    ToolError
        If a tool is missing or fails, or the design does not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.il").write_text(to_rtlil(design))
    flow.synthesise(folder)
    flow.place(folder, seed=seed, freq_mhz=freq_mhz, is_constrained=False)
    report = json.loads((folder / f"seed-{seed}.json").read_text())
    used = {name: counts["used"] for name, counts in report["utilization"].items()}
    return Report(
        logic_cells=used["ICESTORM_LC"],
        block_rams=used.get("ICESTORM_RAM", 0),
        sprams=used.get("ICESTORM_SPRAM", 0),
        dsps=used.get("ICESTORM_DSP", 0),
        fmax_mhz=round(min(clock["achieved"] for clock in report["fmax"].values()), 2),
        tools="; ".join(tool_version(tool) for tool in flow.tools[:2]),
    )
