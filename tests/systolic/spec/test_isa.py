"""Instructions: binary form, limits, listing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systolic.spec.isa import (
    INSTRUCTIONS,
    Drain,
    Instruction,
    InstructionError,
    Load,
    LoadTarget,
    Matmul,
    Opcode,
    Output,
    Store,
    Sync,
    decode,
    listing,
)


@st.composite
def instructions(draw: st.DrawFn) -> Instruction:
    """Any instruction, with any value in every field."""
    cls = draw(st.sampled_from(list(INSTRUCTIONS.values())))
    values = {name: draw(st.integers(field.low, field.high)) for name, field in cls.LAYOUT.items()}
    if cls is Load:
        values["target"] = draw(st.sampled_from(LoadTarget))
    return cls(**values)


EXAMPLE = {
    Opcode.SYNC: {"halt": 0},
    Opcode.LOAD: {"target": LoadTarget.OFFSETS, "count": 1, "addr": 0},
    Opcode.MATMUL: {"first": 0, "half": 0, "digits": 1, "count": 1, "base": 0, "weights": 0},
    Opcode.OUTPUT: {"digits": 1, "zero": 0, "lo": 0, "hi": 0},
    Opcode.DRAIN: {"half": 0, "count": 1, "cols": 1},
    Opcode.STORE: {"digits": 1, "count": 1, "base": 0},
    Opcode.DIAGONAL: {
        "first": 0, "half": 0, "digits": 1, "count": 1, "band": 0, "base": 0, "weights": 0,
    },
}  # fmt: skip


@given(instructions())
def test_decode_inverts_encode(instruction: Instruction) -> None:
    assert decode(instruction.encode()) == instruction


@given(instructions())
def test_every_field_lies_in_its_place_less_its_bias(instruction: Instruction) -> None:
    word = instruction.encode()
    assert word & 7 == instruction.OPCODE
    for name, field in instruction.LAYOUT.items():
        stored = word >> field.lsb & (1 << field.width) - 1
        assert stored + field.bias == getattr(instruction, name)


@pytest.mark.parametrize("cls", INSTRUCTIONS.values(), ids=lambda cls: cls.OPCODE.name)
def test_fields_do_not_overlap(cls: type[Instruction]) -> None:
    taken = 7
    for field in cls.LAYOUT.values():
        place = (1 << field.width) - 1 << field.lsb
        assert not taken & place
        taken |= place
    assert taken < 1 << 64


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (7, r"opcode must be one of 0\.\.6, not 7 \(in 0x0000000000000007\)"),
        (Opcode.SYNC | 1 << 4, r"unused bits of a SYNC must be 0, not 0x0000000000000010"),
        (Opcode.LOAD | 1 << 24, r"unused bits of a LOAD must be 0"),
        (Opcode.MATMUL | 1 << 30, r"unused bits of a MATMUL must be 0"),
        (Opcode.OUTPUT | 1 << 63, r"unused bits of a OUTPUT must be 0"),
        (Opcode.DRAIN | 1 << 3, r"unused bits of a DRAIN must be 0"),
        (Opcode.STORE | 1 << 4, r"unused bits of a STORE must be 0"),
        (Opcode.DIAGONAL | 1 << 31, r"unused bits of a DIAGONAL must be 0"),
    ],
)
def test_illegal_words_are_refused(word: int, message: str) -> None:
    with pytest.raises(InstructionError, match=message):
        decode(word)


@given(st.integers(0, (1 << 64) - 1))
def test_a_word_is_refused_or_decoded_without_loss(word: int) -> None:
    try:
        instruction = decode(word)
    except InstructionError:
        return
    assert instruction.encode() == word


@pytest.mark.parametrize("opcode", Opcode)
def test_values_beyond_a_field_are_refused_by_name(opcode: Opcode) -> None:
    cls = INSTRUCTIONS[opcode]
    for name, field in cls.LAYOUT.items():
        for value in (field.low - 1, field.high + 1):
            message = (
                f"{opcode.name} {name} must be between {field.low} and {field.high}, not {value}"
            )
            with pytest.raises(InstructionError, match=message):
                cls(**{**EXAMPLE[opcode], name: value})


def test_only_matmuls_and_loads_of_offsets_run_beside_a_drain() -> None:
    running = {cls.OPCODE for cls in INSTRUCTIONS.values() if not cls(**EXAMPLE[cls.OPCODE]).waits}
    assert running == {Opcode.MATMUL, Opcode.DIAGONAL, Opcode.LOAD}
    assert Load(target=LoadTarget.TABLE, count=1, addr=0).waits
    assert Load(target=LoadTarget.PARAMETERS, count=1, addr=0).waits
    assert Load(target=LoadTarget.THRESHOLDS, count=1, addr=0).waits


def test_a_listing_numbers_its_lines_and_names_every_field() -> None:
    code = [
        Matmul(first=1, half=0, digits=2, count=16, base=5, weights=9),
        Output(digits=2, zero=128, lo=0, hi=255),
        Drain(half=0, count=16, cols=4),
        Store(digits=2, count=16, base=7),
        Sync(halt=1),
    ]
    lines = list(listing(code, first=3))
    assert lines[0] == (
        "    3  MATMUL first=1 half=0 digits=2 count=16 start=0 part=0 parts=1 base=5 weights=9"
    )
    assert lines[-1] == "    7  SYNC   halt=1"
