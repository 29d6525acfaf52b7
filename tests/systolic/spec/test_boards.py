"""Boards as data."""

from dataclasses import replace

import pytest

from systolic.spec.boards import (
    BoardError,
    all_boards,
    board_by_id,
    board_named,
    check_baud,
    check_distinct,
)

WANTED = (
    "icebreaker", "hx8k-b-evn", "icestick", "upduino-v3", "blackice-ii", "icesugar",
    "ulx3s-85f", "ecpix5-45f",
)  # fmt: skip


def test_boards_are_found_in_their_files() -> None:
    assert set(WANTED) <= {board.name for board in all_boards()}


def test_names_and_ids_lead_back_to_their_board() -> None:
    for board in all_boards():
        assert board_named(board.name) is board
        assert board_by_id(board.board_id) is board
    assert board_by_id(0) is None


def test_ids_never_change() -> None:
    """Devices that are out there tell them."""
    assert [(board.name, board.board_id) for board in all_boards()][:8] == [
        ("icebreaker", 1), ("hx8k-b-evn", 2), ("icestick", 3), ("upduino-v3", 4),
        ("blackice-ii", 5), ("icesugar", 6), ("ulx3s-85f", 7), ("ulx3s-25f", 8),
    ]  # fmt: skip


def test_an_unknown_name_tells_which_ones_are_near() -> None:
    with pytest.raises(BoardError, match=r"no board 'icebraker': perhaps icebreaker"):
        board_named("icebraker")
    with pytest.raises(BoardError, match=r"no board '!': icebreaker, hx8k-b-evn, "):
        board_named("!")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"board_id": 1}, "icebreaker and new have 1"), ({"name": "icebreaker"}, "two boards are")],
)
def test_two_boards_of_one_name_or_id_are_refused(change: dict[str, object], message: str) -> None:
    board = board_named("icebreaker")
    other = replace(board, **({"name": "new", "board_id": 99} | change))  # type: ignore[arg-type]
    with pytest.raises(BoardError, match=message):
        check_distinct([board, other])


@pytest.mark.parametrize("board_id", [0, 256])
def test_an_id_that_is_no_byte_is_refused(board_id: int) -> None:
    with pytest.raises(BoardError, match=f"between 1 and 255, not {board_id}"):
        replace(board_named("icebreaker"), board_id=board_id)


def test_a_baud_rate_that_does_not_fit_the_clock_is_refused() -> None:
    check_baud(12_000_000, 3_000_000)
    with pytest.raises(BoardError, match=r"between 1 and 3000000 .* not 4000000"):
        check_baud(12_000_000, 4_000_000)
    with pytest.raises(BoardError, match="not 0"):
        check_baud(12_000_000, 0)
    # 12 / 2.7 = 4.44: four clocks are 11 % too fast.
    with pytest.raises(BoardError, match=r"2700000 is \+11\.1% off at 12 MHz"):
        check_baud(12_000_000, 2_700_000)
