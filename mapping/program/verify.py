"""Proof that a program keeps the machine's rules and its own promises, without running it."""

from itertools import accumulate

import numpy as np

from mapping.errors import ProgramError
from mapping.program.data import ProgramData
from mapping.program.rules import MachineRules, RuleError
from systolic.spec.isa import Instruction, Store, Sync
from systolic.spec.timing import program_cycles


def verify_program(program: ProgramData) -> None:
    """Check every instruction, every address and the predicted cycles.

    The host is assumed to have written the image and all inputs. Nothing may be read before it is
    written, no store may reach into the image, every layer ends in a SYNC at the predicted cycle.

    Raises
    ------
    ProgramError
        With the first broken rule.
    """
    config, instructions = program.config, program.instructions
    _check_ends(program, instructions)
    image_end = program.load_address + len(program.image) // config.word_bytes

    def read(addr: int, count: int) -> bytes:
        if not program.load_address <= addr <= addr + count <= image_end:
            raise RuleError("loads offsets that are not in the image")
        start = (addr - program.load_address) * config.word_bytes
        return program.image[start : start + count * config.word_bytes]

    rules = MachineRules(config, read)
    rules.define(program.load_address, image_end - program.load_address)
    for tensor in program.inputs:
        rules.define(tensor.address, tensor.words(config))
    for index, instruction in enumerate(instructions):
        try:
            rules.check(instruction)
            if isinstance(instruction, Store):
                _check_outside_image(rules, instruction, program.load_address, image_end)
        except RuleError as error:
            raise ProgramError(f"instruction {index} ({instruction}): {error}") from None
    for tensor in program.outputs:
        try:
            rules.check_readable(tensor.address, tensor.words(config))
        except RuleError as error:
            raise ProgramError(f"output {tensor.name}: {error}") from None


def _check_ends(program: ProgramData, instructions: tuple[Instruction, ...]) -> None:
    """Layers end in SYNCs at the predicted cycles, and only the last one halts."""
    syncs = [
        index for index, instruction in enumerate(instructions) if isinstance(instruction, Sync)
    ]
    halts = [index for index in syncs if instructions[index] == Sync(halt=1)]
    if halts != [len(instructions) - 1]:
        raise ProgramError("program: the last instruction, and no other, must be a SYNC that halts")
    ends = list(accumulate(layer.instructions for layer in program.layers))
    if program.layers and syncs != [end - 1 for end in ends]:
        raise ProgramError("program: every layer must end in its only SYNC")
    marks = program_cycles(instructions, program.config)
    cycles = list(accumulate(layer.cycles for layer in program.layers))
    if program.layers and [mark.cycle for mark in marks] != cycles:
        raise ProgramError("program: the predicted cycles are not those of its instructions")


def _check_outside_image(rules: MachineRules, store: Store, first: int, end: int) -> None:
    addrs = rules.pixel_words(store.start, store.count, store.base, store.digits)
    if np.any((addrs >= first) & (addrs < end)):
        raise RuleError("stores into the program's image")
