"""Parts: a program that the scratchpad cannot hold at once, cut into runs that it can.

::

    0              load_address                                          scratchpad_words
    | activations | part 0: written once | region 0: parts 1, 3 .. | region 1: parts 2, 4 .. |

A part is a run of its own: instructions that end in a SYNC that halts, and the constants that they
read. Accumulators, tables and settings survive from one run to the next, so that a cut may be
anywhere. While a part runs in one region, the host writes the next one into the other.

The first part is as large as it can be, as it is written once; regions are as small as pays, see
:func:`_region_words`.
"""

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count
from math import isqrt
from typing import Final

from mapping.errors import ScratchpadError
from mapping.program.data import Part
from mapping.program.rules import ADDRESS_SPACE
from mapping.scheduling.image import Image, NumberedConstants
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Diagonal, Instruction, Load, Matmul, Sync
from systolic.spec.timing import Machine, advance

TURN_BYTES: Final = 600
"""What a line could carry while the host waits for a RUN's answer: 2 ms at 3 Mbaud."""
SLACK: Final = 4
"""A cut may leave one such share of a region unused, if it costs the array less there."""


@dataclass(frozen=True)
class Step:
    """An instruction of a program that lies nowhere yet.

    Parameters
    ----------
    instruction : Instruction
        With anything in place of its constant's address.
    constant : bytes
        Words of the weights, parameters or entries that it reads; empty if it reads none.
    """

    instruction: Instruction
    constant: bytes

    @property
    def ends_layer(self) -> bool:
        """Whether it is a SYNC, which halts if a part ends here."""
        return isinstance(self.instruction, Sync)

    def at(self, address: int) -> Instruction:
        """The instruction, with its constant at an address."""
        match self.instruction:
            case Matmul() | Diagonal() if self.constant:
                return replace(self.instruction, weights=address % ADDRESS_SPACE)
            case Load():
                return replace(self.instruction, addr=address % ADDRESS_SPACE)
            case _:
                return self.instruction


@dataclass(frozen=True)
class Cut:
    """A program in parts.

    Parameters
    ----------
    parts : tuple of Part
        In order.
    image : bytes
        Their words, one after the other.
    layers : tuple of tuple of Instruction
        Instructions of each layer, with the SYNCs of the cuts in it.
    """

    parts: tuple[Part, ...]
    image: bytes
    layers: tuple[tuple[Instruction, ...], ...]


def steps_of(code: Sequence[Instruction], constants: NumberedConstants) -> list[Step]:
    """Instructions that name constants by number, with the constants themselves."""
    data, base = constants.data, constants.base

    def constant(instruction: Instruction) -> bytes:
        match instruction:
            case Matmul() | Diagonal() if instruction.weights >= base:
                return data[instruction.weights - base]
            case Load():
                return data[instruction.addr - base]
            case _:  # weights below are activations
                return b""

    return [Step(instruction, constant(instruction)) for instruction in code]


def cut_into_parts(layers: Sequence[Sequence[Step]], activations: int, config: ArrayConfig) -> Cut:
    """Cut a program and give its parts their places behind the activations.

    Parameters
    ----------
    layers : sequence of sequence of Step
        Each layer's steps; at least one layer, each ending in its only SYNC.
    activations : int
        Words of all tensors.
    config : ArrayConfig
        The array.

    Raises
    ------
    ScratchpadError
        If an instruction with what it reads does not fit two regions beside the activations.
    """
    steps = [step for layer in layers for step in layer]
    region = _region_words(steps, activations, config)
    cutter = _Cutter(steps, region // SLACK, config)
    first_region = _down(config.scratchpad_words, config) - 2 * region
    cutter.cut(activations, first_region - activations, stays=True)
    for number in count():
        if cutter.is_done:
            break
        cutter.cut(first_region + number % 2 * region, region)
    ends = list(accumulate(map(len, layers)))
    code: list[list[Instruction]] = [[] for _ in layers]
    for number, instruction in cutter.code:
        code[bisect(ends, number)].append(instruction)
    return Cut(tuple(cutter.parts), bytes(cutter.image), tuple(map(tuple, code)))


def _region_words(steps: Sequence[Step], activations: int, config: ArrayConfig) -> int:
    """Words of a region.

    Of a program that is D bytes too large, D and the bytes of the two regions are sent for every
    image, region by region, each with a turn: of regions of S bytes, ``(D + 2 S) / S`` times. That
    costs as much time as sending ``D + 2 S + (D / S + 2) * TURN_BYTES`` bytes, which is least for
    ``S = sqrt(D * TURN_BYTES / 2)``.
    """
    room = _down(config.scratchpad_words, config) - activations
    least = _up(max(_words([step], config) for step in steps), config)
    if 2 * least > room:
        missing = (2 * least - room) * config.word_bytes
        raise ScratchpadError(
            f"program: even in parts, of which two have to be there at a time, {2 * least} words "
            f"of instructions with what they read and {activations} of activations are more than "
            f"the scratchpad's {config.scratchpad_words}",
            missing,
        )
    excess_bytes = max(0, _words(steps, config) - room) * config.word_bytes
    wanted = isqrt(excess_bytes * TURN_BYTES // 2) // config.word_bytes
    region = max(_up(wanted, config), least)
    # A first part that cannot hold an instruction is none.
    return region if room - 2 * region >= least else _down(room // 2, config)


def _up(words: int, config: ArrayConfig) -> int:
    """Next number of words at which constants may begin."""
    return -(-words // config.constant_step) * config.constant_step


def _down(words: int, config: ArrayConfig) -> int:
    return words // config.constant_step * config.constant_step


def _words(steps: Sequence[Step], config: ArrayConfig) -> int:
    """Words of a part of these steps."""
    constants = sum(map(len, {step.constant for step in steps})) // config.word_bytes
    instructions = len(steps) + (not steps[-1].ends_layer)
    return constants + instructions * config.instruction_words


def cut_costs(steps: Sequence[Step], config: ArrayConfig) -> list[int]:
    """Cycles that a cut behind each step costs the array.

    A SYNC takes its time and waits for the drain; what it waits, the next instruction that waits
    for the drain need not. At a layer's end there is a SYNC already.
    """
    states = list(accumulate(
        (step.instruction for step in steps),
        lambda machine, instruction: advance(machine, instruction, config),
        initial=Machine(),
    ))  # fmt: skip
    costs, saved = [0] * len(steps), 0
    for index in range(len(steps) - 1, 0, -1):
        before = states[index]
        waited = max(0, before.drain_free - (before.cycle + config.fetch_cycles - 1))
        if steps[index].instruction.waits:
            saved = waited
        if not steps[index - 1].ends_layer:
            costs[index - 1] = config.fetch_cycles + waited - saved
    return costs


class _Cutter:
    """Takes parts from the front of a program.

    Parameters
    ----------
    steps : sequence of Step
        The program.
    slack : int
        Words that a cut may leave unused to be where it costs the array less.
    config : ArrayConfig
        The array.
    """

    def __init__(self, steps: Sequence[Step], slack: int, config: ArrayConfig) -> None:
        self._steps, self._slack, self._config = steps, slack, config
        self._costs = cut_costs(steps, config)
        self._kept: dict[bytes, int] = {}
        self._first = 0
        self.code: list[tuple[int, Instruction]] = []
        """Instructions, each with the number of its step; a cut's SYNC has that before it."""
        self.parts: list[Part] = []
        self.image = bytearray()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self._first == len(self._steps)

    def cut(self, address: int, capacity: int, *, stays: bool = False) -> None:
        """Take the next part, of at most so many words; none if not one instruction fits.

        Constants of a part that stays are there for all parts behind it.
        """
        ends = list(self._fitting_ends(capacity))
        if not ends:
            return
        fullest = max(words for _, words in ends)
        near = [end for end, words in ends if words >= fullest - self._slack]
        places = self._place(min(near, key=lambda end: (self._costs[end - 1], -end)), address)
        if stays:
            self._kept = places

    def _fitting_ends(self, capacity: int) -> Iterator[tuple[int, int]]:
        """Every end of a part that fits, with the part's words."""
        config, seen, words = self._config, set(self._kept), 0
        for index in range(self._first, len(self._steps)):
            step = self._steps[index]
            words += config.instruction_words
            if step.constant not in seen:
                seen.add(step.constant)
                words += len(step.constant) // config.word_bytes
            if words > capacity:
                return
            total = words + (0 if step.ends_layer else config.instruction_words)
            if total <= capacity:
                yield index + 1, total

    def _place(self, end: int, address: int) -> dict[bytes, int]:
        """Make a part of all steps before ``end``; addresses of all constants in reach."""
        image, places = Image(self._config, base=address), dict(self._kept)
        steps = self._steps[self._first : end]
        for step in steps:
            if step.constant not in places:
                places[step.constant] = image.place(step.constant)
        code = [step.at(places[step.constant]) for step in steps]
        # In place of the layer's, if one ends here.
        code[len(steps) - steps[-1].ends_layer :] = [Sync(halt=1)]
        entry = image.instructions(code)
        self.parts.append(
            Part(
                start=len(self.image) // self._config.word_bytes,
                address=address,
                words=image.words,
                entry=entry,
                instructions=len(code),
            )
        )
        numbers = [min(number, end - 1) for number in range(self._first, self._first + len(code))]
        self.code += zip(numbers, code, strict=True)
        self.image += image.data
        self._first = end
        return places
