"""What the steps from gateware to bitstream have in common, whatever the chip.

A chip family's own part of it is in :mod:`boards.ice40` and :mod:`boards.ecp5`.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]  # no stub
from amaranth.hdl import Elaboratable

from boards.pins import Pin
from boards.tools import Observer, run, tool_command


def to_rtlil(design: Elaboratable) -> str:
    """RTLIL of a design, with the promise that no memory word is read while it is written.

    Amaranth's memories give the old value then; a block RAM gives anything, and yosys would
    surround it with registers and comparators. Our gateware never does it, so it is told not to
    care. (``-no-rw-check`` of yosys's scripts says the same, but not of Amaranth's read ports.)
    """
    # Without source locations: the same design is the same text, wherever it lies.
    text = rtlil.convert(design, name="top", emit_src=False)
    return re.sub(
        r"(COLLISION_X_MASK) (\d+)'0+",
        lambda match: f"{match[1]} {match[2]}'{'1' * int(match[2])}",
        text,
    )


@dataclass(frozen=True)
class Flow(ABC):
    """Tools and files of a chip family.

    Every step works in a folder of its own choice, on files with these names: ``top.il`` (RTLIL)
    is synthesised to ``packed.json``; that and the constraints are placed and routed to
    ``seed-N`` with the suffix in :attr:`routed`, ``seed-N.json`` being nextpnr's report; that is
    packed.

    Parameters
    ----------
    name : str
        The chip, as nextpnr calls it.
    package : str
        Its package, as nextpnr calls it.
    """

    name: str
    package: str

    tools: ClassVar[tuple[str, str, str]]
    """Synthesis, place-and-route, packer."""
    routed: ClassVar[tuple[str, str]]
    """Option of place-and-route that names the routed design, and its suffix."""
    constraints: ClassVar[tuple[str, str]]
    """Option of place-and-route that takes the constraints, and their suffix."""
    bitstream_suffix: ClassVar[str]
    """Suffix of the bitstream."""
    pack_options: ClassVar[tuple[str, ...]] = ()
    """Options of the packer."""
    resources: ClassVar[Mapping[str, str]]
    """What place-and-route counts, by its name for it, and what we call it; logic cells first."""

    @abstractmethod
    def write_constraints(self, pins: Sequence[Pin]) -> str:
        """Text of the constraints."""

    @abstractmethod
    def synthesise(self, folder: Path) -> None:
        """Make ``packed.json`` of ``top.il``.

        Raises
        ------
        ToolError
            If the tool is missing or fails.
        """

    @abstractmethod
    def _chip_options(self) -> list[str]:
        """Options of place-and-route that say what chip it is."""

    def place(
        self,
        folder: Path,
        *,
        seed: int,
        freq_mhz: float | None = None,
        is_constrained: bool = True,
        observe: Observer | None = None,
    ) -> None:
        """Place and route ``packed.json``; missing the frequency is no error here.

        Parameters
        ----------
        folder : Path
            Where the files are.
        seed : int
            nextpnr's seed.
        freq_mhz : float, optional
            Frequency to aim at.
        is_constrained : bool
            Whether there is a file ``top`` with constraints; otherwise pins are free.
        observe : callable, optional
            Called with each line that nextpnr says.

        Raises
        ------
        ToolError
            If the tool is missing or fails, or the design does not fit.
        """
        stem = f"seed-{seed}"
        options = ["--seed", str(seed), "--report", f"{stem}.json", "--timing-allow-fail"]
        options += [self.routed[0], f"{stem}{self.routed[1]}"]
        if is_constrained:
            options += [self.constraints[0], f"top{self.constraints[1]}"]
        if freq_mhz is not None:
            options += ["--freq", f"{freq_mhz:g}"]
        command = [*tool_command(self.tools[1]), *self._chip_options(), "--json", "packed.json"]
        run([*command, *options], folder, log=f"{stem}.log", observe=observe)

    def pack(self, folder: Path, routed: str, bitstream: str) -> None:
        """Make a bitstream of a placed and routed design, both named relative to the folder.

        Raises
        ------
        ToolError
            If the tool is missing or fails.
        """
        run([*tool_command(self.tools[2]), *self.pack_options, routed, bitstream], folder)
