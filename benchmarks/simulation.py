# amaranth: UnusedElaboratable=no
"""How fast the RTL is simulated: the compiled simulator beside Amaranth's, CXXRTL and Verilator.

Every simulator gets the same RTLIL and the same stimulus, and must give the same outputs, or the
benchmark fails. Two designs: ``array``, a bare array of processing elements with random inputs, and
``accelerator``, which loads a network over its byte streams and runs it on random images::

    python -m benchmarks.simulation array --rows 16 --cols 32
    python -m benchmarks.simulation accelerator --network mapping/networks/digits_int8.systolic-net

Rates are clock cycles per second of CPU time, one thread, the best of three runs. Building is CPU
seconds, and the peak memory of the largest tool, from RTLIL to something that runs. Simulators that
are not installed are left out.
"""

import argparse
import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module, Shape, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from benchmarks.simulators import (
    BenchmarkError,
    Result,
    Stream,
    Vectors,
    Workload,
    run_amaranth,
    run_compiled,
    run_cxxrtl,
    run_verilator,
)
from mapping.compiler import compile_network
from mapping.network import load_network
from sim.compiled import CompiledModel
from sim.rtl import RtlSimulator
from sim.runner import run_network
from systolic.accelerator import Accelerator
from systolic.array import Array
from systolic.spec.config import ArrayConfig

_BLOCK_CYCLES = 4096
# "gcc", "clang" and "zig" build the compiled simulator.
_SIMULATORS = ("gcc", "clang", "zig", "verilator", "cxxrtl", "amaranth")


class _BareArray(wiring.Component):
    """The array of a configuration; inputs and outputs of at most 64 bits each."""

    def __init__(self, config: ArrayConfig) -> None:
        sums = (config.psum_bits(row) for row in range(config.rows))
        self._array = Array(
            groups=config.groups,
            pe_cols=config.pe_cols,
            weight_bits=config.weight_bits,
            digit_bits=config.digit_bits,
            psum_bits=tuple(sums),
        )
        members = self._array.signature.members
        self._ports = {
            name: _parts(name, Shape.cast(members[name].shape).width)
            for name in ("act_i", "load_i", "psum_o")
        }
        super().__init__(
            {
                part: (Out if name == "psum_o" else In)(width)
                for name, parts in self._ports.items()
                for part, width in parts.items()
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array = self._array
        for name, parts in self._ports.items():
            outside = Cat(getattr(self, part) for part in parts)
            inside = Value.cast(getattr(self._array, name))
            m.d.comb += outside.eq(inside) if name == "psum_o" else inside.eq(outside)
        return m


def _parts(name: str, width: int) -> dict[str, int]:
    """Cut a port into ports of at most 48 bits."""
    return {f"{name[:-2]}{low // 48}": min(48, width - low) for low in range(0, width, 48)}


def _workload(
    name: str, component: Callable[[], wiring.Component], stimulus: Vectors | Stream
) -> Workload:
    text = rtlil.convert(component(), name="top", emit_src=False)
    return Workload(name, component, text, stimulus)


def array_workload(config: ArrayConfig) -> Workload:
    """Return the bare array with random digits and load tokens."""
    rng = np.random.default_rng(1)
    members = _BareArray(config).signature.members
    inputs = {
        name: rng.integers(0, 1 << member.shape, _BLOCK_CYCLES, np.uint64)
        for name, member in members.items()
        if member.flow is In
    }
    outputs = tuple(name for name, member in members.items() if member.flow is Out)
    stimulus = Vectors(inputs, outputs, 250 * _BLOCK_CYCLES)
    name = f"array {config.rows} x {config.cols} x {config.digit_bits}"
    return _workload(name, lambda: _BareArray(config), stimulus)


class _Recorder:
    """Stands in for the model of an RTL simulator, and keeps what the host sends and expects."""

    def __init__(self, model: CompiledModel) -> None:
        self._model = model
        self.tx = bytearray()
        self.rx_bytes = 0

    def exchange(self, tx: bytes, rx_bytes: int, max_cycles: int) -> tuple[bytes, int]:
        """Pass bytes on and note them."""
        self.tx += tx
        self.rx_bytes += rx_bytes
        return self._model.exchange(tx, rx_bytes, max_cycles)


def accelerator_workload(config: ArrayConfig, network: Path, images: int) -> Workload:
    """Return the whole accelerator: upload of a network, then random images, each run and read."""
    program = compile_network(load_network(network).graph, config)
    simulator = RtlSimulator(config)
    simulator.model = recorder = _Recorder(simulator.model)  # type: ignore[assignment]
    rng = np.random.default_rng(1)
    batch = [rng.integers(-100, 100, (images, *tensor.shape)) for tensor in program.inputs]
    run_network(simulator, program, *batch)
    name = f"accelerator {config.rows} x {config.cols}, {network.stem}, {images} images"
    stimulus = Stream(bytes(recorder.tx), recorder.rx_bytes)
    return _workload(name, lambda: Accelerator(config), stimulus)


def measure(work: Workload, wanted: list[str], amaranth_cycles: int) -> Iterator[Result]:
    """Yield the results of the wanted simulators that are installed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def fresh(part: str) -> Path:
            (folder / part).mkdir()
            return folder / part

        for compiler in ("gcc", "clang"):
            if compiler in wanted and shutil.which(compiler):
                yield run_compiled(work, fresh(compiler), compiler)
        if "zig" in wanted and importlib.util.find_spec("ziglang"):
            yield run_compiled(work, fresh("zig"), "zig")
        if "verilator" in wanted and shutil.which("verilator"):
            yield run_verilator(work, fresh("verilator"))
        if "cxxrtl" in wanted and shutil.which("g++"):
            yield run_cxxrtl(work, fresh("cxxrtl"))
        if "amaranth" in wanted:
            yield run_amaranth(work, amaranth_cycles)


def check_equal(first: Result, other: Result) -> None:
    """Raise unless two simulators gave the same, as far as both went.

    Raises
    ------
    BenchmarkError
        If they differ, in outputs or in the number of cycles.
    """
    length = min(len(first.outputs), len(other.outputs))
    is_partial = other.cycles < first.cycles
    if not np.array_equal(first.outputs[:length], other.outputs[:length]) or not (
        is_partial or (first.cycles, len(first.outputs)) == (other.cycles, len(other.outputs))
    ):
        raise BenchmarkError(f"{other.simulator} and {first.simulator} give different outputs")


def main() -> int:
    """Print the table, and write it as JSON if wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("design", choices=["array", "accelerator"])
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--cols", type=int, default=4)
    parser.add_argument("--digit-bits", type=int, default=4)
    parser.add_argument(
        "--network", type=Path, default=Path("mapping/networks/digits_int8.systolic-net")
    )
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument(
        "--simulators",
        nargs="+",
        choices=_SIMULATORS,
        default=_SIMULATORS,
        metavar="NAME",
        help=f"of {', '.join(_SIMULATORS)}; all by default",
    )
    parser.add_argument("--amaranth-cycles", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args()
    config = ArrayConfig(rows=options.rows, cols=options.cols, digit_bits=options.digit_bits)
    work = (
        array_workload(config)
        if options.design == "array"
        else accelerator_workload(config, options.network, options.images)
    )
    print(f"{work.name}\n")
    print("| simulator | build CPU s | build peak MB | cycles | cycles/s |")
    print("|---|---|---|---|---|", flush=True)
    results: list[Result] = []
    for result in measure(work, options.simulators, options.amaranth_cycles):
        results.append(result)
        check_equal(results[0], result)
        print(
            f"| {result.simulator} | {result.build_s:.2f} | {result.build_mb:.0f} | "
            f"{result.cycles:,} | {result.cycles_per_s:,.0f} |",
            flush=True,
        )
    if options.json:
        rows = [
            {key: value for key, value in vars(result).items() if key != "outputs"}
            for result in results
        ]
        text = json.dumps({"design": work.name, "results": rows}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
