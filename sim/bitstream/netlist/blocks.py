"""Memories and multipliers."""

from typing import Final

from sim.bitstream.chip.chipdb import Block
from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.fabric import Fabric
from sim.bitstream.netlist.model import ONE, ZERO, Clock, Mac16, Ram, RamPort, Spram

__all__ = ["MAC16_PARAMETERS", "extract_mac16", "extract_ram", "extract_spram"]

MAC16_PARAMETERS: Final = {
    **dict.fromkeys(("C_REG", "A_REG", "B_REG", "D_REG"), 1),
    **dict.fromkeys(("TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG"), 1),
    **dict.fromkeys(("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2"), 1),
    **dict.fromkeys(("TOPOUTPUT_SELECT", "TOPADDSUB_LOWERINPUT", "TOPADDSUB_CARRYSELECT"), 2),
    **dict.fromkeys(("BOTOUTPUT_SELECT", "BOTADDSUB_LOWERINPUT", "BOTADDSUB_CARRYSELECT"), 2),
    **dict.fromkeys(("TOPADDSUB_UPPERINPUT", "BOTADDSUB_UPPERINPUT"), 1),
    **dict.fromkeys(("MODE_8x8", "A_SIGNED", "B_SIGNED"), 1),
}
"""Parameters of a multiplier and their widths."""

_MAC16_BUSES: Final = {"A": 16, "B": 16, "C": 16, "D": 16}
_MAC16_SINGLE: Final = (
    *("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT"),
    *("OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT"),
    *("CI", "ACCUMCI", "SIGNEXTIN"),
)


def _ram_port(fabric: Fabric, block: Block, side: str, mode: int) -> RamPort:
    """Side ``R`` or ``W`` of a block RAM."""
    wire = block.ports[f"{side}CLK"]
    # The clock's polarity is a matter of the tile in which the clock enters.
    is_falling = bool(fabric.image.entry(*fabric.chip.wire_tile(wire), "NegClk"))
    enable = fabric.port(block, f"{side}E")
    clock = Clock(ZERO, False)
    if enable != ZERO:
        clock = fabric.clock(block, f"{side}CLK", is_falling)
    address = fabric.bus(block, f"{side}ADDR", 11)
    return RamPort(mode, clock, fabric.port(block, f"{side}CLKE", ONE), enable, address)


def extract_ram(fabric: Fabric, number: int, block: Block) -> None:
    """Add a block RAM to the netlist.

    Raises
    ------
    BitstreamError
        If it is switched off.
    """
    x, y = block.x, block.y
    is_powered = bool(fabric.image.entry(x, y, "RamConfig.PowerUp")) != (fabric.chip.name == "1k")
    if not is_powered:
        raise BitstreamError(f"{block.name} is in use, but switched off")
    mode = sum(fabric.image.entry(x, y + 1, f"RamConfig.CBIT_{k}") << k for k in range(4))
    fabric.netlist.rams.append(
        Ram(
            block.name,
            fabric.image.ram.get((x, y), (0,) * 256),
            read=_ram_port(fabric, block, "R", mode >> 2),
            write=_ram_port(fabric, block, "W", mode & 3),
            mask=fabric.bus(block, "MASK", 16),
            data=fabric.bus(block, "WDATA", 16),
            outputs=fabric.output_bus(block, "RDATA", 16),
        )
    )


def extract_spram(fabric: Fabric, number: int, block: Block) -> None:
    """Add a single-port RAM to the netlist.

    Raises
    ------
    BitstreamError
        If it is not enabled, or its power-saving inputs are in use.
    """
    if not fabric.config(number, "SPRAM_EN"):
        raise BitstreamError(f"{block.name} is in use, but not enabled")
    for port, idle in (("STANDBY", ZERO), ("SLEEP", ZERO), ("POWEROFF", ONE)):
        fabric.must_be(fabric.port(block, port), idle, f"{port} of {block.name}")
    fabric.netlist.sprams.append(
        Spram(
            block.name,
            clock=fabric.clock(block, "CLOCK", is_falling=False),
            chip_select=fabric.port(block, "CHIPSELECT"),
            write_enable=fabric.port(block, "WREN"),
            mask=fabric.bus(block, "MASKWREN", 4),
            address=fabric.bus(block, "ADDRESS", 14),
            data=fabric.bus(block, "DATAIN", 16),
            outputs=fabric.output_bus(block, "DATAOUT", 16),
        )
    )


def extract_mac16(fabric: Fabric, number: int, block: Block) -> None:
    """Add a multiplier to the netlist."""
    parameters = {
        name: fabric.config(number, name, width) for name, width in MAC16_PARAMETERS.items()
    }
    inputs = {name: fabric.bus(block, name, width) for name, width in _MAC16_BUSES.items()}
    inputs |= {name: (fabric.port(block, name),) for name in _MAC16_SINGLE}
    inputs["CE"] = (fabric.port(block, "CE", ONE),)
    outputs = {"O": fabric.output_bus(block, "O", 32)}
    outputs |= {name: (fabric.output(block, name),) for name in ("CO", "ACCUMCO", "SIGNEXTOUT")}
    net = fabric.port(block, "CLK")
    fabric.netlist.macs.append(Mac16(block.name, parameters, Clock(net, False), inputs, outputs))
