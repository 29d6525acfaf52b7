"""Damaged and malicious files: imported, or refused in one line, soon and in little memory."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from mapping.importers.tflite import TfliteError, import_model
from tests.mapping.importers.tflite.random_model import MODELS, random_model
from tests.mapping.importers.tflite.test_models import MODELS as REAL_MODELS

FEW, MANY = 600, 10_000
MAX_BYTES = 128 << 20
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


def mutants(count: int, seed: int) -> Iterator[bytes]:
    rng, files = np.random.default_rng(seed), originals()
    for index in range(count):
        yield mutate(rng, files[index % len(files)])


def check(data: bytes) -> bool:
    """Whether a file can be imported; if not, the refusal has to be of the promised kind."""
    message = ""
    try:
        import_model(data)
    except TfliteError as error:
        message = str(error) or "none"
    assert "\n" not in message
    return not message


def test_damaged_files_are_refused_in_one_line_and_little_memory() -> None:
    tracemalloc.start()
    try:
        imported = sum(map(check, mutants(FEW, seed=0)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MAX_BYTES
    assert 0 < imported < FEW  # some damage hits weights only


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_in_one_line() -> None:
    imported = sum(map(check, mutants(MANY, seed=1)))
    assert 0 < imported < MANY


@pytest.mark.parametrize("length", [0, 3, 4, 7, 8, 12, 40, 200])
def test_cut_files_are_refused(length: int) -> None:
    data = random_model("conv", seed=0)[0]
    with pytest.raises(TfliteError):
        import_model(data[:length])


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"PK\3\4" * 20, bytes(range(256))])
def test_foreign_files_are_refused(data: bytes) -> None:
    with pytest.raises(TfliteError, match="no TensorFlow Lite file"):
        import_model(data)
