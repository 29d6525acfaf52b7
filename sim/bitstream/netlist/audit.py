"""Check that every bit that is set has a meaning that is known.

Routing is checked where it is resolved, and what is extracted is checked there. Here are the
rest: bits that belong to nothing, entries of blocks that are not supported, and patterns that are
the same in every bitstream.
"""

from typing import Final

import numpy as np

from sim.bitstream.chip.chipdb import TILE_KINDS
from sim.bitstream.chip.image import Image
from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.blocks import MAC16_PARAMETERS
from sim.bitstream.netlist.logic import LUT_BITS

__all__ = ["audit"]

_KNOWN_PREFIXES: Final = ("LC_", "IOB_", "RamConfig.", "ColBufCtrl.", "IoCtrl.cf_bit_")
_KNOWN: Final = frozenset(
    ("CarryInSet", "NegClk", "IoCtrl.IE_0", "IoCtrl.IE_1", "IoCtrl.REN_0", "IoCtrl.REN_1")
)
_CONFIGURED: Final = frozenset(("mac16", "spram", "hfosc", "pll"))


def audit(image: Image) -> None:
    """Check the bits of a bitstream that nothing else looks at.

    Raises
    ------
    BitstreamError
        For the first bit whose meaning is not known or not supported.
    """
    known = _switch_bits(image)
    claimed = _claimed_entries(image)
    for y in range(image.chip.height):
        for x in range(image.chip.width):
            _audit_tile(image, x, y, known, claimed.get((x, y), frozenset()))
    _audit_column_buffers(image)
    networks = {place.extra_bit for place in image.chip.globals}
    for extra in sorted(image.extra - networks):
        raise BitstreamError(f"bit {extra} outside all tiles is set, but not known")


def _switch_bits(image: Image) -> np.ndarray:
    """Bits of routing, shape of the image's bits."""
    known = np.zeros(image.bits.shape, np.bool_)
    switches = image.chip.switches
    for k in range(switches["bits"].shape[1]):
        each = switches[switches["bit_count"] > k]
        rows, columns = each["bits"][:, k, 0], each["bits"][:, k, 1]
        known[each["y"], each["x"], rows, columns] = True
    return known


def _claimed_entries(image: Image) -> dict[tuple[int, int], frozenset[str]]:
    """Entries by tile that configure blocks which are supported."""
    claimed: dict[tuple[int, int], set[str]] = {}
    for number, entries in image.chip.block_config.items():
        kind = image.chip.blocks[number].kind
        if kind not in _CONFIGURED:
            continue
        prefix = "PLL" if kind == "pll" else "IpConfig"
        for name, (x, y, entry) in entries.items():
            if kind != "mac16" or name.rstrip("0123456789").rstrip("_") in _MAC16_STEMS:
                claimed.setdefault((x, y), set()).add(f"{prefix}.{entry}")
    return {place: frozenset(names) for place, names in claimed.items()}


_MAC16_STEMS: Final = frozenset(name.rstrip("0123456789").rstrip("_") for name in MAC16_PARAMETERS)


def _audit_tile(image: Image, x: int, y: int, known: np.ndarray, claimed: frozenset[str]) -> None:
    kind = TILE_KINDS[int(image.chip.tiles[y, x])]
    is_set = image.bits[y, x].astype(np.bool_) & ~known[y, x]
    if not is_set.any():
        return
    if kind.startswith("dsp") or kind == "ipcon":
        _audit_block_tile(image, x, y, kind)
    for name, places in image.chip.tile_bits[kind].items():
        is_known = name in _KNOWN or name.startswith(_KNOWN_PREFIXES) or name in claimed
        is_known |= name.startswith("Cascade.")
        if is_known:
            for row, column in places:
                is_set[row, column] = False
        elif any(is_set[row, column] for row, column in places):
            raise BitstreamError(f"tile {x},{y} ({kind}): {name} is set, which is not supported")
    left = np.argwhere(is_set)
    if len(left):
        row, column = left[0]
        raise BitstreamError(f"tile {x},{y} ({kind}): bit B{row}[{column}] is set, but not known")


def _audit_block_tile(image: Image, x: int, y: int, kind: str) -> None:
    """Tiles of hard blocks have cells like logic, which every bitstream sets to pass signals."""
    passes = sum(1 << place for k, place in enumerate(LUT_BITS) if k % 8 >= 4)
    for cell in range(8):
        if image.entry(x, y, f"LC_{cell}") not in (0, passes):
            raise BitstreamError(f"tile {x},{y} ({kind}): cell {cell} does not pass its input")


def _audit_column_buffers(image: Image) -> None:
    """Buffers of the global networks are on in all columns of a row, or in none.

    Columns of memory may have theirs in other rows than columns of logic.
    """
    values: dict[tuple[int, bool], set[int]] = {}
    for y in range(image.chip.height):
        for x in range(image.chip.width):
            kind = TILE_KINDS[int(image.chip.tiles[y, x])]
            states = values.setdefault((y, kind.startswith("ram")), set())
            for name in image.chip.tile_bits[kind]:
                if name.startswith("ColBufCtrl."):
                    states.add(image.entry(x, y, name))
    for (y, _), states in values.items():
        if len(states) > 1:
            raise BitstreamError(f"row {y}: some column buffers of the global networks are off")
