"""Grouping: what becomes an array, and that it changes nothing but the speed."""

import re
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil

from sim.compiled import Cache
from sim.compiled.build import build, compile_design
from sim.compiled.model import CompiledModel
from sim.compiled.rtl.netlist import Module, read_netlist
from sim.compiled.toolchain import find_compiler
from sim.compiled.yosys import NETLIST_SCRIPT, run_yosys
from tests.sim.compiled.components import Chain, Grid


def netlist(component, folder: Path) -> dict[str, Module]:  # type: ignore[no-untyped-def]
    text = rtlil.convert(component, name="top", emit_src=False)
    (folder / "design.il").write_text(text, encoding="utf-8")
    run_yosys(NETLIST_SCRIPT, folder)
    return read_netlist((folder / "design.json").read_text(encoding="utf-8"))


def test_all_elements_form_one_array_edges_included(tmp_path: Path) -> None:
    design, _ = compile_design(netlist(Grid(5, 4), tmp_path), "top")
    assert [space.count for space in design.spaces] == [1, 20]


def test_rows_of_different_widths_form_one_array(tmp_path: Path) -> None:
    design, _ = compile_design(netlist(Grid(9, 4, is_growing=True), tmp_path), "top")
    assert [space.count for space in design.spaces] == [1, 36]


def test_array_is_one_loop(tmp_path: Path) -> None:
    _, steps = compile_design(netlist(Grid(5, 4), tmp_path), "top")
    assert sum(not step.space.is_scalar for step in steps) == 1


def test_few_instances_stay_apart(tmp_path: Path) -> None:
    design, _ = compile_design(netlist(Grid(3, 1), tmp_path), "top")
    assert [space.count for space in design.spaces] == [1]


def test_elements_that_depend_on_each_other_are_evaluated_one_by_one(tmp_path: Path) -> None:
    design, _ = compile_design(netlist(Chain(), tmp_path), "top")
    assert [space.count for space in design.spaces] == [1]


@pytest.mark.parametrize("is_growing", [False, True])
@pytest.mark.parametrize("shape", [(5, 4), (4, 7), (16, 3)])
def test_grouped_and_ungrouped_models_agree(
    shape: tuple[int, int], is_growing: bool, cache: Cache
) -> None:
    rows, cols = shape
    grid = Grid(rows, cols, is_growing=is_growing)
    text = rtlil.convert(grid, name="top", emit_src=False)
    rng = np.random.default_rng(1)
    inputs = {"act_i": rng.integers(0, 1 << rows, 500), "load_i": rng.integers(0, 1 << cols, 500)}
    results = []
    for minimum in (4, 10_000):
        path, interface = build(
            text, "top", cache=cache, compiler=find_compiler(), optimise="-O3", minimum=minimum
        )
        results.append(CompiledModel(path, interface).run_vectors(inputs, ["psum_o"])["psum_o"])
    assert np.array_equal(*results)


def test_array_code_does_not_grow_with_the_array(cache: Cache) -> None:
    sizes = []
    for cols in (4, 8):
        text = rtlil.convert(Grid(16, cols), name="top", emit_src=False)
        path, _ = build(text, "top", cache=cache, compiler=find_compiler(), optimise="-O1")
        source = path.with_name("model.c").read_text(encoding="utf-8")
        sizes.append(len(re.findall(r"for \(int i = 0", source)))
    assert sizes[0] == sizes[1]
