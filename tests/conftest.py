"""How the suite runs: hypothesis repeats itself, and what did not run is said at the end."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import settings

# The same examples everywhere and every time; explore new ones with --hypothesis-profile=explore.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("ci")

MARKERS = ("slow", "toolchain")


class Deselected:
    """Counts the tests that a marker keeps out, also those that pytest-xdist's workers see."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        for item in items:
            self.counts.update(name for name in MARKERS if item.get_closest_marker(name))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["deselected"] = dict(self.counts)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        # Every worker has seen all tests.
        self.counts = Counter(getattr(node, "workeroutput", {}).get("deselected", {}))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was left out, so that a green run does not look larger than it is."""
        for marker, count in sorted(self.counts.items()):
            terminalreporter.write_line(f"not run: {count} {marker} test(s); pytest -m {marker}")
        skipped = terminalreporter.stats.get("skipped", [])
        reasons = Counter(str(report.longrepr[2]) for report in skipped)
        for reason, count in sorted(reasons.items()):
            text = reason.removeprefix("Skipped: ")
            terminalreporter.write_line(f"skipped: {count} test(s), {text}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Deselected())
