"""Port names of iCE40 blocks, in the order in which nextpnr's chip database lists them.

The database numbers its names and holds the numbers only; the ports of a block are sorted by
number. A block whose count of ports or whose directions differ from what is said here comes from a
database that this reader does not know, and is refused.
"""

import re
from types import MappingProxyType
from typing import Final

__all__ = ["BLOCK_PORTS", "OPTIONAL_PORTS", "OUTPUT_PORTS"]


def _bus(name: str, width: int) -> list[str]:
    return [f"{name}_{bit}" for bit in range(width)]


def _bus_as_text(name: str, width: int) -> list[str]:
    """Names of a bus where they are sorted as text: 0, 1, 10, 11 ... 2."""
    return sorted(_bus(name, width))


_LOGIC_CELL = ["I0", "I1", "I2", "I3", "O", "LO", "CIN", "COUT", "CEN", "CLK", "SR"]
_RAM = [
    *_bus("MASK", 16),
    *_bus("RDATA", 16),
    *_bus("WDATA", 16),
    *_bus("WADDR", 11),
    *_bus("RADDR", 11),
    *("WCLK", "WCLKE", "WE", "RCLK", "RCLKE", "RE"),
]
_IO = [
    *("LATCH_INPUT_VALUE", "CLOCK_ENABLE", "INPUT_CLK", "OUTPUT_CLK", "OUTPUT_ENABLE"),
    *("D_OUT_0", "D_OUT_1", "D_IN_0", "D_IN_1", "GLOBAL_BUFFER_OUTPUT"),
]
_GLOBAL_BUFFER = ["USER_SIGNAL_TO_GLOBAL_BUFFER", "GLOBAL_BUFFER_OUTPUT"]
_PLL = [
    *("REFERENCECLK", "EXTFEEDBACK"),
    *_bus("DYNAMICDELAY", 8),
    *("LOCK", "PLLOUT_A", "PLLOUT_B", "PLLOUT_A_GLOBAL", "PLLOUT_B_GLOBAL"),
    *("BYPASS", "RESETB", "LATCHINPUTVALUE", "SDO", "SDI", "SCLK"),
]
_MAC16 = [
    *("CLK", "ADDSUBBOT", "ADDSUBTOP", "AHOLD"),
    *_bus_as_text("A", 16),
    "BHOLD",
    *_bus_as_text("B", 16),
    *("CE", "CHOLD", "CI", "CO"),
    *_bus_as_text("C", 16),
    "DHOLD",
    *_bus_as_text("D", 16),
    *("IRSTBOT", "IRSTTOP", "OHOLDBOT", "OHOLDTOP", "OLOADBOT", "OLOADTOP", "ORSTBOT", "ORSTTOP"),
    *_bus_as_text("O", 32),
    *("SIGNEXTIN", "SIGNEXTOUT", "ACCUMCI", "ACCUMCO"),
]
_SPRAM = [
    *_bus_as_text("ADDRESS", 14),
    *("CHIPSELECT", "CLOCK"),
    *_bus_as_text("DATAIN", 16),
    *_bus_as_text("DATAOUT", 16),
    *_bus("MASKWREN", 4),
    *("POWEROFF", "SLEEP", "STANDBY", "WREN"),
]
_HFOSC = ["CLKHF", "CLKHFEN", "CLKHFPU", "CLKHF_FABRIC", *_bus("TRIM", 10)]

BLOCK_PORTS: Final = MappingProxyType(
    {
        "lc": tuple(_LOGIC_CELL),
        "ram": tuple(_RAM),
        "io": tuple(_IO),
        "gb": tuple(_GLOBAL_BUFFER),
        "pll": tuple(_PLL),
        "mac16": tuple(_MAC16),
        "spram": tuple(_SPRAM),
        "hfosc": tuple(_HFOSC),
    }
)
"""Ports of each kind of block."""

OPTIONAL_PORTS: Final = MappingProxyType(
    {
        "lc": frozenset({"LO"}),
        "io": frozenset({"GLOBAL_BUFFER_OUTPUT"}),
    }
)
"""Ports that a block of a kind may lack."""

OUTPUT_PORTS: Final = re.compile(
    r"O|LO|COUT|RDATA_.*|D_IN_.|GLOBAL_BUFFER_OUTPUT|LOCK|PLLOUT_.*|SDO|O_.*|CO|ACCUMCO|SIGNEXTOUT"
    r"|DATAOUT_.*|CLKHF|CLKHF_FABRIC"
)
"""Names of the ports by which blocks drive their wires."""
