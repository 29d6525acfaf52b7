"""iCE40 netlists, run cycle by cycle: cells by their data sheet, nothing else."""

import json
import subprocess
from pathlib import Path
from random import Random
from typing import Any

from amaranth.hdl import Elaboratable

from boards.flow import to_rtlil
from boards.tools import tool_command

Netlist = dict[str, Any]


def synthesise(design: Elaboratable, folder: Path, options: str = "") -> Netlist:
    """Flattened iCE40 netlist of a design, as yosys leaves it."""
    (folder / "top.il").write_text(to_rtlil(design))
    script = f"read_rtlil top.il; synth_ice40 {options} -top top -json top.json"
    subprocess.run([*tool_command("yosys"), "-q", "-p", script], cwd=folder, check=True)
    return json.loads((folder / "top.json").read_text())


class Machine:
    """Runs a netlist of LUTs, carries and flip-flops.

    Parameters
    ----------
    netlist : dict
        yosys's JSON with one module, ``top``, one clock, ``clk``.
    """

    def __init__(self, netlist: Netlist) -> None:
        module = netlist["modules"]["top"]
        self._ports = module["ports"]
        self._values: dict[Any, int] = {"0": 0, "1": 1, "x": 0}
        self._flops: list[dict[str, Any]] = []
        logic: list[dict[str, Any]] = []
        for cell in module["cells"].values():
            is_flop = cell["type"].startswith("SB_DFF")
            assert is_flop or cell["type"] in ("SB_LUT4", "SB_CARRY"), cell["type"]
            (self._flops if is_flop else logic).append(cell)
        for flop in self._flops:
            self._values[flop["connections"]["Q"][0]] = 0
        for port in self._ports.values():
            if port["direction"] == "input":
                self._values.update(dict.fromkeys(port["bits"], 0))
        self._logic = self._in_order(logic)

    def _in_order(self, logic: list[dict[str, Any]]) -> list[dict[str, Any]]:
        known, ordered, waiting = set(self._values), [], logic
        while waiting:
            ready = [c for c in waiting if all(b in known for b in self._inputs(c))]
            assert ready, "a combinational loop, or an undriven wire"
            ordered += ready
            known |= {self._output(cell) for cell in ready}
            waiting = [cell for cell in waiting if self._output(cell) not in known]
        return ordered

    def _inputs(self, cell: dict[str, Any]) -> list[Any]:
        pins = ("I0", "I1", "I2", "I3") if cell["type"] == "SB_LUT4" else ("I0", "I1", "CI")
        return [cell["connections"][pin][0] for pin in pins]

    def _output(self, cell: dict[str, Any]) -> Any:
        return cell["connections"]["O" if cell["type"] == "SB_LUT4" else "CO"][0]

    def step(self, inputs: dict[str, int]) -> dict[str, int]:
        """Outputs with these inputs; then the clock rises."""
        values = self._values
        for name, value in inputs.items():
            for index, bit in enumerate(self._ports[name]["bits"]):
                values[bit] = value >> index & 1
        for cell in self._logic:
            bits = [values[bit] for bit in self._inputs(cell)]
            if cell["type"] == "SB_LUT4":
                index = sum(bit << k for k, bit in enumerate(bits))
                table = cell["parameters"]["LUT_INIT"].zfill(16)
                values[self._output(cell)] = int(table[15 - index])
            else:
                values[self._output(cell)] = int(sum(bits) >= 2)
        outputs = {
            name: sum(values[bit] << k for k, bit in enumerate(port["bits"]))
            for name, port in self._ports.items()
            if port["direction"] == "output"
        }
        following = [self._next(flop) for flop in self._flops]
        for flop, value in zip(self._flops, following, strict=True):
            values[flop["connections"]["Q"][0]] = value
        return outputs

    def _next(self, flop: dict[str, Any]) -> int:
        pins = {name: self._values[bits[0]] for name, bits in flop["connections"].items()}
        if not pins.get("E", 1):
            return pins["Q"]
        if pins.get("R"):
            return 0
        return 1 if pins.get("S") else pins["D"]


def runs(netlist: Netlist, cycles: int, seed: int) -> list[dict[str, int]]:
    """Outputs over cycles of random inputs."""
    generator = Random(seed)
    ports = netlist["modules"]["top"]["ports"]
    inputs = {
        name: len(port["bits"])
        for name, port in sorted(ports.items())
        if port["direction"] == "input" and name != "clk"
    }
    machine = Machine(netlist)
    return [
        # Resets are rare, or nothing would ever happen.
        machine.step({
            name: generator.getrandbits(width) & (-(name != "rst") | generator.randrange(8) // 7)
            for name, width in inputs.items()
        })
        for _ in range(cycles)
    ]  # fmt: skip
