"""The boards that accelerators are built for: one module each, with a ``BOARD`` or several.

A new board is one more module in this folder; nothing else has to know of it (see CONTRIBUTING).
"""

import importlib
import pkgutil
from difflib import get_close_matches
from functools import cache

from systolic.spec.boards.board import (
    Board,
    BoardError,
    Clock,
    Held,
    Programmer,
    Uart,
    check_baud,
)

__all__ = [
    "Board",
    "BoardError",
    "Clock",
    "Held",
    "Programmer",
    "Uart",
    "all_boards",
    "board_by_id",
    "board_named",
    "check_baud",
]


@cache
def all_boards() -> tuple[Board, ...]:
    """Boards by their ids.

    Raises
    ------
    BoardError
        If two of them have the same name or id.
    """
    found: list[Board] = []
    for info in pkgutil.iter_modules(__path__, f"{__name__}."):
        module = importlib.import_module(info.name)
        found += [value for value in vars(module).values() if isinstance(value, Board)]
    found.sort(key=lambda board: board.board_id)
    check_distinct(found)
    return tuple(found)


def check_distinct(boards: list[Board]) -> None:
    """Refuse boards that share a name or an id.

    Raises
    ------
    BoardError
        If two of them do.
    """
    names: dict[str, Board] = {}
    ids: dict[int, Board] = {}
    for board in boards:
        other = names.setdefault(board.name, board)
        if other is not board:
            raise BoardError(f"two boards are called {board.name!r}")
        other = ids.setdefault(board.board_id, board)
        if other is not board:
            raise BoardError(
                f"board_id must be unique, but {other.name} and {board.name} have {board.board_id}"
            )


def board_named(name: str) -> Board:
    """Board of a name.

    Raises
    ------
    BoardError
        If there is none; the message names those that are meant perhaps, or all.
    """
    boards = {board.name: board for board in all_boards()}
    if name in boards:
        return boards[name]
    close = get_close_matches(name, boards, n=3, cutoff=0.4)
    known = " or ".join(close) if close else ", ".join(boards)
    raise BoardError(f"there is no board {name!r}: {'perhaps ' if close else ''}{known}")


def board_by_id(board_id: int) -> Board | None:
    """Board that gives this number as its identity, or None if none does."""
    return next((board for board in all_boards() if board.board_id == board_id), None)
