"""Verification: every compiled program passes, every broken one is refused."""

from dataclasses import replace

import pytest

from mapping.compiler import compile_network
from mapping.errors import ProgramError
from mapping.program import Program
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Drain, Instruction, Load, Matmul, Store, Sync
from systolic.spec.layout import pack_instructions
from tests.strategies import random_network

CONFIG = ArrayConfig()
PROGRAM = compile_network(random_network(4), CONFIG)


def with_instruction(index: int, instruction: Instruction) -> Program:
    """The program with one instruction replaced."""
    code = pack_instructions([instruction.encode()], CONFIG)
    words = PROGRAM.entry - PROGRAM.load_address + index * CONFIG.instruction_words
    start = words * CONFIG.word_bytes
    image = PROGRAM.image[:start] + code + PROGRAM.image[start + len(code) :]
    return replace(PROGRAM, image=image)


def first(kind: type[Instruction], program: Program = PROGRAM) -> tuple[int, Instruction]:
    """Index and value of the first instruction of a kind."""
    for index, instruction in enumerate(program.instructions):
        if isinstance(instruction, kind):
            return index, instruction
    raise AssertionError(f"no {kind.__name__}")


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("cols", [4, 16, 32])
def test_compiled_programs_keep_the_rules(seed: int, cols: int) -> None:
    compile_network(random_network(seed), ArrayConfig(cols=cols)).verify()


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Matmul, {"base": 16000}, "words that were never written"),
        (Matmul, {"base": 0xFFF0}, "beyond the scratchpad"),
        (Matmul, {"first": 0}, "accumulators never set"),
        (Matmul, {"half": 1}, "accumulators never set"),
        (Matmul, {"start": 200}, "not all loaded"),
        (Drain, {"start": 248}, "parameters never loaded"),
        (Drain, {"start": 250}, "start must be a multiple of 4"),
        (Drain, {"row": 2}, "row must be a multiple of 4"),
        (Drain, {"pixel": 127}, r"needs \d+ pixels of 127 in the output buffer"),
        (Load, {"addr": 16383}, "never written|beyond the scratchpad"),
        (Store, {"base": PROGRAM.load_address}, "stores into the program's image"),
        (Store, {"block": 3}, "there is no block 3"),
    ],
)
def test_an_instruction_that_breaks_a_rule_is_named(
    kind: type[Instruction], fields: dict[str, int], message: str
) -> None:
    index, instruction = first(kind)
    broken = with_instruction(index, replace(instruction, **fields))
    with pytest.raises(ProgramError, match=message):
        broken.verify()


def test_a_program_must_halt_at_its_end_and_nowhere_else() -> None:
    last = PROGRAM.instruction_count - 1
    with pytest.raises(ProgramError, match="the last instruction, and no other"):
        with_instruction(last, Sync(halt=0)).verify()
    with pytest.raises(ProgramError, match="the last instruction, and no other"):
        with_instruction(0, Sync(halt=1)).verify()


def test_layers_end_where_the_table_says() -> None:
    shorter = replace(PROGRAM.layers[0], instructions=PROGRAM.layers[0].instructions - 1)
    with pytest.raises(ProgramError, match="every layer must end in its only SYNC"):
        replace(PROGRAM, layers=(shorter, *PROGRAM.layers[1:])).verify()


def test_predicted_cycles_must_be_true() -> None:
    faster = replace(PROGRAM.layers[0], cycles=PROGRAM.layers[0].cycles - 1)
    with pytest.raises(ProgramError, match="the predicted cycles are not those"):
        replace(PROGRAM, layers=(faster, *PROGRAM.layers[1:])).verify()


def test_outputs_must_have_been_written() -> None:
    elsewhere = replace(PROGRAM.outputs[0], address=CONFIG.scratchpad_words - 100)
    with pytest.raises(ProgramError, match=r"output .* words that were never written"):
        with_slot(1, outputs=(elsewhere,)).verify()


def with_slot(number: int, **fields: object) -> Program:
    """The program with fields of one slot replaced."""
    slots = list(PROGRAM.slots)
    slots[number] = replace(slots[number], **fields)
    return replace(PROGRAM, slots=tuple(slots))


def test_a_run_must_not_see_what_the_host_does_in_the_other_slot() -> None:
    with pytest.raises(ProgramError, match=r"slot 1, instruction .* words that were never written"):
        with_slot(1, entry=PROGRAM.entry).verify()  # reads the inputs of slot 0


def test_a_run_must_leave_the_inputs_and_the_other_slots_outputs_alone() -> None:
    index, store = next(
        (index, code)
        for index, code in reversed(list(enumerate(PROGRAM.instructions)))
        if isinstance(code, Store)
    )
    first, second = PROGRAM.slots
    shift = second.outputs[0].address - first.outputs[0].address
    message = "slot 0, .* stores into inputs, or into another slot's outputs"
    for base in (store.base + shift, first.inputs[0].address, second.inputs[0].address):
        with pytest.raises(ProgramError, match=message):
            with_instruction(index, replace(store, base=base)).verify()


@pytest.mark.parametrize("address", [PROGRAM.load_address, PROGRAM.inputs[0].address])
def test_inputs_must_share_no_words(address: int) -> None:
    moved = replace(PROGRAM.inputs[0], address=address)
    with pytest.raises(ProgramError, match="of slot 1 shares words with the image or another"):
        with_slot(1, inputs=(moved,)).verify()


def test_one_slot_may_lend_its_inputs_to_what_comes_later() -> None:
    program = compile_network(random_network(4), CONFIG, slots=1)
    program.verify()
    assert program.load_address < PROGRAM.load_address
