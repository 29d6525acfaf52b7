"""Damaged and malicious files: imported, or refused in one line, soon and in little memory."""

import numpy as np
import pytest

from mapping.importers import ModelError
from mapping.importers.tflite import import_model
from tests.mapping.importers.damaged import count_imported, count_in_little_memory, mutants
from tests.mapping.importers.tflite.random_model import MODELS, random_model
from tests.mapping.importers.tflite.test_models import MODELS as REAL_MODELS

FEW, MANY = 600, 10_000
WORDS = (0, 1, 2, 4, 127, 128, 255, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def originals() -> list[bytes]:
    """Files to be damaged: one of each operator, and a real network where it is there."""
    made = [random_model(name, seed=1)[0] for name in MODELS]
    real = REAL_MODELS / "kws_ref_model.tflite"
    return [*made, real.read_bytes()] if real.exists() else made


def mutate(rng: np.random.Generator, original: bytes) -> bytes:
    """Damage a file in one of the ways that transfers, bugs and attackers do."""
    data = bytearray(original)
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(0, max(len(data) - 4, 1)))
        match rng.integers(0, 6):
            case 0:
                del data[max(place, 8) :]
            case 1:
                data[place] ^= 1 << int(rng.integers(0, 8))
            case 2:
                data[place : place + 4] = int(rng.choice(WORDS)).to_bytes(4, "little")
            case 3:  # small words are what offsets, lengths and indices are
                data[place & ~3 : (place & ~3) + 4] = int(rng.integers(0, 300)).to_bytes(
                    4, "little"
                )
            case 4:
                other = int(rng.integers(0, max(len(data) - 64, 1)))
                data[place : place + 32] = data[other : other + 32]
            case _:
                data[place : place + 8] = rng.bytes(8)
    return bytes(data)


def test_damaged_files_are_refused_in_one_line_and_little_memory() -> None:
    files = mutants(originals(), FEW, seed=0, mutate=mutate)
    imported = count_in_little_memory(import_model, ModelError, files)
    assert 0 < imported < FEW  # some damage hits weights only


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_in_one_line() -> None:
    files = mutants(originals(), MANY, seed=1, mutate=mutate)
    imported = count_imported(import_model, ModelError, files)
    assert 0 < imported < MANY


@pytest.mark.parametrize("length", [0, 3, 4, 7, 8, 12, 40, 200])
def test_cut_files_are_refused(length: int) -> None:
    data = random_model("conv", seed=0)[0]
    with pytest.raises(ModelError):
        import_model(data[:length])


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"PK\3\4" * 20, bytes(range(256))])
def test_foreign_files_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match="no TensorFlow Lite file"):
        import_model(data)
