"""What each layer's instructions and constants take of the scratchpad."""

from mapping.program.data import Part, ProgramData
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Diagonal, Instruction, Load, Matmul
from systolic.spec.layout import load_words


def layer_words(program: ProgramData) -> tuple[int, ...]:
    """Words of each layer's code (in the first slot) and of the constants that it reads.

    Constants that several layers read count for the first of them; of a streamed program, once in
    every part that holds them.

    Raises
    ------
    ProgramError
        If the program's image does not hold its instructions.
    """
    config = program.config
    words = [0] * len(program.layers)
    ends = iter(layer.instructions for layer in program.layers)
    layer, left = -1, 0
    for part in program.runs(program.slots[0]):
        seen: set[int] = set()
        for instruction in program.code_of(part):
            if not left:
                layer, left = layer + 1, next(ends)
            left -= 1
            words[layer] += config.instruction_words
            address, length = _constant(instruction, config)
            # What MATMULs take as weights outside, to write zeros with, is nobody's constant.
            if _holds(part, address) and address not in seen:
                seen.add(address)
                words[layer] += length
    return tuple(words)


def _constant(instruction: Instruction, config: ArrayConfig) -> tuple[int, int]:
    """Address and words of what an instruction reads beside activations; (-1, 0) for nothing."""
    match instruction:
        case Matmul():
            return instruction.weights, config.weight_words
        case Diagonal():
            return instruction.weights, config.weight_digits
        case Load():
            return instruction.addr, load_words(instruction, config)
        case _:
            return -1, 0


def _holds(part: Part, address: int) -> bool:
    return address in part.place
