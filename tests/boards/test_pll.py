"""PLL settings, against the chip tools' own calculators."""

import re
import subprocess

import pytest

from boards.pll import ecp5_pll, ice40_pll
from boards.tools import tool_command
from systolic.spec.boards import BoardError, all_boards


@pytest.mark.parametrize(
    ("input_mhz", "mhz"), [(12, 24), (12, 48), (12, 30), (12, 84), (100, 80), (48, 25), (16, 100)]
)
def test_ice40_settings_are_as_near_as_icepll_comes(input_mhz: int, mhz: int) -> None:
    told = subprocess.run(
        [*tool_command("icepll"), "-i", str(input_mhz), "-o", str(mhz)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    achieved = float(re.findall(r"F_PLLOUT:\s+([\d.]+) MHz \(achieved\)", told)[0])
    ours = ice40_pll(input_mhz * 1e6, mhz * 1e6)
    assert abs(ours.hz / 1e6 - mhz) <= abs(achieved - mhz) + 1e-3
    if ours.divr == int(re.findall(r"DIVR:\s+(\d+)", told)[0]):
        assert ours.filter_range == int(re.findall(r"FILTER_RANGE:\s+(\d+)", told)[0])


@pytest.mark.parametrize("board", all_boards(), ids=lambda board: board.name)
def test_every_board_gets_its_clock_exactly(board) -> None:
    input_hz = {"clk12": 12e6, "clk25": 25e6, "clk100": 100e6}[board.clock.resource]
    solve = ecp5_pll if board.clock.pll == "ecp5" else ice40_pll
    assert input_hz == board.clock.hz or solve(input_hz, board.clock.hz).hz == board.clock.hz


def test_an_ecp5_runs_its_oscillator_within_its_range() -> None:
    for mhz in (10, 25, 50, 75, 100, 125, 200):
        pll = ecp5_pll(25e6, mhz * 1e6)
        assert 400e6 <= pll.hz * pll.clkop_div <= 800e6
        assert pll.hz == 25e6 / pll.clki_div * pll.clkfb_div


def test_a_clock_that_no_setting_makes_is_refused() -> None:
    with pytest.raises(BoardError, match="cannot make 600 MHz from 12 MHz"):
        ice40_pll(12e6, 600e6)
    with pytest.raises(BoardError, match="cannot make 1 MHz from 25 MHz"):
        ecp5_pll(25e6, 1e6)
    with pytest.raises(BoardError, match=r"cannot make 22 MHz from 25 MHz; the nearest is 21.88"):
        ecp5_pll(25e6, 22e6)
