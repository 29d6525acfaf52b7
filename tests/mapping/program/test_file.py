"""Program files: what was saved comes back; everything else is refused in one line."""

import json
import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.errors import ProgramError
from mapping.file_format import BODY_START, HEADER
from mapping.program import Program
from mapping.program.file import from_bytes, to_bytes
from systolic.spec.config import ArrayConfig
from tests.strategies import random_network

PROGRAM = compile_network(random_network(7), ArrayConfig(), name="seven")
DATA = to_bytes(PROGRAM)


def sealed(header: bytes, body: bytes) -> bytes:
    """A file whose checksum is right."""
    return header + sha256(header + body).digest() + body


def edited(edit: Callable[[dict[str, object]], None], data: bytes = DATA) -> bytes:
    """A program's file with another description and a right checksum."""
    magic, version, json_bytes, image_bytes = HEADER.unpack_from(data)
    content = json.loads(data[BODY_START : BODY_START + json_bytes])
    edit(content)
    text = json.dumps(content).encode()
    header = HEADER.pack(magic, version, len(text), image_bytes)
    return sealed(header, text + data[BODY_START + json_bytes :])


@pytest.mark.parametrize("seed", range(6))
def test_a_program_comes_back_from_its_file(seed: int, tmp_path: Path) -> None:
    program = compile_network(random_network(seed), ArrayConfig(), name=f"seed {seed}")
    program.save(tmp_path / "file")
    assert Program.load(tmp_path / "file") == program
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    too_long = "x" * (5 << 20)
    program = Program(**{**vars(PROGRAM), "name": too_long})
    with pytest.raises(ProgramError, match="description must be at most 4,194,304 bytes"):
        program.save(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_messages_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"GIF89a")
    with pytest.raises(ProgramError, match=r"odd: not a systolic program file \(wrong magic\)"):
        Program.load(tmp_path / "odd")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "wrong magic"),
        (DATA[:20], "truncated: 20 bytes"),
        (DATA[:-1], "must be .* bytes long by its header"),
        (DATA + b"x", "must be .* bytes long by its header"),
        (DATA[:8] + struct.pack("<I", 6) + DATA[12:], "format version must be 5, not 6"),
        (DATA[:12] + struct.pack("<I", 1 << 31) + DATA[16:], "description must be at most"),
        (DATA[:16] + struct.pack("<I", 1 << 31) + DATA[20:], "image must be at most"),
        (sealed(HEADER.pack(b"SYSTPRG\n", 5, 1, 0), b"{"), "not JSON"),
        (sealed(HEADER.pack(b"SYSTPRG\n", 5, 2, 0), b"[]"), "object with exactly"),
        (sealed(HEADER.pack(b"SYSTPRG\n", 5, 200_000, 0), b"[" * 200_000), "nested|not JSON"),
    ],
)
def test_what_is_no_program_file_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        from_bytes(data, Program)


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, len(DATA) - 1), bit=st.integers(0, 7))
def test_every_flipped_bit_is_noticed(position: int, bit: int) -> None:
    damaged = bytearray(DATA)
    damaged[position] ^= 1 << bit
    with pytest.raises(ProgramError):
        from_bytes(bytes(damaged), Program)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(extra=1), "object with exactly"),
        (lambda c: c.update(name=3), "name must be a string"),
        (lambda c: c["slots"][0].update(entry=True), r"slots\[0\].entry must be an integer"),
        (lambda c: c["slots"][1].update(entry=-1), "instructions at word -1 do not lie"),
        (lambda c: c["slots"].pop() and c["slots"].pop(), "slots must be 1..2, not 0"),
        (lambda c: c["slots"].append(c["slots"][0]), "slots must be 1..2, not 3"),
        (lambda c: c["slots"][1]["outputs"].pop(), "slots must have the same inputs and outputs"),
        (lambda c: c.update(slot_deficit_bytes=-1), "slot_deficit_bytes must be 0.."),
        (lambda c: c.update(load_address=1 << 40), "load_address must be 0"),
        (lambda c: c.update(load_address=16384), "image .* does not fit"),
        (lambda c: c.update(instruction_count=16384), "instructions at word .* do not lie"),
        (lambda c: c["config"].update(rows=3), "configuration: rows must be"),
        (lambda c: c["config"].update(acc_depth=64), "not the one its digest was made of"),
        (lambda c: c.update(layers={}), "layers must be a list"),
        (lambda c: c["layers"][0].update(cycles="1"), r"layers\[0\].cycles must be an integer"),
        (lambda c: c["layers"][0].update(utilisation=1e999), "must be a finite number"),
        (lambda c: c["layers"][0].update(utilisation=10**400), "must be a finite number"),
        (lambda c: c["layers"][0].update(pruned_inputs=-1), "pruned channels must be 0 or more"),
        (lambda c: c["layers"][0].update(pruned_outputs=-9), "pruned channels must be 0 or more"),
        (lambda c: c["layers"][0].update(cycles=1), "predicted cycles are not those"),
        (
            lambda c: c["slots"][0]["inputs"][0].pop("zero"),
            r"inputs\[0\] must be an object with exactly",
        ),
        (
            lambda c: c["slots"][0]["inputs"][0].update(border=[0]),
            "border must have 4 elements, not 1",
        ),
        (lambda c: c["tensors"][0].update(height=1 << 50), "extents must be 1"),
    ],
)
def test_descriptions_that_are_wrong_are_refused(
    edit: Callable[[dict[str, object]], None], message: str
) -> None:
    with pytest.raises(ProgramError, match=message):
        from_bytes(edited(edit), Program)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"kernel": [3, 0]}, "packing does not turn"),
        ({"kernel": [9, 1]}, "packing does not turn"),
        ({"stride": [1, 2]}, "packing does not turn"),
        ({"dilation": [65536, 1]}, "packing does not turn"),
        ({"pad": [1, 1, 1, 2]}, "packing does not turn"),
        ({"pad": [1, 1, 1, 1 << 60]}, "must be an integer|packing does not turn"),
        ({"pad": [1, 1, 1]}, "packing.pad must have 4 elements, not 3"),
        ({"kernel": "33"}, "packing.kernel must be a list"),
        ({"image": [25, 1, 1]}, "packing does not turn"),
        ({"image": [5, 5, 2]}, "is not packed as"),
        ({"zero": 1}, "packing must be an object with exactly"),
    ],
)
def test_packings_that_are_wrong_are_refused(edit: dict[str, object], message: str) -> None:
    builder = Builder()
    weights = [[[[1, 2]]] * 3] * 3
    image = builder.input((5, 5, 1)).conv2d(weights, pad="same").requantize(1 << 30, 0)
    data = to_bytes(compile_network(builder.graph(image), ArrayConfig()))

    def change(content: dict[str, object]) -> None:
        for tensor in (*content["slots"][0]["inputs"], *content["slots"][1]["inputs"]):
            assert tensor["packing"]["kernel"] == [3, 3]
            tensor["packing"].update(edit)

    with pytest.raises(ProgramError, match=message):
        from_bytes(edited(change, data), Program)


def test_the_tests_own_editing_is_sound() -> None:
    assert from_bytes(edited(lambda content: None), Program) == PROGRAM
