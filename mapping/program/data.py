"""What a compiled network consists of: words to write, where to start, what comes out."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from mapping.errors import ProgramError
from mapping.program.tensor import StoredTensor
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Instruction, InstructionError, decode

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
class ProgramData:
    """A network for one configuration: the content of a program file.

    Parameters
    ----------
    name : str
        Name of the network.
    config : ArrayConfig
        The array it was made for.
    image : bytes
        Words to write at ``load_address`` once.
    load_address : int
        First word of the image.
    instruction_count : int
        Number of instructions of each slot, from its ``entry`` on.
    slots : tuple of Slot
        One or two.
    slot_deficit_bytes : int
        What the scratchpad lacks for a second slot; 0 if there is one, or it was not asked for.
    layers : tuple of LayerRecord
        In order of execution; each ends in a SYNC.
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

    @cached_property
    def code(self) -> tuple[tuple[Instruction, ...], ...]:
        """Decoded instructions of each slot.

        Raises
        ------
        ProgramError
            If the image does not hold them.
        """
        return tuple(self._decode(slot.entry) for slot in self.slots)

    def _decode(self, entry: int) -> tuple[Instruction, ...]:
        stride = self.config.instruction_words * self.config.word_bytes
        start = (entry - self.load_address) * self.config.word_bytes
        code = self.image[start : start + self.instruction_count * stride]
        if start < 0 or len(code) != self.instruction_count * stride:
            raise ProgramError(
                f"program: {self.instruction_count} instructions at word {entry} do not lie in the "
                "image"
            )
        words = [code[i : i + 8] for i in range(0, len(code), stride)]
        try:
            return tuple(decode(int.from_bytes(word, "little")) for word in words)
        except InstructionError as error:
            raise ProgramError(f"program: {error}") from None

    @property
    def cycles(self) -> int:
        """Predicted cycles of one image."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of one image."""
        return sum(layer.macs for layer in self.layers)
