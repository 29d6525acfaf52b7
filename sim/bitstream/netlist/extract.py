"""From the bits of a bitstream to its netlist.

Output pads are asked what drives them, and that what drives it, until nothing is left to ask. So
only what can reach a pin is extracted; that every other bit is at least known is checked by
`audit`.
"""

from collections.abc import Callable
from typing import Final

from sim.bitstream.chip.chipdb import Block
from sim.bitstream.chip.image import Image
from sim.bitstream.netlist.audit import audit
from sim.bitstream.netlist.blocks import extract_mac16, extract_ram, extract_spram
from sim.bitstream.netlist.clocking import extract_oscillator, extract_pll
from sim.bitstream.netlist.fabric import Fabric
from sim.bitstream.netlist.logic import extract_logic_cell
from sim.bitstream.netlist.model import Netlist
from sim.bitstream.netlist.pads import extract_input, extract_outputs, pad_names

__all__ = ["extract"]

_EXTRACTORS: Final[dict[str, Callable[[Fabric, int, Block], None]]] = {
    "lc": extract_logic_cell,
    "ram": extract_ram,
    "spram": extract_spram,
    "mac16": extract_mac16,
    "pll": extract_pll,
    "hfosc": extract_oscillator,
    "io": extract_input,
}


def extract(image: Image, package: str, pins: dict[str, str] | None = None) -> Netlist:
    """Return the netlist of a bitstream.

    Parameters
    ----------
    image : Image
        The bitstream.
    package : str
        Package of the chip, as nextpnr calls it (``sg48``, ``ct256``).
    pins : dict of str to str, optional
        Names for pins, by the package's own; pins without one keep the latter.

    Raises
    ------
    BitstreamError
        If a bit is set whose meaning is not known, or something is configured that is not
        supported.
    """
    fabric = Fabric(image, pad_names(image.chip, package, pins or {}))
    audit(image)
    extract_outputs(fabric)
    while fabric.pending:
        number = fabric.pending.pop()
        block = image.chip.blocks[number]
        _EXTRACTORS[block.kind](fabric, number, block)
    return fabric.netlist
