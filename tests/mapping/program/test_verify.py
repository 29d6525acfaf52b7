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
        (Drain, {"start": 250}, "parameters never loaded|uses parameter 25"),
        (Drain, {"row": 15, "cols": 4}, "beyond the last block"),
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
        replace(PROGRAM, outputs=(elsewhere,)).verify()
