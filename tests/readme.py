"""The commands in README.md, for the test that runs them and for .ci/run.

A command is a line that begins with ``$`` in a ``console`` block. Those that make a virtual
environment set everything up on a bare machine; :file:`.ci/run` runs them as they stand::

    python3 tests/readme.py
"""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """All commands, in order; lines that end in a backslash are joined."""
    blocks = _BLOCK.findall(README.read_text(encoding="utf-8"))
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$").strip() for line in lines if line.startswith("$ ")]


def sets_up(command: str) -> bool:
    """Whether a command makes its own environment."""
    return "-m venv" in command


if __name__ == "__main__":
    print("\n".join(command for command in commands() if sets_up(command)))  # noqa: T201
