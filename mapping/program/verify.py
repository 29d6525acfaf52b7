"""Proof that a program keeps the machine's rules and its own promises, without running it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from mapping.errors import ProgramError
from mapping.program.data import MAX_SLOTS, Part, ProgramData
from mapping.program.rules import MachineRules, RuleError
from mapping.program.tensor import StoredTensor
from systolic.spec.isa import Instruction, Store, Sync
from systolic.spec.timing import program_cycles


def verify_program(program: ProgramData) -> None:
    """Check every instruction, every address and the predicted cycles, slot by slot.

    The host is assumed to have written the image and the inputs of the slot that runs. Nothing else
    may be read before the run has written it, no store may reach into the image, every layer ends
    in a SYNC at the predicted cycle.

    Where there are two slots, no store may reach into any slot's inputs or the other's outputs
    either: whatever the host writes to or reads from the other slot meanwhile, the run neither
    changes nor sees it. Where there are parts, one may read no other's words but those of parts
    that stay, and it shares none with the next one, which is written meanwhile.

    Raises
    ------
    ProgramError
        With the first broken rule.
    """
    _check_parts(program)
    _check_slots(program)
    for number, code in enumerate(program.code):
        _check_ends(program, code)
        _check_run(program, number)


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


def _check_parts(program: ProgramData) -> None:
    """Parts have one slot, which begins in the first of them; neighbours share no words."""
    if not program.parts:
        return
    if len(program.slots) > 1:
        raise ProgramError("program: in parts, it must have one slot")
    if program.entry != program.parts[0].entry:
        raise ProgramError("program: its slot must begin where its first part does")
    count = sum(part.instructions for part in program.parts)
    if program.instruction_count != count:
        raise ProgramError(
            f"program: instruction_count must be that of all parts, {count}, "
            f"not {program.instruction_count}"
        )
    for number, (one, other) in enumerate(pairwise(program.parts)):
        if _share(one, other):
            raise ProgramError(
                f"program: part {number + 1} is written while part {number} runs, but they share "
                "words"
            )


def _share(one: Part, other: Part) -> bool:
    return max(one.place.start, other.place.start) < min(one.place.stop, other.place.stop)


def _image_words(program: ProgramData) -> NDArray[np.bool_]:
    """Which words of the scratchpad hold the image, at any time."""
    words = np.zeros(program.config.scratchpad_words, bool)
    for part in program.runs(program.slots[0]):
        words[part.place.start : part.place.stop] = True
    return words


def _check_ends(program: ProgramData, instructions: tuple[Instruction, ...]) -> None:
    """Layers end in SYNCs at the predicted cycles; parts, and nothing else, in one that halts."""
    syncs = [
        index for index, instruction in enumerate(instructions) if isinstance(instruction, Sync)
    ]
    halts = [index for index in syncs if instructions[index] == Sync(halt=1)]
    runs = program.runs(program.slots[0])
    last = [end - 1 for end in accumulate(part.instructions for part in runs)]
    if halts != last:
        raise ProgramError(
            "program: the last instruction, and no other, must be a SYNC that halts"
            if len(runs) == 1
            else "program: every part's last instruction, and no other, must be a SYNC that halts"
        )
    ends = [end - 1 for end in accumulate(layer.instructions for layer in program.layers)]
    others = set(syncs).difference(ends)
    if program.layers and not (set(ends) <= set(syncs) and others <= set(last[:-1])):
        raise ProgramError("program: every layer must end in its only SYNC")
    marks = program_cycles(instructions, program.config)
    counted = [mark.cycle for index, mark in zip(syncs, marks, strict=True) if index in set(ends)]
    cycles = list(accumulate(layer.cycles for layer in program.layers))
    if program.layers and counted != cycles:
        raise ProgramError("program: the predicted cycles are not those of its instructions")


def _check_run(program: ProgramData, number: int) -> None:
    """Follow a run in one slot, of which only the image and that slot's inputs are known."""
    config, slot = program.config, program.slots[number]
    image, hosts = _image_words(program), _host_words(program, number)
    memory = _ImageMemory(program, image)
    rules = memory.rules
    for tensor in slot.inputs:
        rules.define(tensor.address, tensor.words(config))
    where = f"slot {number}, " if len(program.slots) > 1 else ""
    index = 0
    for part in program.runs(slot):
        memory.begin(part)
        for instruction in program.code_of(part):
            try:
                rules.check(instruction)
                if isinstance(instruction, Store):
                    _check_store(rules, instruction, image, hosts)
            except RuleError as error:
                raise ProgramError(f"{where}instruction {index} ({instruction}): {error}") from None
            index += 1
    for tensor in slot.outputs:
        try:
            rules.check_readable(tensor.address, tensor.words(config))
        except RuleError as error:
            raise ProgramError(f"{where}output {tensor.name}: {error}") from None


class _ImageMemory:
    """The image in the scratchpad, part by part, and the rules for who reads it.

    Parameters
    ----------
    program : ProgramData
        Whose image.
    image : ndarray of bool, shape (scratchpad_words,)
        Which words hold any of it.
    """

    def __init__(self, program: ProgramData, image: NDArray[np.bool_]) -> None:
        config = program.config
        self._program, self._image = program, image
        self._words = np.zeros((config.scratchpad_words, config.word_bytes), np.uint8)
        self.rules = MachineRules(config, self._read)
        for part in program.resident:
            self._write(part)

    def begin(self, part: Part) -> None:
        """A part begins: the host may be writing over all others that do not stay."""
        if part not in self._program.streamed:
            return
        for other in self._program.streamed:
            self.rules.forget(other.address, other.words)
        self._write(part)

    def _write(self, part: Part) -> None:
        words = np.frombuffer(self._program.words_of(part), np.uint8)
        self._words[part.place.start : part.place.stop] = words.reshape(part.words, -1)
        self.rules.define(part.address, part.words)

    def _read(self, addr: int, count: int) -> bytes:
        if not self._image[addr : addr + count].all():
            raise RuleError("loads offsets that are not in the image")
        return self._words[addr : addr + count].tobytes()


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
