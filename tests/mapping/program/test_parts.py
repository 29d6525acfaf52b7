"""Program files and verification of programs in parts: whatever could go wrong is refused."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mapping.errors import ProgramError
from mapping.program import Part, Program
from mapping.program.file import from_bytes, to_bytes
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Instruction, Load, LoadTarget, Matmul, Store, Sync
from systolic.spec.layout import pack_instructions
from tests.mapping.program.test_file import edited
from tests.strategies import random_network
from tests.streamed import streamed_program

CONFIG = ArrayConfig()
PROGRAM = streamed_program(random_network(4), CONFIG, percent=80)
DATA = to_bytes(PROGRAM)
FIRST, SECOND = PROGRAM.parts[:2]


def with_instruction(part: Part, index: int, instruction: Instruction) -> Program:
    """The program with one instruction of a part replaced."""
    code = pack_instructions([instruction.encode()], CONFIG)
    words = part.start + part.entry - part.address + index * CONFIG.instruction_words
    start = words * CONFIG.word_bytes
    image = PROGRAM.image[:start] + code + PROGRAM.image[start + len(code) :]
    return replace(PROGRAM, image=image)


def find(kind: type[Instruction], after: Part = FIRST) -> tuple[Part, int, Instruction]:
    """The first instruction of a kind behind a part: its part, its index there, itself."""
    for part in PROGRAM.parts[PROGRAM.parts.index(after) + 1 :]:
        for index, instruction in enumerate(PROGRAM.code_of(part)):
            if isinstance(instruction, kind):
                return part, index, instruction
    raise AssertionError(f"no {kind.__name__}")


def test_the_program_is_in_parts_of_which_one_stays() -> None:
    PROGRAM.verify()
    assert PROGRAM.resident == (FIRST,)
    assert len(PROGRAM.parts) >= 4


def test_a_program_in_parts_comes_back_from_its_file(tmp_path: Path) -> None:
    PROGRAM.save(tmp_path / "file")
    assert Program.load(tmp_path / "file") == PROGRAM


def test_its_listing_shows_parts_and_all_instructions() -> None:
    lines = list(PROGRAM.listing())
    assert lines[1].startswith("image   ")
    assert lines[1].endswith(f" words in {len(PROGRAM.parts)} parts")
    shown = [line for line in lines if line.startswith("part ")]
    assert shown[0].endswith(", written once")
    assert all(line.endswith(", written for every image") for line in shown[1:])
    assert sum("SYNC   halt=1" in line for line in lines) == len(PROGRAM.parts)
    numbered = [int(line.split()[0]) for line in lines if re.match(r" *\d+  [A-Z]", line)]
    assert numbered == list(range(PROGRAM.instruction_count))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["parts"][1].update(start=0), r"parts\[1\] does not begin where"),
        (lambda c: c["parts"][0].update(start=1), r"parts\[0\] does not begin where"),
        (lambda c: c["parts"][0].update(words=0), r"parts\[0\] does not begin where"),
        (lambda c: c["parts"][1].update(words=-5), r"parts\[1\] does not begin where"),
        (lambda c: c["parts"][1].update(words=True), r"parts\[1\].words must be an integer"),
        (lambda c: c["parts"][1].update(address=16384), r"parts\[1\] does not fit the scratchpad"),
        (lambda c: c["parts"][1].update(address=1 << 70), r"parts\[1\].address must be an integer"),
        (lambda c: c["parts"][1].update(address=0), r"parts\[1\] does not fit the scratchpad"),
        (lambda c: c["parts"][1].update(instructions=0), "must have instructions"),
        (lambda c: c["parts"][1].update(instructions=1 << 40), "must be that of all parts"),
        (lambda c: c["parts"][1].update(entry=c["parts"][1]["entry"] + 1), "do not lie in the"),
        (lambda c: c["parts"][1].update(entry=0), "do not lie in the image"),
        (lambda c: c["parts"][1].update(entry=c["parts"][1]["address"]), "^program: "),
        (lambda c: c["parts"].pop(), "the parts have .* words, but the image"),
        (lambda c: c["parts"].append(c["parts"][0]), r"parts\[\d+\] does not begin where"),
        (lambda c: c["parts"].clear(), "^program: "),
        (lambda c: c.update(parts={}), "parts must be a list"),
        (lambda c: c["parts"][0].update(extra=1), r"parts\[0\] must be an object with exactly"),
        (lambda c: c["slots"].append(c["slots"][0]), "in parts, it must have one slot"),
        (lambda c: c["slots"][0].update(entry=5), "must begin where its first part does"),
        (lambda c: c.update(instruction_count=5), "must be that of all parts, .* not 5"),
        (lambda c: c["layers"][0].update(cycles=1), "predicted cycles are not those"),
        (lambda c: c["layers"].pop(), "every layer must end in its only SYNC"),
    ],
)
def test_descriptions_that_are_wrong_are_refused(
    edit: Callable[[dict[str, object]], None], message: str
) -> None:
    with pytest.raises(ProgramError, match=message):
        from_bytes(edited(edit, DATA), Program)


def test_neighbours_must_share_no_words() -> None:
    third = PROGRAM.parts[2]
    moved = replace(
        third, address=SECOND.address, entry=SECOND.address + third.entry - third.address
    )
    parts = tuple(moved if part is third else part for part in PROGRAM.parts)
    with pytest.raises(ProgramError, match="part 2 is written while part 1 runs, but they share"):
        replace(PROGRAM, parts=parts).verify()


def test_a_part_may_not_read_the_words_of_another_that_does_not_stay() -> None:
    part, index, matmul = find(Matmul, after=SECOND)
    before = PROGRAM.parts[PROGRAM.parts.index(part) - 1]
    assert before in PROGRAM.streamed
    hasty = with_instruction(part, index, replace(matmul, weights=before.address))
    with pytest.raises(ProgramError, match="reads words that were never written"):
        hasty.verify()
    with_instruction(part, index, replace(matmul, weights=FIRST.address)).verify()


def test_a_part_may_not_store_into_any() -> None:
    part, index, store = find(Store)
    for other in PROGRAM.parts:
        broken = with_instruction(part, index, replace(store, base=other.address))
        with pytest.raises(ProgramError, match="stores into the program's image"):
            broken.verify()


def test_a_part_must_halt_at_its_end_and_nowhere_else() -> None:
    for part in PROGRAM.parts:
        for index, instruction in ((part.instructions - 1, Sync(halt=0)), (0, Sync(halt=1))):
            if part.instructions > 1:
                with pytest.raises(ProgramError, match="every part's last instruction, and no"):
                    with_instruction(part, index, instruction).verify()


def test_a_sync_within_a_layer_must_be_a_cuts() -> None:
    part, index, _ = find(Load)
    with pytest.raises(ProgramError, match="every layer must end in its only SYNC"):
        with_instruction(part, index, Sync(halt=0)).verify()


def test_offsets_are_loaded_from_what_is_there() -> None:
    """Of the two parts that lie at one place, the right one: its offsets lead to its addresses."""
    loads = [
        (part, code)
        for part in PROGRAM.parts
        for code in PROGRAM.code_of(part)
        if isinstance(code, Load) and code.target is LoadTarget.OFFSETS
    ]
    assert any(part in PROGRAM.streamed and code.addr in part.place for part, code in loads)
