"""The constant part of a program: weights, parameters, tables, instructions; each stored once."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Instruction
from systolic.spec.layout import (
    pack_instructions,
    pack_parameters,
    pack_units,
    pack_words,
    split_digits,
)


class Constants(Protocol):
    """Where a layer's constants go; every method returns addresses, in words."""

    def weights(self, tiles: NDArray[np.int64]) -> list[int]:
        """Place weight tiles of shape (tiles, rows, cols)."""
        ...

    def parameters(self, channels: Sequence[tuple[int, int, int]]) -> int:
        """Place (bias, multiplier, round) of channels."""
        ...

    def units(self, values: NDArray[np.int64]) -> int:
        """Place 16-bit offsets or table entries."""
        ...


class NoConstants:
    """Places nothing, at address 0: for schedules of which only the cycles are wanted."""

    def weights(self, tiles: NDArray[np.int64]) -> list[int]:
        """As :class:`Constants`."""
        return [0] * len(tiles)

    def parameters(self, channels: Sequence[tuple[int, int, int]]) -> int:
        """As :class:`Constants`."""
        return 0

    def units(self, values: NDArray[np.int64]) -> int:
        """As :class:`Constants`."""
        return 0


class Image:
    """Words from ``base`` on; identical data shares its words.

    Addresses may pass the end of the scratchpad while the image grows: the compiler says by how
    much, once everything is in.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    base : int
        Address of the first word.
    """

    def __init__(self, config: ArrayConfig, base: int) -> None:
        self._config = config
        self._data = bytearray()
        self._places: dict[bytes, int] = {}
        self.base = base

    @property
    def words(self) -> int:
        """Words so far."""
        return len(self._data) // self._config.word_bytes

    @property
    def data(self) -> bytes:
        """All words."""
        return bytes(self._data)

    def weights(self, tiles: NDArray[np.int64]) -> list[int]:
        """As :class:`Constants`."""
        config = self._config
        digits = split_digits(tiles, config.weight_digits, config.digit_bits)
        data = pack_words(digits.transpose(1, 3, 0, 2), config)
        length = config.weight_words * config.word_bytes
        return [self._place(data[i : i + length]) for i in range(0, len(data), length)]

    def parameters(self, channels: Sequence[tuple[int, int, int]]) -> int:
        """As :class:`Constants`."""
        return self._place(pack_parameters(channels, self._config))

    def units(self, values: NDArray[np.int64]) -> int:
        """As :class:`Constants`."""
        return self._place(pack_units(values.tolist(), self._config))

    def instructions(self, program: Sequence[Instruction]) -> int:
        """Append a program and return its entry."""
        entry = self.base + self.words
        codes = [instruction.encode() for instruction in program]
        self._data += pack_instructions(codes, self._config)
        return entry

    def _place(self, data: bytes) -> int:
        if data not in self._places:
            self._places[data] = self.base + self.words
            self._data += data
        return self._places[data]
