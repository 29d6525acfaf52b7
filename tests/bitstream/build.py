"""Small designs as bitstreams: yosys, nextpnr, icepack, with pins that these tests choose."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth import Signal
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from boards.ice40 import HX1K, HX8K, UP5K
from boards.tools import run, tool_command
from sim.bitstream.simulator import BitstreamSimulator, load_bitstream
from sim.compiled import Cache

FLOWS = {flow.name: flow for flow in (HX1K, HX8K, UP5K)}
"""Chips, as nextpnr calls them."""

CLOCK_PINS = {"hx1k": "21", "hx8k": "J3", "up5k": "35"}
OTHER_PINS = {
    "hx1k": "1 2 3 4 7 8 9 10 11 12 19 22 23 24 25 26 28 29 31 32 33 34 37 38 39 41 42 43 44 45 "
    "47 48 52 56 58 60 61 62",
    "hx8k": "A1 A2 A5 A6 A7 A9 A10 A11 A15 A16 B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 B13 B14 B15 "
    "B16 C1 C2 C3 C4 C5 C6 C7 C8 C9 C10 C11 C12",
    "up5k": "2 3 4 6 9 10 11 12 13 18 19 20 21 23 25 26 27 28 31 32 34 36 37 38 42 43 44 45 46 47 "
    "48",
}

Ports = dict[str, Signal]


@dataclass(frozen=True)
class Design:
    """A design, the signal of its clock pin if it has one, and its ports by name.

    Memories start with their contents unless these are not to be kept, as in SPRAM.
    """

    top: Elaboratable
    clock: Signal | None
    inputs: Ports
    outputs: Ports
    keeps_contents: bool = True

    def __post_init__(self) -> None:
        """Name the signals as the ports, and thus as the pins."""
        for name, signal in (self.inputs | self.outputs).items():
            signal.name = name


def bit_names(name: str, signal: Signal) -> list[str]:
    """Names of the pins of a port."""
    if len(signal) == 1:
        return [name]
    return [f"{name}[{k}]" for k in range(len(signal))]


def build(design: Design, chip: str, folder: Path, *, seed: int = 1) -> Path:
    """Make ``top.bin`` (and ``top.pcf``) of a design and return its path.

    Results are kept by content, so that tests which want the same one share it.
    """
    flow = FLOWS[chip]
    ports = [*design.inputs.values(), *design.outputs.values()]
    ports += [design.clock] if design.clock is not None else []
    text = rtlil.convert(design.top, ports=ports, emit_src=False)
    if not design.keeps_contents:
        # No promise about words that are read while they are written, as boards.flow has it.
        text = re.sub(
            r"(COLLISION_X_MASK) (\d+)'0+",
            lambda match: f"{match[1]} {match[2]}'{'1' * int(match[2])}",
            text,
        )
    pcf = _constraints(design, chip)
    forget = "" if design.keeps_contents else "delete t:$meminit_v2"
    script = (
        f"read_rtlil top.il\n{forget}\n"
        f"synth_ice40 {flow.synth_options} -top top -json packed.json\n"
    )
    key = hashlib.sha256(json.dumps([text, pcf, script, chip, seed]).encode()).hexdigest()

    def make(target: Path) -> None:
        (target / "top.il").write_text(text)
        (target / "top.pcf").write_text(pcf)
        (target / "synth.ys").write_text(script)
        run([*tool_command("yosys"), "-q", "synth.ys"], target)
        flow.place(target, seed=seed)
        flow.pack(target, f"seed-{seed}.asc", "top.bin")

    return Cache(folder).get(key, make) / "top.bin"


def _constraints(design: Design, chip: str) -> str:
    names = [
        bit
        for ports in (design.inputs, design.outputs)
        for name, signal in ports.items()
        for bit in bit_names(name, signal)
    ]
    pins = OTHER_PINS[chip].split()
    assert len(names) <= len(pins), f"{len(names)} pins on {chip}"
    lines = [f"set_io {name} {pin}\n" for name, pin in zip(names, pins, strict=False)]
    if design.clock is not None:
        lines.append(f"set_io clk {CLOCK_PINS[chip]}\n")
    return "".join(lines)


def load(path: Path, chip: str, cache: Path) -> BitstreamSimulator:
    """Return the simulation of what `build` made."""
    package = FLOWS[chip].package
    return load_bitstream(path, package, pcf=path.with_suffix(".pcf"), cache_folder=Cache(cache))


Stimulus = dict[str, np.ndarray]


def run_chip(simulator: BitstreamSimulator, design: Design, stimulus: Stimulus) -> Stimulus:
    """Outputs of the bitstream, cycle by cycle, as numbers."""
    cycles = len(next(iter(stimulus.values())))
    inputs = {
        bit: (stimulus[name].astype(np.uint64) >> np.uint64(k) & np.uint64(1)).astype(np.uint8)
        for name, signal in design.inputs.items()
        for k, bit in enumerate(bit_names(name, signal))
        if bit in simulator.inputs
    }
    wanted = [bit for name, each in design.outputs.items() for bit in bit_names(name, each)]
    got = simulator.run(inputs, tuple(wanted), cycles)
    result: Stimulus = {}
    for name, signal in design.outputs.items():
        columns = [
            got[bit].astype(np.uint64) << np.uint64(k)
            for k, bit in enumerate(bit_names(name, signal))
        ]
        result[name] = np.sum(columns, axis=0, dtype=np.uint64)
    return result


def run_amaranth(design: Design, stimulus: Stimulus) -> Stimulus:
    """Outputs of Amaranth's simulator, just before each rising edge."""
    simulator = Simulator(design.top)
    simulator.add_clock(1e-6)
    cycles = len(next(iter(stimulus.values())))
    result = {name: np.zeros(cycles, np.uint64) for name in design.outputs}

    async def bench(context):
        for cycle in range(cycles):
            for name, signal in design.inputs.items():
                context.set(signal, int(stimulus[name][cycle]))
            _, _, *values = await context.tick().sample(*design.outputs.values())
            for name, value in zip(design.outputs, values, strict=True):
                result[name][cycle] = int(value) & ((1 << len(design.outputs[name])) - 1)

    simulator.add_testbench(bench)
    simulator.run()
    return result


def noise(design: Design, cycles: int, seed: int) -> Stimulus:
    """Random values on all inputs."""
    source = np.random.default_rng(seed)
    return {
        name: source.integers(0, 1 << len(signal), cycles, np.uint64)
        for name, signal in design.inputs.items()
    }


Maker = Callable[[], Design]
