"""Damaged and malicious files: imported, or refused in one line, soon and in little memory."""

import numpy as np
import pytest

from mapping.importers import ModelError
from mapping.importers.onnx import import_model
from tests.mapping.importers.damaged import count_imported, count_in_little_memory, mutants
from tests.mapping.importers.onnx.draw import Draw
from tests.mapping.importers.onnx.float_models import EXACT_MODELS, FLOAT_MODELS
from tests.mapping.importers.onnx.integer_models import INTEGER_MODELS

FEW, MANY = 300, 10_000
BYTES = (0, 1, 2, 0x7F, 0x80, 0xFF)
MODELS = {**INTEGER_MODELS, **EXACT_MODELS, **FLOAT_MODELS}


def originals() -> list[bytes]:
    """Files to be damaged: one of each kind."""
    return [model(Draw(seed=1))[0] for model in MODELS.values()]


def mutate(rng: np.random.Generator, original: bytes) -> bytes:
    """Damage a file in one of the ways that transfers, bugs and attackers do."""
    data = bytearray(original)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(0, max(len(data) - 4, 1)))
        match rng.integers(0, 6):
            case 0 if rng.integers(0, 4) == 0:
                del data[max(place, 8) :]
            case 1:
                data[place] ^= 1 << int(rng.integers(0, 8))
            case 2:
                data[place] = int(rng.choice(BYTES))
            case 3:  # small numbers are what types, axes and lengths are
                data[place] = int(rng.integers(0, 30))
            case 4:
                other = int(rng.integers(0, max(len(data) - 64, 1)))
                data[place : place + 16] = data[other : other + 16]
            case _:
                data[place : place + 4] = rng.bytes(4)
    return bytes(data)


def test_damaged_files_are_refused_in_one_line_and_little_memory() -> None:
    files = mutants(originals(), FEW, seed=0, mutate=mutate)
    imported = count_in_little_memory(import_model, ModelError, files)
    assert 0 < imported < FEW  # some damage hits weights only


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_damaged_files_are_refused_in_one_line() -> None:
    files = mutants(originals(), MANY, seed=1, mutate=mutate)
    imported = count_imported(import_model, ModelError, files)
    assert 0 < imported < MANY


@pytest.mark.parametrize("length", [0, 3, 4, 7, 8, 12, 40, 200])
def test_cut_files_are_refused(length: int) -> None:
    data = MODELS["qlinear_conv"](Draw(seed=0))[0]
    with pytest.raises(ModelError):
        import_model(data[:length])


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"PK\3\4" * 20, bytes(range(256))])
def test_foreign_files_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        import_model(data)
