"""Proof that a program keeps the machine's rules and its own promises, without running it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from mapping.errors import ProgramError
from mapping.program.data import MAX_SLOTS, ProgramData
from mapping.program.rules import MachineRules, RuleError
from mapping.program.tensor import StoredTensor
from systolic.spec.isa import Instruction, Store, Sync
from systolic.spec.timing import program_cycles


def verify_program(program: ProgramData) -> None:
    """Check every instruction, every address and the predicted cycles, slot by slot.

    The host is assumed to have written the image and the inputs of the slot that runs. Nothing else
    may be read before the run has written it, no store may reach into the image, every layer ends
    in a SYNC at the predicted cycle. Where there are two slots, no store may reach into any slot's
    inputs or the other's outputs either: whatever the host writes to or reads from the other slot
    meanwhile, the run neither changes nor sees it.

    Raises
    ------
    ProgramError
        With the first broken rule.
    """
    _check_slots(program)
    for number, code in enumerate(program.code):
        _check_ends(program, code)
        _check_run(program, number, code)


def _check_slots(program: ProgramData) -> None:
    """Slots are alike but for addresses; no input reaches into the image or another input."""
    if not 1 <= len(program.slots) <= MAX_SLOTS:
        raise ProgramError(f"program: slots must be 1..{MAX_SLOTS}, not {len(program.slots)}")
    for slot in program.slots[1:]:
        for one, first in ((slot.inputs, program.inputs), (slot.outputs, program.outputs)):
            if _unplaced(one) != _unplaced(first):
                raise ProgramError("program: slots must have the same inputs and outputs")
    taken = _image_words(program)
    for number, slot in enumerate(program.slots):
        for tensor in slot.inputs:
            words = slice(tensor.address, tensor.address + tensor.words(program.config))
            if taken[words].any():
                raise ProgramError(
                    f"program: input {tensor.name} of slot {number} shares words with the image or "
                    "another input"
                )
            taken[words] = True


def _unplaced(tensors: Sequence[StoredTensor]) -> list[StoredTensor]:
    return [replace(tensor, address=0) for tensor in tensors]


def _image_words(program: ProgramData) -> NDArray[np.bool_]:
    """Which words of the scratchpad hold the image."""
    words = np.zeros(program.config.scratchpad_words, bool)
    count = len(program.image) // program.config.word_bytes
    words[program.load_address : program.load_address + count] = True
    return words


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


def _check_run(program: ProgramData, number: int, code: tuple[Instruction, ...]) -> None:
    """Follow a run in one slot, of which only the image and that slot's inputs are known."""
    config, slot = program.config, program.slots[number]
    image = _image_words(program)
    image_words = int(np.count_nonzero(image))
    image_end = program.load_address + image_words

    def read(addr: int, count: int) -> bytes:
        if not program.load_address <= addr <= addr + count <= image_end:
            raise RuleError("loads offsets that are not in the image")
        start = (addr - program.load_address) * config.word_bytes
        return program.image[start : start + count * config.word_bytes]

    rules = MachineRules(config, read)
    rules.define(program.load_address, image_words)
    for tensor in slot.inputs:
        rules.define(tensor.address, tensor.words(config))
    hosts = _host_words(program, number)
    where = f"slot {number}, " if len(program.slots) > 1 else ""
    for index, instruction in enumerate(code):
        try:
            rules.check(instruction)
            if isinstance(instruction, Store):
                _check_store(rules, instruction, image, hosts)
        except RuleError as error:
            raise ProgramError(f"{where}instruction {index} ({instruction}): {error}") from None
    for tensor in slot.outputs:
        try:
            rules.check_readable(tensor.address, tensor.words(config))
        except RuleError as error:
            raise ProgramError(f"{where}output {tensor.name}: {error}") from None


def _host_words(program: ProgramData, number: int) -> NDArray[np.bool_]:
    """Words that the host may write or read while a slot runs, or that it may want to keep."""
    words = np.zeros(program.config.scratchpad_words, bool)
    if len(program.slots) == 1:
        return words  # host and program take turns, and inputs may make room for what comes later
    others = program.slots[:number] + program.slots[number + 1 :]
    inputs = (tensor for slot in program.slots for tensor in slot.inputs)
    outputs = (tensor for slot in others for tensor in slot.outputs)
    for tensor in (*inputs, *outputs):
        words[tensor.address : tensor.address + tensor.words(program.config)] = True
    return words


def _check_store(
    rules: MachineRules, store: Store, image: NDArray[np.bool_], hosts: NDArray[np.bool_]
) -> None:
    addrs = rules.pixel_words(store.start, store.count, store.base, store.digits)
    if image[addrs].any():
        raise RuleError("stores into the program's image")
    if hosts[addrs].any():
        raise RuleError("stores into inputs, or into another slot's outputs")
