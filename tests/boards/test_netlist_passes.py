"""Both netlist passes: the design does what it did, in fewer cells and with fewer controls."""

import copy
import json
from collections import Counter
from pathlib import Path

import pytest
from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from hypothesis import given
from hypothesis import strategies as st

from boards.carry import pack_carry_heads
from boards.control_sets import absorb_controls
from boards.flow import to_rtlil
from boards.ice40 import HX1K
from tests.boards.netlist import Netlist, runs, synthesise

CYCLES = 300


class Busy(wiring.Component):
    """Adders, enables, resets and sets in many combinations."""

    def __init__(self) -> None:
        super().__init__({"a": In(6), "b": In(6), "en": In(3), "clear": In(2), "o": Out(6)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total, count, held = Signal(6, init=5), Signal(6), Signal(6)
        gated, compared, flag = Signal(6), Signal(), Signal(init=1)
        m.d.sync += [
            gated.eq(Mux(self.a[0], total + self.b, total)),
            compared.eq(self.a < self.b),
        ]
        with m.If(self.en[0]):
            m.d.sync += [total.eq(total + self.a), held.eq(self.b)]
        with m.If(self.clear[0] & self.en[1]):
            m.d.sync += [count.eq(0), flag.eq(0)]
        with m.Elif(self.en[2]):
            m.d.sync += [count.eq(count + self.a + 1), flag.eq(self.a[0])]
        with m.If(self.clear[1]):
            m.d.sync += held.eq(0)
        m.d.comb += self.o.eq(total ^ count ^ held ^ gated ^ compared ^ (flag << 3))
        return m


@pytest.fixture(scope="module")
def netlist(tmp_path_factory: pytest.TempPathFactory) -> Netlist:
    return synthesise(Busy(), tmp_path_factory.mktemp("busy"))


def kinds(netlist: Netlist) -> Counter[str]:
    return Counter(cell["type"] for cell in netlist["modules"]["top"]["cells"].values())


def unpacked(netlist: Netlist) -> Netlist:
    """The same with inputs 0 and 1 exchanged in every LUT that shares its operands with a carry.

    yosys assigns the inputs of such LUTs freely: this is how they come out half of the time.
    """
    changed = copy.deepcopy(netlist)
    cells = changed["modules"]["top"]["cells"].values()
    for carry in cells:
        pins = carry["connections"]
        for lut in cells if carry["type"] == "SB_CARRY" and pins["CI"] == ["0"] else ():
            inputs = lut["connections"]
            is_head = (inputs.get("I1"), inputs.get("I2")) == (pins["I0"], pins["I1"])
            if is_head and lut["type"] == "SB_LUT4" and inputs["I3"] in (["0"], ["1"], ["x"]):
                inputs["I0"], inputs["I1"] = inputs["I1"], inputs["I0"]
                table = lut["parameters"]["LUT_INIT"].zfill(16)[::-1]
                order = [(k & ~3) | (k & 1) << 1 | (k & 2) >> 1 for k in range(16)]
                lut["parameters"]["LUT_INIT"] = "".join(table[k] for k in order)[::-1]
    return changed


def test_heads_of_carry_chains_are_packed_and_nothing_else_changes(netlist: Netlist) -> None:
    apart = unpacked(netlist)
    changed = copy.deepcopy(apart)
    saved = pack_carry_heads(changed)
    assert saved
    assert heads_with_their_lut(changed) == heads_with_their_lut(apart) + saved
    assert kinds(changed) == kinds(netlist)
    assert runs(changed, CYCLES, 1) == runs(apart, CYCLES, 1) == runs(netlist, CYCLES, 1)


def heads_with_their_lut(netlist: Netlist) -> int:
    cells = netlist["modules"]["top"]["cells"].values()
    operands = {
        (cell["connections"]["I1"][0], cell["connections"]["I2"][0])
        for cell in cells
        if cell["type"] == "SB_LUT4"
    }
    return sum(
        (cell["connections"]["I0"][0], cell["connections"]["I1"][0]) in operands
        for cell in cells
        if cell["type"] == "SB_CARRY" and cell["connections"]["CI"] == ["0"]
    )


def test_controls_are_absorbed_and_nothing_else_changes(netlist: Netlist) -> None:
    changed = copy.deepcopy(netlist)
    turned = absorb_controls(changed)
    assert turned > 0
    assert kinds(changed)["SB_DFF"] == kinds(netlist)["SB_DFF"] + turned
    assert runs(changed, CYCLES, 2) == runs(netlist, CYCLES, 2)


def test_a_wrong_truth_table_would_be_noticed(netlist: Netlist) -> None:
    changed = copy.deepcopy(netlist)
    cells = changed["modules"]["top"]["cells"].values()
    lut = next(cell for cell in cells if cell["type"] == "SB_LUT4")
    table = lut["parameters"]["LUT_INIT"].zfill(16)
    lut["parameters"]["LUT_INIT"] = table.translate(str.maketrans("01", "10"))
    assert runs(changed, CYCLES, 3) != runs(netlist, CYCLES, 3)


@pytest.mark.parametrize("options", ["-dffe_min_ce_use 4", "-dff -nocarry", "-abc9 -device u"])
def test_both_together_on_what_other_options_give(options: str, tmp_path: Path) -> None:
    netlist = synthesise(Busy(), tmp_path, options)
    changed = copy.deepcopy(netlist)
    pack_carry_heads(changed)
    absorb_controls(changed)
    assert runs(changed, CYCLES, 4) == runs(netlist, CYCLES, 4)


LUT_INPUTS = ("I0", "I1", "I2", "I3")


def test_mapping_for_area_changes_nothing_but_the_cells(netlist: Netlist, tmp_path: Path) -> None:
    (tmp_path / "top.il").write_text(to_rtlil(Busy()))
    HX1K.synthesise(tmp_path)
    small = json.loads((tmp_path / "packed.json").read_text())
    assert HX1K.is_for_area
    assert kinds(small) != kinds(netlist)
    assert runs(small, CYCLES, 6) == runs(netlist, CYCLES, 6)


FLOPS = ["SB_DFF", "SB_DFFE", "SB_DFFSR", "SB_DFFSS", "SB_DFFESR", "SB_DFFESS"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(FLOPS),
            st.lists(st.integers(0, 11), min_size=4, max_size=4),
            st.integers(0, 2**16 - 1),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_controls_on_any_small_netlist(drawn: list[tuple[str, list[int], int, bool]]) -> None:
    """Inputs 0..7, constants, flip-flops that read each other, with and without a LUT before."""
    netlist = small_netlist(drawn)
    changed = copy.deepcopy(netlist)
    absorb_controls(changed)
    assert runs(changed, 40, 5) == runs(netlist, 40, 5)


def small_netlist(drawn: list[tuple[str, list[int], int, bool]]) -> Netlist:
    sources: list[int | str] = [*range(10, 18), "0", "1", 20, 21]
    cells, names = {}, {"i": {"bits": list(range(10, 18))}}
    for index, (kind, inputs, table, has_lut) in enumerate(drawn):
        pins = [sources[k] if k < 10 or k - 10 < len(drawn) else "0" for k in inputs]
        data: int | str = pins[0]
        if has_lut:
            data = 30 + index
            cells[f"lut{index}"] = {
                "type": "SB_LUT4",
                "parameters": {"LUT_INIT": f"{table:016b}"},
                "port_directions": dict.fromkeys(LUT_INPUTS, "input") | {"O": "output"},
                "connections": {f"I{k}": [bit] for k, bit in enumerate(pins)} | {"O": [data]},
            }  # fmt: skip
        controls = {"E": 10, "R": 11, "S": 12}
        wanted = {name: [controls[name]] for name in kind[6:].replace("SR", "R").replace("SS", "S")}
        connections = {"C": [2], "D": [data], "Q": [20 + index], **wanted}
        cells[f"flop{index}"] = {
            "type": kind,
            "parameters": {},
            "port_directions": {n: "output" if n == "Q" else "input" for n in connections},
            "connections": connections,
        }
        names[f"q{index}"] = {"bits": [20 + index, data]}
    ports = {
        "clk": {"direction": "input", "bits": [2]},
        "i": {"direction": "input", "bits": list(range(10, 18))},
        "o": {"direction": "output", "bits": [20 + k for k in range(len(drawn))]},
    }
    return {"modules": {"top": {"cells": cells, "ports": ports, "netnames": names}}}
