"""A compiled network: what to write into the scratchpad, where to start, what comes out."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
class Program:
    """A network for one configuration.

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

    def pack_input(self, images: ArrayLike, index: int = 0) -> list[bytes]:
        """Words to write at ``inputs[index].address``, for each image.

        Parameters
        ----------
        images : array of int, shape (n, height, width, channels) or (n, features)
            Values q of the input's type.
        index : int
            Which input.

        Raises
        ------
        ValueError
            If shape or values do not fit the input.
        """
        return self.inputs[index].pack(images, self.config)

    def unpack_output(self, data: bytes, index: int = 0) -> NDArray[np.int64]:
        """Values q of one image from the words at ``outputs[index].address``."""
        return self.outputs[index].unpack(data, self.config)

    def listing(self) -> Iterator[str]:
        """Lines of readable text: tensors, layers, instructions."""
        from mapping.program.listing import program_lines

        return program_lines(self)

    def verify(self) -> None:
        """Prove that every instruction keeps the machine's rules; see :mod:`mapping.program.verify`.

        Raises
        ------
        ProgramError
            With the first instruction that breaks one.
        """
        from mapping.program.verify import verify_program

        verify_program(self)

    def save(self, path: str | Path) -> None:
        """Write the program file, whole or not at all; see :mod:`mapping.program.file`."""
        from mapping.program.file import save_program

        save_program(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Program":
        """Read a program file.

        Raises
        ------
        ProgramError
            If the file is foreign, damaged, cut off, from the future or of a hostile size.
        OSError
            If it cannot be read.
        """
        from mapping.program.file import load_program

        return load_program(Path(path))
