"""Pads: what the pins of the package are connected to."""

from collections.abc import Mapping

from sim.bitstream.chip.chipdb import Block, ChipDb
from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.fabric import Fabric
from sim.bitstream.netlist.model import ONE, ZERO, FlipFlop, InputPad, Lut, OutputPad

__all__ = ["extract_input", "extract_outputs", "pad_names", "read_pcf"]


def read_pcf(text: str) -> dict[str, str]:
    """Return the names of the ports by the package's pins, from nextpnr's constraints.

    Raises
    ------
    BitstreamError
        If two ports are on one pin.
    """
    names: dict[str, str] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "set_io":
            continue
        port, pin = words[-2:]
        if pin in names:
            raise BitstreamError(f"ports {names[pin]} and {port} are both on pin {pin}")
        names[pin] = port
    return names


def pad_names(chip: ChipDb, package: str, pins: Mapping[str, str]) -> dict[int, str]:
    """Return names for the pads that have a pin, by block number.

    Raises
    ------
    BitstreamError
        If the chip is not made in that package, or the package has no such pin.
    """
    if package not in chip.packages:
        known = ", ".join(sorted(chip.packages))
        raise BitstreamError(f"the chip {chip.name} has no package {package}, only {known}")
    blocks = chip.packages[package]
    for pin, port in pins.items():
        if pin not in blocks:
            raise BitstreamError(f"port {port}: package {package} has no pin {pin}")
    return {number: pins.get(pin, pin) for pin, number in blocks.items()}


def _pin_type(fabric: Fabric, block: Block) -> int:
    return sum(
        fabric.image.entry(block.x, block.y, f"IOB_{block.z}.PINTYPE_{k}") << k for k in range(6)
    )


def _name(fabric: Fabric, number: int, block: Block) -> str:
    name = fabric.pads.get(number)
    if name is None:
        raise BitstreamError(f"{block.name} is in use, but has no pin in this package")
    return name


def extract_input(fabric: Fabric, number: int, block: Block) -> None:
    """Add a pad that the fabric reads to the netlist.

    Raises
    ------
    BitstreamError
        If its input buffer is off, or its input is latched or of double data rate.
    """
    name = _name(fabric, number, block)
    _check_input_buffer(fabric, block, name)
    pad = fabric.fresh()
    fabric.netlist.inputs.append(InputPad(name, pad, _is_pulled_up(fabric, block)))
    if "GLOBAL_BUFFER_OUTPUT" in block.ports:
        fabric.buffer(fabric.output(block, "GLOBAL_BUFFER_OUTPUT"), pad)
    kind = _pin_type(fabric, block) & 3
    output = fabric.output(block, "D_IN_0")
    if kind == 1:
        fabric.buffer(output, pad)
    elif kind == 0 and fabric.port(block, "INPUT_CLK") != ZERO:
        fabric.netlist.flip_flops.append(_register(fabric, block, "INPUT_CLK", pad, output))
    # Otherwise D_IN_0 stays without a driver, which is an error if something reads it.


def _check_input_buffer(fabric: Fabric, block: Block, name: str) -> None:
    enable = _input_control(fabric, block, "IE")
    # On the 1k chip the bit switches the buffer off.
    if bool(enable) == (fabric.chip.name == "1k"):
        raise BitstreamError(f"pin {name} is read, but its input buffer is off")


def _input_control(fabric: Fabric, block: Block, name: str) -> int:
    place = fabric.chip.input_enables.get((block.x, block.y, block.z))
    if place is None:
        raise BitstreamError(f"{block.name} has no input buffer")
    x, y, z = place
    return fabric.image.entry(x, y, f"IoCtrl.{name}_{z}")


def _is_pulled_up(fabric: Fabric, block: Block) -> bool:
    return not _input_control(fabric, block, "REN")


def _register(fabric: Fabric, block: Block, clock: str, data: int, output: int) -> FlipFlop:
    is_falling = bool(fabric.image.entry(block.x, block.y, "NegClk"))
    edge = fabric.clock(block, clock, is_falling)
    enable = fabric.port(block, "CLOCK_ENABLE", ONE)
    return FlipFlop(output, data, edge, enable, ZERO, 0, is_async=False)


def extract_outputs(fabric: Fabric) -> None:
    """Add all pads that the fabric drives to the netlist.

    Raises
    ------
    BitstreamError
        If an output is of double data rate.
    """
    for number, block in enumerate(fabric.chip.blocks):
        if block.kind != "io":
            continue
        kind = _pin_type(fabric, block) >> 2
        if kind >> 2:
            _extract_output(fabric, number, block, kind)


def _extract_output(fabric: Fabric, number: int, block: Block, kind: int) -> None:
    name = _name(fabric, number, block)
    data = fabric.port(block, "D_OUT_0")
    if kind & 3 == 0:
        raise BitstreamError(f"pin {name} has a data rate of two bits per clock: not supported")
    if kind & 1:
        if kind & 2:
            inverted = fabric.fresh()
            fabric.netlist.luts.append(Lut(inverted, 0b01, (data, ZERO, ZERO, ZERO)))
            data = inverted
        register = fabric.fresh()
        flip_flop = _register(fabric, block, "OUTPUT_CLK", data, register)
        fabric.netlist.flip_flops.append(flip_flop)
        data = register
    enable = ONE if kind >> 2 == 1 else fabric.port(block, "OUTPUT_ENABLE", ONE)
    if kind >> 2 == 3:
        register = fabric.fresh()
        flip_flop = _register(fabric, block, "OUTPUT_CLK", enable, register)
        fabric.netlist.flip_flops.append(flip_flop)
        enable = register
    fabric.netlist.outputs.append(OutputPad(name, data, enable))
