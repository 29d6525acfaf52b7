"""Logic cells: a LUT of four inputs, a carry, a flip-flop."""

from typing import Final

from sim.bitstream.chip.chipdb import Block
from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.fabric import Fabric
from sim.bitstream.netlist.model import ONE, ZERO, Carry, FlipFlop, Lut

__all__ = ["LUT_BITS", "extract_logic_cell"]

LUT_BITS: Final = (4, 14, 15, 5, 6, 16, 17, 7, 3, 13, 12, 2, 1, 11, 10, 0)
"""Where each bit of the truth table stands among the 20 of a logic cell (project IceStorm)."""
_CARRY_ENABLE: Final = 8
_FLIP_FLOP: Final = 9
_SET_NO_RESET: Final = 18
_ASYNC: Final = 19


def extract_logic_cell(fabric: Fabric, number: int, block: Block) -> None:
    """Add the parts of a logic cell that are in use to the netlist.

    Raises
    ------
    BitstreamError
        If it has a flip-flop without a clock.
    """
    bits = fabric.image.entry(block.x, block.y, f"LC_{block.z}")
    table = sum((bits >> place & 1) << k for k, place in enumerate(LUT_BITS))
    has_flip_flop = bool(bits >> _FLIP_FLOP & 1)
    netlist = fabric.netlist
    first, *others = _input_nets(fabric, block)
    inputs = (first, others[0], others[1], others[2])
    if bits >> _CARRY_ENABLE & 1:
        carry_in = _carry_in(fabric, block)
        netlist.carries.append(Carry(fabric.output(block, "COUT"), inputs[1], inputs[2], carry_in))
    lut_output = fabric.output(block, "LO") if "LO" in block.ports else fabric.fresh()
    netlist.luts.append(Lut(lut_output, table, inputs))
    output = fabric.output(block, "O")
    if not has_flip_flop:
        # The same signal on the way to the next cell and on the way to everywhere else.
        fabric.buffer(output, lut_output)
        return
    is_falling = bool(fabric.image.entry(block.x, block.y, "NegClk"))
    netlist.flip_flops.append(
        FlipFlop(
            output,
            lut_output,
            fabric.clock(block, "CLK", is_falling),
            enable=fabric.port(block, "CEN", ONE),
            control=fabric.port(block, "SR"),
            control_value=bits >> _SET_NO_RESET & 1,
            is_async=bool(bits >> _ASYNC & 1),
        )
    )


def _input_nets(fabric: Fabric, block: Block) -> list[int]:
    """Nets at the inputs of the LUT by their place in the chip, before any permutation."""
    chip = fabric.chip
    # The database has a wire behind each input that any of the four may be thought to lead to; the
    # truth table in the bitstream is that of the inputs as they are.
    wires = sorted(chip.sources(block.ports["I0"]), key=chip.wire_name)
    names = [chip.wire_name(wire).partition(":")[2] for wire in wires]
    if names != ["in_0", "in_1", "in_2", "in_3"]:
        raise BitstreamError(f"{block.name} has inputs that are not known: {', '.join(names)}")
    return [fabric.net(wire, ZERO) for wire in wires]


def _carry_in(fabric: Fabric, block: Block) -> int:
    # The first cell of a tile continues the tile below, or starts with a constant.
    if block.z == 0:
        constant = fabric.image.entry(block.x, block.y, "CarryInSet")
        return fabric.port(block, "CIN", ONE if constant else ZERO)
    return fabric.port(block, "CIN")
