"""Move clock enables and resets into idle LUT inputs: an iCE40 netlist pass after yosys.

The eight flip-flops of an iCE40 tile share one clock enable and one reset. Every adder of the array
leaves part of a tile that only flip-flops without either can fill, so a design full of enables runs
out of tiles long before it runs out of logic cells. But a flip-flop that takes its data straight
from elsewhere has an idle LUT in front of it, and many LUTs have an idle input: there,
``enable ? d : q`` and ``reset ? 0 : d`` cost nothing.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

Cell = dict[str, Any]
Bit = int | str

_PINS = ("I0", "I1", "I2", "I3")
_CONTROLS = {
    "SB_DFFE": ("E",),
    "SB_DFFSR": ("R",),
    "SB_DFFSS": ("S",),
    "SB_DFFESR": ("E", "R"),
    "SB_DFFESS": ("E", "S"),
}
"""Synchronous controls of each flip-flop: enable, reset, set."""


def absorb_controls(netlist: dict[str, Any]) -> int:
    """Turn flip-flops with enable or reset into plain ones wherever that takes no logic cell.

    Parameters
    ----------
    netlist : dict
        What yosys's ``write_json`` wrote, flattened iCE40 cells; changed in place.

    Returns
    -------
    int
        Flip-flops turned.
    """
    return sum(_Absorber(module).run() for module in netlist["modules"].values())


class _Absorber:
    """The pass on one module."""

    def __init__(self, module: dict[str, Any]) -> None:
        self._cells: dict[str, Cell] = module["cells"]
        self._luts: dict[Bit, Cell] = {}
        self._uses: Counter[Bit] = Counter()
        self._carry_operands: set[tuple[Bit, Bit]] = set()
        for cell in self._cells.values():
            pins = cell["connections"]
            if cell["type"] == "SB_LUT4":
                self._luts[pins["O"][0]] = cell
            if cell["type"] == "SB_CARRY":
                self._carry_operands.add((pins["I0"][0], pins["I1"][0]))
            for port, bits in pins.items():
                if cell["port_directions"][port] == "input":
                    self._uses.update(bits)
        for port in module["ports"].values():
            self._uses.update(port["bits"])
        nets = module["netnames"].values()
        self._free_bit = 1 + max(bit for net in nets for bit in net["bits"] if isinstance(bit, int))

    def run(self) -> int:
        """Flip-flops turned."""
        return sum(self._turn(name, cell) for name, cell in list(self._cells.items()))

    def _turn(self, name: str, flop: Cell) -> bool:
        controls = _CONTROLS.get(flop["type"])
        if controls is None:
            return False
        pins = flop["connections"]
        data = pins["D"][0]
        lut = self._luts.get(data) if self._uses[data] == 1 else None
        state = [pins["Q"][0]] if "E" in controls else []
        inputs = self._inputs(lut, data, [*state, *(pins[c][0] for c in controls)])
        if inputs is None:
            return False
        table = _table(inputs, lut, data, {c: pins[c][0] for c in controls}, pins["Q"][0])
        if lut is None:
            lut = {
                "type": "SB_LUT4",
                "parameters": {},
                "attributes": {},
                "port_directions": {**dict.fromkeys(_PINS, "input"), "O": "output"},
                "connections": {"O": [self._free_bit]},
            }
            pins["D"] = [self._free_bit]
            self._free_bit += 1
            self._cells[f"{name}_control"] = lut
        lut["connections"].update({pin: [bit] for pin, bit in zip(_PINS, inputs, strict=True)})
        lut["parameters"]["LUT_INIT"] = table
        flop["type"] = "SB_DFF"
        for control in controls:
            del pins[control]
            del flop["port_directions"][control]
        return True

    def _inputs(self, lut: Cell | None, data: Bit, wanted: list[Bit]) -> list[Bit] | None:
        """Inputs of the LUT with the wanted ones among them, or None if it has no room.

        An adder's LUT keeps its places: I1 and I2 are the carry's operands, I3 is its carry.
        """
        inputs = [data, "0", "0", "0"] if lut is None else [
            lut["connections"][pin][0] for pin in _PINS
        ]  # fmt: skip
        is_adder = lut is not None and (inputs[1], inputs[2]) in self._carry_operands
        for bit in wanted:
            if bit in inputs:
                continue
            free = [k for k in range(4) if isinstance(inputs[k], str) and not (is_adder and k)]
            if not free:
                return None
            inputs[free[0]] = bit
        return inputs


def _table(
    inputs: list[Bit], lut: Cell | None, data: Bit, controls: Mapping[str, Bit], state: Bit
) -> str:
    """Truth table with the controls in it, most significant entry first."""
    old_inputs = [] if lut is None else [lut["connections"][pin][0] for pin in _PINS]
    old_table = "" if lut is None else lut["parameters"]["LUT_INIT"].zfill(16)[::-1]
    entries = []
    for index in range(16):
        values: dict[Bit, int] = {"0": 0, "1": 1, "x": 0}
        values.update({bit: index >> k & 1 for k, bit in enumerate(inputs) if isinstance(bit, int)})
        if lut is None:
            value = values[data]
        else:
            value = int(old_table[sum(values[bit] << k for k, bit in enumerate(old_inputs))])
        if "R" in controls and values[controls["R"]]:
            value = 0
        if "S" in controls and values[controls["S"]]:
            value = 1
        # A reset of a flip-flop with enable happens only while enabled.
        if "E" in controls and not values[controls["E"]]:
            value = values[state]
        entries.append(str(value))
    return "".join(reversed(entries))
