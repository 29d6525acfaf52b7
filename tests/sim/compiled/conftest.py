"""Fixtures of the compiled simulator's tests."""

from pathlib import Path

import pytest

from sim.compiled import Cache


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache that starts empty."""
    return Cache(Path(tmp_path_factory.mktemp("compiled")))
