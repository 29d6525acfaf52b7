"""What a compiled network consists of: words to write, where to start, what comes out."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain
from typing import Final

from mapping.errors import ProgramError
from mapping.program.tensor import StoredTensor
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Instruction, InstructionError, Sync, decode

MAX_SLOTS: Final = 2
"""One runs, the other is filled or read: a third would wait."""


@dataclass(frozen=True, kw_only=True)
class LayerRecord:
    """One layer of a program: what it is and what it will take.

    Parameters
    ----------
    name, op : str
        Name, and the kinds of the nodes that were fused.
    output : int
        Node id of what it stores.
    in_shapes : tuple of tuple of int
        Shapes of the stored tensors it reads.
    out_shape : tuple of int
        (height, width, channels) of what it stores.
    macs : int
        Useful multiply-accumulates.
    instructions : int
        Number of instructions, the SYNC included.
    cycles : int
        Predicted cycles.
    busy_cycles : int
        Those in which the array is given activations.
    utilisation : float
        ``macs / (cycles * MACs per cycle)``, with MACs per cycle ``rows * cols / digits``.
    bound : str
        What most cycles go to: array, weights, requantizer, store or setup.
    tiling : str
        The chosen m-tiles.
    pruned_inputs, pruned_outputs : int
        Channels of what it reads and of what it stores that pruning has removed.
    """

    name: str
    op: str
    output: int
    in_shapes: tuple[tuple[int, ...], ...]
    out_shape: tuple[int, ...]
    macs: int
    instructions: int
    cycles: int
    busy_cycles: int
    utilisation: float
    bound: str
    tiling: str
    pruned_inputs: int
    pruned_outputs: int

    @property
    def pruned_text(self) -> str:
        """How many channels pruning has removed, such as ``4 in, 8 out``; empty if none."""
        counts = {"in": self.pruned_inputs, "out": self.pruned_outputs}
        return ", ".join(f"{count} {side}" for side, count in counts.items() if count)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One place to run the network in, with code, inputs and outputs of its own.

    Slots do the same in the same cycles, and share weights, parameters, tables and intermediate
    tensors. Where there are two, a run touches neither inputs nor outputs of the other slot, and
    leaves its own inputs as they were: the host may write and read the other slot meanwhile.

    Parameters
    ----------
    entry : int
        Word of the first instruction.
    inputs, outputs : tuple of StoredTensor
        In the order of the graph's inputs and outputs.
    """

    entry: int
    inputs: tuple[StoredTensor, ...]
    outputs: tuple[StoredTensor, ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A run of its own within an inference: words, and instructions among them.

    Parameters
    ----------
    start : int
        Word of the program's image at which its words begin.
    address : int
        Word of the scratchpad at which they have to be.
    words : int
        Their number.
    entry : int
        Word of the first instruction.
    instructions : int
        Number of instructions, with the SYNC that halts.
    """

    start: int
    address: int
    words: int
    entry: int
    instructions: int

    @property
    def place(self) -> range:
        """Its words in the scratchpad."""
        return range(self.address, self.address + self.words)


@dataclass(frozen=True, kw_only=True)
class ProgramData:
    """A network for one configuration: the content of a program file.

    A program that the scratchpad cannot hold at once is *streamed*: it consists of parts that run
    one after the other, the host writing a part while the one before it runs; see
    :mod:`mapping.scheduling.parts`. Parts that share no words with another are written once.

    Parameters
    ----------
    name : str
        Name of the network.
    config : ArrayConfig
        The array it was made for.
    image : bytes
        Words to write at ``load_address`` once; of a streamed program, the words of all parts, one
        after the other.
    load_address : int
        First word of the image, or of all parts.
    instruction_count : int
        Number of instructions of each slot, from its ``entry`` on; of a streamed program, of all
        parts.
    slots : tuple of Slot
        One or two; one, of a streamed program, with the entry of its first part.
    parts : tuple of Part
        In order; none if the program is not streamed.
    slot_deficit_bytes : int
        What the scratchpad lacks for a second slot; 0 if there is one, or it was not asked for.
    layers : tuple of LayerRecord
        In order of execution; each ends in a SYNC. Where a part ends within a layer, the layer has
        that part's SYNC as well.
    tensors : tuple of StoredTensor
        All tensors of a run in the first slot; only with ``keep_all`` do they all survive to the
        end.
    """

    name: str
    config: ArrayConfig
    image: bytes
    load_address: int
    instruction_count: int
    slots: tuple[Slot, ...]
    parts: tuple[Part, ...]
    slot_deficit_bytes: int
    layers: tuple[LayerRecord, ...]
    tensors: tuple[StoredTensor, ...]

    @property
    def entry(self) -> int:
        """Entry of the first slot."""
        return self.slots[0].entry

    @property
    def inputs(self) -> tuple[StoredTensor, ...]:
        """Inputs of the first slot; those of the other differ in their addresses only."""
        return self.slots[0].inputs

    @property
    def outputs(self) -> tuple[StoredTensor, ...]:
        """Outputs of the first slot; those of the other differ in their addresses only."""
        return self.slots[0].outputs

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """Instructions of the first slot; see :attr:`code`."""
        return self.code[0]

    @property
    def is_streamed(self) -> bool:
        """Whether parts of it have to be written for every image."""
        return bool(self.parts)

    @property
    def transfers_overlap(self) -> bool:
        """Whether the host transfers most of what it has to while the array works."""
        return self.is_streamed or len(self.slots) > 1

    def runs(self, slot: Slot) -> tuple[Part, ...]:
        """What to run in a slot for one image, in order: its parts, or all of it at once."""
        if self.parts:
            return self.parts
        words = len(self.image) // self.config.word_bytes
        whole = Part(
            start=0,
            address=self.load_address,
            words=words,
            entry=slot.entry,
            instructions=self.instruction_count,
        )
        return (whole,)

    @cached_property
    def resident(self) -> tuple[Part, ...]:
        """What is written once."""
        if not self.parts:
            return self.runs(self.slots[0])
        changes = [0] * (self.config.scratchpad_words + 1)
        for part in self.parts:
            changes[part.place.start] += 1
            changes[part.place.stop] -= 1
        shared = [0, *accumulate(users > 1 for users in accumulate(changes))]
        return tuple(
            part for part in self.parts if shared[part.place.start] == shared[part.place.stop]
        )

    @cached_property
    def streamed(self) -> frozenset[Part]:
        """What is written for every image, each part before it runs."""
        return frozenset(self.parts).difference(self.resident)

    @property
    def streamed_bytes(self) -> int:
        """Bytes of what is written for every image, beside its inputs."""
        return sum(part.words for part in self.streamed) * self.config.word_bytes

    def words_of(self, part: Part) -> bytes:
        """Words of a part."""
        word_bytes = self.config.word_bytes
        return self.image[part.start * word_bytes : (part.start + part.words) * word_bytes]

    @cached_property
    def code(self) -> tuple[tuple[Instruction, ...], ...]:
        """Decoded instructions of each slot, of all parts one after the other.

        Raises
        ------
        ProgramError
            If the image does not hold them.
        """
        return tuple(
            tuple(chain.from_iterable(map(self.code_of, self.runs(slot)))) for slot in self.slots
        )

    def code_of(self, part: Part) -> tuple[Instruction, ...]:
        """Decoded instructions of a part; raises what :attr:`code` does."""
        stride = self.config.instruction_words * self.config.word_bytes
        start = (part.entry - part.address) * self.config.word_bytes
        code = self.words_of(part)[max(start, 0) :][: part.instructions * stride]
        if start < 0 or len(code) != part.instructions * stride:
            raise ProgramError(
                f"program: {part.instructions} instructions at word {part.entry} do not lie in the "
                "image"
            )
        words = [code[i : i + 8] for i in range(0, len(code), stride)]
        try:
            return tuple(decode(int.from_bytes(word, "little")) for word in words)
        except InstructionError as error:
            raise ProgramError(f"program: {error}") from None

    @cached_property
    def layer_stops(self) -> tuple[int, ...]:
        """Which of a run's SYNCs end layers, counted from 0; in a streamed program, not all do.

        Raises
        ------
        ProgramError
            If a layer does not end in a SYNC, or the last one's is not the last of all.
        """
        syncs = [i for i, code in enumerate(self.instructions, 1) if isinstance(code, Sync)]
        numbers = {end: number for number, end in enumerate(syncs)}
        ends = accumulate(layer.instructions for layer in self.layers)
        stops = tuple(numbers.get(end, -1) for end in ends)
        if self.layers and (-1 in stops or stops[-1] != len(syncs) - 1):
            raise ProgramError(
                "program: every layer must end in a SYNC, and the last one in the last"
            )
        return stops

    @property
    def cycles(self) -> int:
        """Predicted cycles of one image."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of one image."""
        return sum(layer.macs for layer in self.layers)
