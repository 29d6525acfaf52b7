"""A compiled network with all that can be done to it; see :class:`Program`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.program.data import ProgramData
from mapping.program.file import load_program, save_program
from mapping.program.listing import program_lines
from mapping.program.verify import verify_program


@dataclass(frozen=True, kw_only=True)
class Program(ProgramData):
    """A network for one configuration; its fields are those of :class:`ProgramData`."""

    def pack_input(self, images: ArrayLike, index: int = 0) -> list[bytes]:
        """Words to write at ``inputs[index].address`` of any slot, for each image.

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
        """Values q of one image from the words at ``outputs[index].address`` of its slot."""
        return self.outputs[index].unpack(data, self.config)

    def listing(self) -> Iterator[str]:
        """Lines of readable text: tensors, layers, instructions."""
        return program_lines(self)

    def verify(self) -> None:
        """Prove that the machine's rules are kept; see :mod:`mapping.program.verify`.

        Raises
        ------
        ProgramError
            With the first instruction that breaks one.
        """
        verify_program(self)

    def save(self, path: str | Path) -> None:
        """Write the program file, whole or not at all; see :mod:`mapping.program.file`."""
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
        return load_program(Path(path), cls)
