"""Which wire drives which: the configured switches of a bitstream.

Every bit of routing belongs to one switch, and each value of a switch other than 0 stands for one
connection. A value that stands for none is an error, as are two drivers of a wire and rings of
connections without a driver.
"""

import numpy as np
from numpy.typing import NDArray

from sim.bitstream.chip.image import Image
from sim.bitstream.errors import BitstreamError

__all__ = ["route", "switch_values"]


def switch_values(image: Image) -> NDArray[np.int64]:
    """Value of each switch of the chip, in the order of its table; 0 where there are no bits."""
    switches = image.chip.switches
    values = np.zeros(len(switches), np.int64)
    x, y = switches["x"].astype(np.intp), switches["y"].astype(np.intp)
    for k in range(switches["bits"].shape[1]):
        row = switches["bits"][:, k, 0].astype(np.intp)
        column = switches["bits"][:, k, 1].astype(np.intp)
        bit = image.bits[y, x, row, column].astype(np.int64)
        values = np.where(switches["bit_count"] > k, values << 1 | bit, values)
    return values


def route(image: Image) -> NDArray[np.int32]:
    """Return for each wire the wire where its signal starts, itself if nothing is connected to it.

    Raises
    ------
    BitstreamError
        If a switch has a value without meaning, a wire two drivers, or a ring none.
    """
    chip = image.chip
    pips = chip.pips
    values = switch_values(image)
    # Permuted LUT inputs and LUTs passed through have switches without bits: their table says it.
    is_on = (pips["value"] == values[pips["switch"]]) & (values[pips["switch"]] != 0)
    on = pips[is_on]
    unknown = np.setdiff1d(np.flatnonzero(values), on["switch"])
    if len(unknown):
        raise _switch_error(image, int(unknown[0]), int(values[unknown[0]]))
    targets, counts = np.unique(on["target"], return_counts=True)
    if np.any(counts > 1):
        name = chip.describe_wire(int(targets[counts > 1][0]))
        raise BitstreamError(f"wire {name} is driven from two sides")
    source = np.arange(chip.wire_count, dtype=np.int32)
    source[on["target"]] = on["source"]
    # Each round doubles how far a wire looks back; the longest route has far fewer than 2**20 hops.
    for _ in range(20):
        source = source[source]
    # What goes in a ring never gets out of it, and every member of a ring has a switch.
    ends = np.unique(source[targets])
    rings = ends[np.isin(ends, targets)]
    if len(rings):
        name = chip.describe_wire(int(rings[0]))
        raise BitstreamError(f"wire {name} is part of a ring that nothing drives")
    return source


def _switch_error(image: Image, switch: int, value: int) -> BitstreamError:
    chip = image.chip
    entry = chip.switches[switch]
    targets = chip.pips["target"][chip.pips["switch"] == switch]
    wire = chip.describe_wire(int(targets[0])) if len(targets) else "unknown"
    return BitstreamError(
        f"tile {int(entry['x'])},{int(entry['y'])}: the switch of wire {wire} has the value "
        f"{value:0{int(entry['bit_count'])}b}, which stands for nothing"
    )
