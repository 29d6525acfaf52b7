"""Pins and constraints, against the boards' documentation."""

from dataclasses import replace

import pytest

from boards.chips import flow_of
from boards.pins import board_pins, input_clock_hz, load_platform
from systolic.spec.boards import BoardError, Clock, all_boards, board_named

# Clock, rx and tx as the makers' own schematics and constraint files have them.
DOCUMENTED = {
    "icebreaker": ("35", "6", "9"),
    "hx8k-b-evn": ("J3", "B10", "B12"),
    "icestick": ("21", "9", "8"),
    "upduino-v3": ("20", "15", "14"),
    "blackice-ii": ("129", "88", "85"),
    "icesugar": ("35", "4", "6"),
    "ulx3s-85f": ("G2", "M1", "L4"),
    "ulx3s-25f": ("G2", "M1", "L4"),
    "ulx3s-12f": ("G2", "M1", "L4"),
    "ecpix5-45f": ("K23", "R26", "R24"),
}


@pytest.mark.parametrize("board", all_boards(), ids=lambda board: board.name)
def test_pins_are_where_the_board_has_them(board) -> None:
    pins = board_pins(board, load_platform(board))
    assert tuple(pin.pin for pin in pins[:3]) == DOCUMENTED[board.name]
    assert [pin.port for pin in pins] == ["clk", "rx", "tx", *(held.name for held in board.held)]
    assert len({pin.pin for pin in pins}) == len(pins)


def test_constraints_of_ice40() -> None:
    board = board_named("upduino-v3")
    platform = load_platform(board)
    text = flow_of(board, platform).write_constraints(board_pins(board, platform))
    assert text == ("set_io clk 20\nset_io -pullup yes rx 15\nset_io tx 14\nset_io flash_cs_n 16\n")


def test_constraints_of_ecp5() -> None:
    board = board_named("ecpix5-45f")
    platform = load_platform(board)
    text = flow_of(board, platform).write_constraints(board_pins(board, platform))
    assert text.splitlines()[:4] == [
        'LOCATE COMP "clk" SITE "K23";',
        'IOBUF PORT "clk" IO_TYPE=LVCMOS33;',
        'LOCATE COMP "rx" SITE "R26";',
        'IOBUF PORT "rx" IO_TYPE=LVCMOS33 PULLMODE=UP;',
    ]


def test_the_clock_input_tells_its_frequency() -> None:
    for name, mhz in (("icebreaker", 12), ("blackice-ii", 100), ("ulx3s-85f", 25)):
        board = board_named(name)
        assert input_clock_hz(board, load_platform(board)) == mhz * 1e6


@pytest.mark.parametrize(
    "platform", ["amaranth_boards.nothing:Platform", "amaranth_boards.icebreaker:Nothing"]
)
def test_a_definition_that_is_not_there_is_refused(platform: str) -> None:
    board = replace(board_named("icebreaker"), platform=platform)
    with pytest.raises(BoardError, match=f"icebreaker: no definition {platform}"):
        load_platform(board)


def test_a_resource_that_is_not_there_is_refused() -> None:
    board = board_named("icebreaker")
    platform = load_platform(board)
    lost = replace(board, clock=Clock(resource="clk7", hz=24_000_000, pll="pad"))
    with pytest.raises(BoardError, match=r"icebreaker: .* has no resource 'clk7'"):
        board_pins(lost, platform)
    led = replace(board, clock=Clock(resource="led_r", hz=24_000_000, pll="pad"))
    with pytest.raises(BoardError, match=r"'led_r' of .* is no clock"):
        input_clock_hz(led, platform)
    without = replace(board_named("upduino-v3"), uart=board.uart)
    with pytest.raises(BoardError, match=r"upduino-v3: .* has no resource 'uart'"):
        board_pins(without, load_platform(without))


def test_a_chip_that_no_tools_are_known_for_is_refused() -> None:
    board = replace(
        board_named("icebreaker"), platform="amaranth_boards.icesugar_nano:ICESugarNanoPlatform"
    )
    with pytest.raises(BoardError, match="icebreaker: no tools are known for a iCE40LP1K in"):
        flow_of(board, load_platform(board))
