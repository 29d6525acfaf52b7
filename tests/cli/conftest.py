"""Fixtures: the program in this process, and files to name on its command line."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from mapping.builder import Builder
from mapping.cli.main import VERBS, main
from mapping.network import save_network


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str

    def assert_fails(self, status: int, *words: str) -> None:
        """One line on standard error, nothing else, that holds all of the words."""
        assert self.status == status, self.err
        assert self.out == ""
        assert self.err.startswith("systolic: ")
        assert self.err.count("\n") == 1
        assert self.err.endswith("\n")
        for word in words:
            assert word in self.err


Systolic = Callable[..., Outcome]


@pytest.fixture
def systolic(capsys: pytest.CaptureFixture[str]) -> Systolic:
    """Run the program with these words."""
    if not entry_points(group=VERBS):
        pytest.fail("the package is not installed: pip install -e '.[test]'")

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def digits_program(systolic: Systolic, tmp_path: Path) -> Path:
    """Program file of the 8-bit digits network."""
    path = tmp_path / "digits.systolic"
    assert systolic("compile", "digits", "-o", path).status == 0
    return path


@pytest.fixture
def pool_network(tmp_path: Path) -> Path:
    """Network file of a maximum over 16 pixels: no weights, two inputs' worth of channels."""
    builder = Builder()
    path = tmp_path / "pool.systolic-net"
    save_network(builder.graph(builder.input((4, 4, 3)).max_pool2d(4)), path)
    return path
