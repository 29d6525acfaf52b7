# amaranth: UnusedElaboratable=no
"""Rules of this repository that no linter knows."""

import ast
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from amaranth.back import rtlil
from amaranth.lib import wiring

import boards
import host
import mapping
import sim
import systolic
from systolic.accelerator import Accelerator
from systolic.links.uart_accelerator import UartAccelerator
from systolic.spec.config import ArrayConfig
from tests.readme import commands, sets_up

ROOT = Path(__file__).parent.parent
PACKAGES = (systolic, mapping, host, sim, boards)
FOLDERS = (*(package.__name__ for package in PACKAGES), "tests", "benchmarks", "examples", "docs")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# Between them they use every kind of memory, multiplier and delay.
CONFIGS = (
    ArrayConfig(),
    ArrayConfig(rows=4, cols=8, digit_bits=1, skew="registers", onnx=False, table=False),
    ArrayConfig(diagonal=True, threshold_bits=2),
    ArrayConfig(multiplier="fabric", requantize_cycles=8, pe_cols=2),
)


def modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        yield package
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(info.name)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_benchmarks_use_what_there_is(path: Path) -> None:
    importlib.import_module(f"benchmarks.{path.stem}")


@pytest.mark.parametrize("module", ["systolic.spec", "mapping", "host", "sim.functional"])
def test_only_gateware_needs_amaranth(module: str) -> None:
    program = f"""
import importlib, pkgutil, sys
sys.modules["amaranth"] = None
module = importlib.import_module({module!r})
for info in pkgutil.walk_packages(getattr(module, "__path__", []), "{module}."):
    importlib.import_module(info.name)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            is_documented = ast.get_docstring(node) is not None and len(node.body) > 1
            start = first.end_lineno if is_documented else node.lineno - 1
            assert node.end_lineno - start <= MAX_FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_randomness_is_seeded(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    unseeded = re.compile(r"default_rng\(\)|\bRandom\(\)|np\.random\.(?!default_rng|Generator)\w+")
    if path != Path(__file__):
        assert unseeded.findall(text) == []
        assert not re.search(r"^import random\b", text, re.MULTILINE), "the module's generator"


def test_names_offered_exist() -> None:
    for module in modules():
        for name in getattr(module, "__all__", ()):
            assert hasattr(module, name), f"{module.__name__}.{name}"


def described_members(cls: type) -> list[tuple[str, str]]:
    """Names and directions in the docstring's *Members*, in order.

    Where no type is given, the name's ending tells the direction.
    """
    text = inspect.getdoc(cls) or ""
    section = re.search(r"^Members\n-------\n(.*?)(?=^\w[^\n]*\n---|\Z)", text, re.M | re.S)
    assert section is not None, f"{cls.__name__} has no section Members"
    lines = re.findall(r"^(\w[\w, ]*?)(?: : ``(In|Out)\(.*)?$", section[1], re.MULTILINE)
    endings = {"i": "In", "o": "Out"}
    return [
        (name, flow or endings[name[-1]]) for names, flow in lines for name in names.split(", ")
    ]


def test_docstrings_name_the_members_of_every_component(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Components are those that accelerators and links are made of, so that none is forgotten.

    Some members are there in some configurations only: those with the most count.
    """
    found: dict[type, list[tuple[str, str]]] = {}
    original = wiring.Component.__init__

    def record(self: wiring.Component, *args: object, **kwargs: object) -> None:
        original(self, *args, **kwargs)
        members = self.signature.members
        described = [(name, members[name].flow.name) for name in members]
        found[type(self)] = max(found.get(type(self), []), described, key=len)

    monkeypatch.setattr(wiring.Component, "__init__", record)
    for config in CONFIGS:
        rtlil.convert(Accelerator(config))
    rtlil.convert(UartAccelerator(ArrayConfig(), clock_hz=12e6, baud=3_000_000))
    defined = {
        cls
        for module in modules()
        if module.__name__.startswith("systolic.")
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, wiring.Component) and cls.__module__ == module.__name__
    }
    assert defined <= set(found), "a component is in no accelerator"
    for cls in defined:
        assert described_members(cls) == found[cls], cls.__name__


def test_a_wrong_members_section_is_noticed() -> None:
    class Swapped(wiring.Component):
        """Two ports.

        Members
        -------
        a_i, b_o : ``In(1)``
            Only one of them is.
        """

    assert described_members(Swapped) == [("a_i", "In"), ("b_o", "In")]


def test_readme_sets_up_in_two_commands() -> None:
    first, second = (command for command in commands() if sets_up(command))
    assert first.endswith("systolic run digits")
    assert second.endswith("pytest -n auto")


def test_readme_commands_run(tmp_path: Path) -> None:
    """All but those that make an environment, which .ci/run runs on a bare machine."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands():
        if not sets_up(command):
            subprocess.run(
                ["bash", "-euc", command.replace(".venv/bin/", "")],
                check=True, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL,
            )  # fmt: skip


def test_the_picture_is_what_its_script_draws() -> None:
    command = [sys.executable, ROOT / "docs" / "dataflow.py"]
    drawn = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert drawn == (ROOT / "docs" / "dataflow.svg").read_text(encoding="utf-8")
