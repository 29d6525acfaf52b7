"""Chips by their names in amaranth-boards, and the flow that makes their bitstreams."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from amaranth.build import Platform

from boards.ecp5 import Ecp5Flow
from boards.flow import Flow
from boards.ice40 import HX1K, HX4K, HX8K, UP5K
from systolic.spec.boards import Board, BoardError

_ICE40: Final[Mapping[tuple[str, str], Flow]] = MappingProxyType(
    {
        ("iCE40UP5K", "SG48"): UP5K,
        ("iCE40HX8K", "CT256"): HX8K,
        ("iCE40HX4K", "TQ144"): HX4K,
        ("iCE40HX1K", "TQ144"): HX1K,
    }
)
_ECP5_SIZES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "LFE5U-12F": "12k",
        "LFE5U-25F": "25k",
        "LFE5U-45F": "45k",
        "LFE5U-85F": "85k",
        "LFE5UM5G-45F": "um5g-45k",
        "LFE5UM5G-85F": "um5g-85k",
    }
)
_ECP5_PACKAGES: Final[Mapping[str, str]] = MappingProxyType(
    {"BG256": "CABGA256", "BG381": "CABGA381", "BG554": "CABGA554", "MG285": "CSFBGA285"}
)


def flow_of(board: Board, platform: Platform) -> Flow:
    """Flow of a board's chip.

    Raises
    ------
    BoardError
        If the chip or its package is none that we know.
    """
    device, package = str(platform.device), str(platform.package)
    if (device, package) in _ICE40:
        return _ICE40[device, package]
    if device in _ECP5_SIZES and package in _ECP5_PACKAGES:
        return Ecp5Flow(_ECP5_SIZES[device], _ECP5_PACKAGES[package], str(platform.speed))
    raise BoardError(f"{board.name}: no tools are known for a {device} in package {package}")
