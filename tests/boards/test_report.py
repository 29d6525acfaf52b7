"""What reports of nextpnr and netlists of yosys are read as."""

import doctest
import json
from pathlib import Path
from typing import Any

import boards.report
from boards.ice40 import HX1K
from boards.report import (
    UNNAMED,
    Segment,
    Usage,
    component_of,
    logic_by_component,
    read_logged_usage,
    read_placed,
)


def test_components_are_the_upper_levels_of_a_name() -> None:
    assert doctest.testmod(boards.report).failed == 0
    deep = "link.accelerator.core.array.pe_0_3.psum_0_SB_DFF_Q_D_SB_LUT4_O_LC"
    assert component_of(deep) == "core.array"
    assert component_of("link.accelerator.accelerator.o_SB_LUT4_O_LC") == "accelerator"
    assert component_of("link.tx_SB_LUT4_O_LC") == "link"
    assert component_of("rx_SB_LUT4_O_LC") == UNNAMED


def step(kind: str, cell: str, delay: float, net: str = "$abc$2") -> dict[str, Any]:
    return {"type": kind, "delay": delay, "from": {"cell": cell}, "to": {"cell": cell}, "net": net}


def test_a_critical_path_is_summed_by_component(tmp_path: Path) -> None:
    path = [
        step("clk-to-q", "x_LC", 0.25), step("routing", "x_LC", 0.5, "link.a.w"),
        step("clk-to-q", "link.a.x_LC", 1.0), step("routing", "link.a.x_LC", 2.0),
        step("logic", "$abc$1", 0.5), step("routing", "$abc$1", 0.25),
        step("logic", "link.b.y_LC", 4.0), step("setup", "link.b.y_LC", 8.0),
    ]  # fmt: skip
    other = {"from": "async", "to": "posedge clk", "path": [step("logic", "link.c.z_LC", 99.0)]}
    report = {
        "fmax": {"clk": {"achieved": 63.4921, "constraint": 48}},
        "critical_paths": [other, {"from": "posedge clk", "to": "posedge clk", "path": path}],
        "utilization": {
            "ICESTORM_RAM": {"used": 3, "available": 16},
            "ICESTORM_LC": {"used": 900, "available": 1280},
            "SB_GB": {"used": 1, "available": 8},
        },
    }
    (tmp_path / "seed-7.json").write_text(json.dumps(report))
    placed = read_placed(HX1K, 7, tmp_path / "seed-7.json")
    assert (placed.seed, placed.fmax_mhz) == (7, 63.49)
    assert placed.critical_path == (Segment("a", 1.75, 2.75), Segment("b", 12.0, 0.0))
    assert placed.usage == (Usage("logic cells", 900, 1280), Usage("block RAMs", 3, 16))


def test_usage_is_read_from_a_log_that_ends_in_an_error() -> None:
    log = """
Info: Device utilisation:
Info: \t         ICESTORM_LC:    1337/   1280   104%
Info: \t        ICESTORM_RAM:      15/     16    93%
ERROR: Unable to place cell 'x', no BELs remaining to implement cell type 'ICESTORM_LC'
"""
    cells, memories = read_logged_usage(HX1K, log)
    assert cells == Usage("logic cells", 1337, 1280)
    assert not cells.fits
    assert memories.fits
    assert memories.share == 15 / 16


def cell(kind: str, directions: str, **connections: int) -> dict[str, Any]:
    return {
        "type": kind,
        "port_directions": {
            name: "output" if name == directions else "input" for name in connections
        },
        "connections": {name: [bit] for name, bit in connections.items()},
    }


def test_a_flip_flop_behind_a_lut_is_not_counted_again(tmp_path: Path) -> None:
    cells = {
        "link.a.x_SB_LUT4_O": cell("SB_LUT4", "O", I0=1, O=2),
        "link.a.x_SB_DFF_Q": cell("SB_DFF", "Q", C=9, D=2, Q=3),
        "link.b.y_SB_DFFE_Q": cell("SB_DFFE", "Q", C=9, E=1, D=3, Q=4),
        "$auto$5": cell("SB_LUT4", "O", I0=4, O=5),
    }
    path = tmp_path / "packed.json"
    path.write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    assert logic_by_component(path) == {"a": 1, "b": 1, UNNAMED: 1}
