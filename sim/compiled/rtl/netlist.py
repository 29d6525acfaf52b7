"""Typed view of the hierarchical JSON that yosys writes.

First stage of the compiled simulator: text in, frozen records out, no interpretation. A net is an
integer that is unique within its module; a constant bit is one of the strings ``0 1 x z``.
Cells are sorted naturally (``$999`` before ``$1001``), or identical modules would look different.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bit", "Cell", "Module", "NetlistError", "Port", "natural_key", "read_netlist"]

Bit = int | str

_EXTENDING = frozenset({"$add", "$sub", "$mul", "$and", "$or", "$xor", "$xnor"})


class NetlistError(ValueError):
    """A design holds something that the compiled simulator does not support."""


@dataclass(frozen=True)
class Port:
    """Port of a module, bits least significant first."""

    name: str
    direction: str
    bits: tuple[Bit, ...]
    is_signed: bool


@dataclass(frozen=True)
class Cell:
    """Instance of a yosys cell or of another module."""

    name: str
    type: str
    params: Mapping[str, str]
    inputs: Mapping[str, tuple[Bit, ...]]
    outputs: Mapping[str, tuple[Bit, ...]]

    def integer(self, name: str) -> int:
        """Return parameter `name` as an unsigned number; its ``x`` bits count as 0.

        Raises
        ------
        NetlistError
            If the cell has no such parameter.
        """
        try:
            text = self.params[name]
        except KeyError:
            raise NetlistError(f"cell {self.name} ({self.type}) has no parameter {name}") from None
        return int(text.replace("x", "0") or "0", 2)

    def flag(self, name: str) -> bool:
        """Return whether parameter `name` is present and not zero."""
        return name in self.params and self.integer(name) != 0


@dataclass(frozen=True)
class Module:
    """One module: its ports, cells in natural order, named nets and register initial values.

    Attributes
    ----------
    nets : mapping of str to tuple
        Bits of every net that has a name in the source.
    initial : mapping of int to int
        Initial value, 0 or 1, of every net bit that has one.
    """

    name: str
    ports: Mapping[str, Port]
    cells: tuple[Cell, ...]
    nets: Mapping[str, tuple[Bit, ...]]
    initial: Mapping[int, int] = field(repr=False)


def natural_key(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key under which numbers inside names compare as numbers.

    >>> sorted(["$1001", "$999", "pe_10", "pe_2"], key=natural_key)
    ['$999', '$1001', 'pe_2', 'pe_10']
    """
    parts = re.split(r"(\d+)", name)
    return tuple(("", int(part)) if index % 2 else (part, 0) for index, part in enumerate(parts))


def _extend_operands(cell: Cell) -> Cell:
    """Return an arithmetic cell with both operands as wide as the result.

    Amaranth narrows constant operands: an element at the edge of an array, which adds to a constant
    0, would look different from its neighbours.
    """
    width = cell.integer("Y_WIDTH")
    is_signed = cell.flag("A_SIGNED") and cell.flag("B_SIGNED")
    inputs: dict[str, tuple[Bit, ...]] = {}
    for port, bits in cell.inputs.items():
        top = bits[-1] if is_signed and bits else "0"
        inputs[port] = (*bits, *(top,) * (width - len(bits)))[:width]
    params = {"A_SIGNED": "0", "B_SIGNED": "0", "Y_WIDTH": cell.params["Y_WIDTH"]}
    return Cell(cell.name, cell.type, params, inputs, cell.outputs)


def _cell(name: str, raw: dict[str, Any]) -> Cell:
    directions: dict[str, str] = raw.get("port_directions") or {}
    inputs: dict[str, tuple[Bit, ...]] = {}
    outputs: dict[str, tuple[Bit, ...]] = {}
    for port, bits in raw["connections"].items():
        side = outputs if directions.get(port) == "output" else inputs
        side[port] = tuple(bits)
    cell = Cell(name, raw["type"], raw["parameters"], inputs, outputs)
    return _extend_operands(cell) if cell.type in _EXTENDING else cell


def _module(name: str, raw: dict[str, Any]) -> Module:
    ports = {
        port: Port(port, spec["direction"], tuple(spec["bits"]), bool(spec.get("signed", 0)))
        for port, spec in raw["ports"].items()
    }
    cells = [
        _cell(cell, spec) for cell, spec in raw["cells"].items() if spec["type"] != "$scopeinfo"
    ]
    initial: dict[int, int] = {}
    for spec in raw["netnames"].values():
        text = spec["attributes"].get("init", "")
        for bit, value in zip(spec["bits"], reversed(text), strict=False):
            if isinstance(bit, int) and value in "01":
                initial[bit] = int(value)
    nets = {
        net: tuple(spec["bits"]) for net, spec in raw["netnames"].items() if not spec["hide_name"]
    }
    ordered = tuple(sorted(cells, key=lambda cell: natural_key(cell.name)))
    return Module(name, ports, ordered, nets, initial)


def read_netlist(text: str) -> dict[str, Module]:
    """Read the output of yosys's ``write_json``.

    Parameters
    ----------
    text : str
        The JSON document.

    Returns
    -------
    dict of str to Module
        Every module by name.

    Raises
    ------
    NetlistError
        If `text` is not such a document.
    """
    try:
        modules = json.loads(text)["modules"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise NetlistError(f"not a yosys netlist: {error}") from error
    return {name: _module(name, raw) for name, raw in modules.items()}
