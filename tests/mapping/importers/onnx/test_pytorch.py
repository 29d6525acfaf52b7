"""The way from PyTorch, as examples/pytorch_digits.py goes it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
SCRIPT = ROOT / "examples" / "pytorch_digits.py"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_network_is_trained_quantized_and_run() -> None:
    pytest.importorskip("torch", reason="needs the pytorch extra")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, SCRIPT], check=True, capture_output=True, text=True, env=environment
    )
    found = re.findall(
        r"^(PyTorch|the array): ([0-9.]+)% of 200 images$", done.stdout, re.MULTILINE
    )
    accuracy = {title: float(share) for title, share in found}
    assert accuracy["PyTorch"] > 90
    assert accuracy["the array"] > accuracy["PyTorch"] - 2


def test_the_example_is_short() -> None:
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 80
