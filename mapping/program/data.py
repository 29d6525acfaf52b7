"""What a compiled network consists of: words to write, where to start, what comes out."""

from dataclasses import dataclass
from functools import cached_property

from mapping.errors import ProgramError
from mapping.program.tensor import StoredTensor
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Instruction, InstructionError, decode


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
    load_address, entry : int
        First word of the image, and of the first instruction.
    instruction_count : int
        Number of instructions from ``entry`` on.
    layers : tuple of LayerRecord
        In order of execution; each ends in a SYNC.
    inputs, outputs : tuple of StoredTensor
        In the order of the graph's inputs and outputs.
    tensors : tuple of StoredTensor
        All stored tensors; only with ``keep_all`` do they all survive to the end.
    """

    name: str
    config: ArrayConfig
    image: bytes
    load_address: int
    entry: int
    instruction_count: int
    layers: tuple[LayerRecord, ...]
    inputs: tuple[StoredTensor, ...]
    outputs: tuple[StoredTensor, ...]
    tensors: tuple[StoredTensor, ...]

    @cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        """Decoded instructions.

        Raises
        ------
        ProgramError
            If the image does not hold them.
        """
        stride = self.config.instruction_words * self.config.word_bytes
        start = (self.entry - self.load_address) * self.config.word_bytes
        code = self.image[start : start + self.instruction_count * stride]
        if start < 0 or len(code) != self.instruction_count * stride:
            raise ProgramError(
                f"program: {self.instruction_count} instructions at word {self.entry} do not lie "
                "in the image"
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
