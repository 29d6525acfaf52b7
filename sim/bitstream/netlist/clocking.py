"""Phase-locked loops and the oscillator: where clocks are made."""

from sim.bitstream.chip.chipdb import Block
from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.fabric import Fabric
from sim.bitstream.netlist.model import ONE, ZERO, ClockSource

__all__ = ["extract_oscillator", "extract_pll"]

_PAD_TYPE = 2
_CORE_TYPE = 3


def extract_pll(fabric: Fabric, number: int, block: Block) -> None:
    """Add a PLL's output to the clocks, and its lock.

    Its output counts as one clock, whose frequency is known by its ratio to the reference; phase
    has no meaning in this simulation.

    Raises
    ------
    BitstreamError
        If it is more than one output of a reference, multiplied.
    """
    kind = fabric.config(number, "PLLTYPE", 3)
    unsupported = {
        "two outputs, or its input from elsewhere": kind not in (_PAD_TYPE, _CORE_TYPE),
        "feedback other than the simple one": fabric.config(number, "FEEDBACK_PATH", 3) != 1,
        "an output other than GENCLK": fabric.config(number, "PLLOUT_SELECT_A", 2) != 0,
        "its test mode": fabric.config(number, "TEST_MODE") != 0,
    }
    for what, is_set in unsupported.items():
        if is_set:
            raise BitstreamError(f"{block.name} has {what}, which is not supported")
    fabric.must_be(fabric.port(block, "BYPASS"), ZERO, f"BYPASS of {block.name}")
    fabric.must_be(fabric.port(block, "RESETB", ONE), ONE, f"RESETB of {block.name}")
    divide = (fabric.config(number, "DIVR", 4) + 1) << fabric.config(number, "DIVQ", 3)
    ratio = (fabric.config(number, "DIVF", 7) + 1) / divide
    reference = ZERO
    if kind == _CORE_TYPE:
        reference = fabric.port(block, "REFERENCECLK")
        if reference in (ZERO, ONE):
            raise BitstreamError(f"{block.name} has no reference clock")
    _add_clock(fabric, block, ("PLLOUT_A", "PLLOUT_A_GLOBAL"), ratio, reference)
    fabric.netlist.locks.append(fabric.output(block, "LOCK"))


def _add_clock(
    fabric: Fabric, block: Block, ports: tuple[str, ...], ratio: float, reference: int
) -> None:
    """Add a clock that leaves a block by several ports."""
    clock = fabric.fresh()
    fabric.netlist.clocks[clock] = ClockSource(block.name, ratio, reference)
    for port in ports:
        if port in block.ports:
            fabric.buffer(fabric.output(block, port), clock)


def extract_oscillator(fabric: Fabric, number: int, block: Block) -> None:
    """Add the oscillator to the clocks: 48 MHz, divided by a power of two.

    Raises
    ------
    BitstreamError
        If it is trimmed.
    """
    if fabric.config(number, "TRIM_EN"):
        raise BitstreamError(f"{block.name} is trimmed, which is not supported")
    for port in ("CLKHFPU", "CLKHFEN"):
        fabric.must_be(fabric.port(block, port), ONE, f"{port} of {block.name}")
    ratio = 0.5 ** fabric.config(number, "CLKHF_DIV", 2)
    _add_clock(fabric, block, ("CLKHF", "CLKHF_FABRIC"), ratio, ZERO)
