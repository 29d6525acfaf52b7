"""Synthesis, placement, routing and packing for ECP5: yosys, nextpnr and ecppack (an extra)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from boards.flow import Flow
from boards.pins import Pin, lpf
from boards.tools import run, tool_command

_SCRIPT = """
read_rtlil top.il
delete t:$meminit_v2
synth_ecp5 -top top -json packed.json
"""


@dataclass(frozen=True)
class Ecp5Flow(Flow):
    """An ECP5 in its package.

    Parameters
    ----------
    speed : str
        Speed grade, 6..8.
    """

    speed: str = "6"

    tools: ClassVar[tuple[str, str, str]] = ("yosys", "nextpnr-ecp5", "ecppack")
    routed: ClassVar[tuple[str, str]] = ("--textcfg", ".config")
    constraints: ClassVar[tuple[str, str]] = ("--lpf", ".lpf")
    bitstream_suffix: ClassVar[str] = ".bit"
    pack_options: ClassVar[tuple[str, ...]] = ("--compress",)
    resources: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "TRELLIS_COMB": "logic cells",
            "TRELLIS_FF": "flip-flops",
            "DP16KD": "block RAMs",
            "MULT18X18D": "DSPs",
            "EHXPLLL": "PLLs",
        }
    )

    def write_constraints(self, pins: Sequence[Pin]) -> str:
        """Text of the constraints."""
        return lpf(pins)

    def synthesise(self, folder: Path) -> None:
        """Make ``packed.json`` of ``top.il``.

        Raises
        ------
        ToolError
            If yosys is missing or fails.
        """
        (folder / "synth.ys").write_text(_SCRIPT)
        run([*tool_command("yosys"), "-q", "-l", "yosys.log", "synth.ys"], folder)

    def _chip_options(self) -> list[str]:
        return [f"--{self.name}", "--package", self.package, "--speed", self.speed]
