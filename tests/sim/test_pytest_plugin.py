"""The pytest plugin, and the example in its documentation."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from sim import pytest_plugin

pytest_plugins = ["pytester"]

HOME = Path.home()


@pytest.fixture(autouse=True)
def home(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual one, not pytester's empty one: what was compiled once is found again."""
    monkeypatch.setenv("HOME", str(HOME))


def example() -> str:
    """Ten lines of the module's docstring."""
    match = re.search(r"such as in this test::\n\n(.*?)\n\n[^ ]", pytest_plugin.__doc__ or "", re.S)
    assert match is not None
    return dedent(match[1])


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    pytester.makepyfile(example())
    # In a process of its own: numpy cannot be loaded twice.
    return pytester.runpytest_subprocess(*options)


def test_the_example_is_ten_lines() -> None:
    lines = [line for line in example().splitlines() if line and "import" not in line]
    assert len(lines) <= 10


@pytest.mark.parametrize("options", [(), ("--systolic-simulator", "functional")])
def test_the_example_runs(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    run(pytester, *options).assert_outcomes(passed=1)


def test_the_example_can_fail(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(example().replace("== 7", "== 8"))
    pytester.runpytest_subprocess("--systolic-simulator", "functional").assert_outcomes(failed=1)


def test_a_waveform_is_written_per_device(pytester: pytest.Pytester) -> None:
    run(pytester, "--systolic-vcd", "waves").assert_outcomes(passed=1)
    (path,) = (pytester.path / "waves").iterdir()
    assert path.name.endswith("test_the_largest_pixel_is_found_1.vcd")
    assert "$enddefinitions" in path.read_text()


def test_waveforms_need_the_gateware(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--systolic-vcd", "waves", "--systolic-simulator", "functional")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*--systolic-vcd needs --systolic-simulator rtl*"])
