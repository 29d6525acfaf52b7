"""Fixtures: folders that bitstreams and simulations of a session share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what was built in this session."""
    return tmp_path_factory.mktemp("bitstreams")
