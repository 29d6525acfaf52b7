"""Fixtures: a cache that builds share, so that the tools run as seldom as possible."""

from pathlib import Path

import pytest

from tests.cli.conftest import systolic

__all__ = ["cache", "systolic"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what was built in this session."""
    return tmp_path_factory.mktemp("builds")
