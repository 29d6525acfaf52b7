"""How the suite runs: hypothesis repeats itself, and what did not run is said at the end."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import settings

# The same examples everywhere and every time; explore new ones with --hypothesis-profile=explore.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("ci")

DESELECTED = pytest.StashKey[Counter[str]]()
MARKERS = ("slow", "toolchain")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[DESELECTED] = Counter()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        markers = [name for name in MARKERS if item.get_closest_marker(name)]
        item.config.stash[DESELECTED].update(markers)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was left out, so that a green run does not look larger than it is."""
    for marker, count in sorted(config.stash[DESELECTED].items()):
        terminalreporter.write_line(f"not run: {count} {marker} test(s); pytest -m {marker}")
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]) for report in skipped)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped: {count} test(s), {reason.removeprefix('Skipped: ')}")
