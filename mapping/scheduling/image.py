"""The constant part of a program: weights, parameters, tables, instructions; each stored once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mapping.errors import UnsupportedError
from mapping.program.rules import ADDRESS_SPACE
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Instruction
from systolic.spec.layout import (
    pack_diagonal,
    pack_instructions,
    pack_parameters,
    pack_thresholds,
    pack_units,
    pack_words,
    split_digits,
)


class Constants(Protocol):
    """Where a layer's constants go; every method returns addresses, in words."""

    def weights(self, tiles: NDArray[np.int64]) -> list[int]:
        """Place weight tiles of shape (tiles, rows, cols)."""
        ...

    def diagonals(self, columns: NDArray[np.int64]) -> list[int]:
        """Place one weight per row, of shape (columns, rows)."""
        ...

    def parameters(self, channels: Sequence[tuple[int, int, int]]) -> int:
        """Place (bias, multiplier, round) of channels."""
        ...

    def thresholds(self, entries: Sequence[tuple[int, bool]]) -> int:
        """Place (bias, is_inverted) of nodes."""
        ...

    def units(self, values: NDArray[np.int64]) -> int:
        """Place 16-bit offsets or table entries."""
        ...


class NoConstants:
    """Places nothing, at address 0: for schedules of which only the cycles are wanted."""

    def weights(self, tiles: NDArray[np.int64]) -> list[int]:
        """As :class:`Constants`."""
        return [0] * len(tiles)

    def diagonals(self, columns: NDArray[np.int64]) -> list[int]:
        """As :class:`Constants`."""
        return [0] * len(columns)

    def parameters(self, channels: Sequence[tuple[int, int, int]]) -> int:
        """As :class:`Constants`."""
        return 0

    def thresholds(self, entries: Sequence[tuple[int, bool]]) -> int:
        """As :class:`Constants`."""
        return 0

    def units(self, values: NDArray[np.int64]) -> int:
        """As :class:`Constants`."""
        return 0


class _Packing(ABC):
    """Constants packed into words; a subclass places them."""

    def __init__(self, config: ArrayConfig) -> None:
        self._config = config

    def weights(self, tiles: NDArray[np.int64]) -> list[int]:
        """As :class:`Constants`."""
        config = self._config
        digits = split_digits(tiles, config.weight_digits, config.digit_bits)
        data = pack_words(digits.transpose(1, 3, 0, 2), config)
        length = config.weight_words * config.word_bytes
        return [self._place(data[i : i + length]) for i in range(0, len(data), length)]

    def diagonals(self, columns: NDArray[np.int64]) -> list[int]:
        """As :class:`Constants`."""
        return [self._place(pack_diagonal(column, self._config)) for column in columns]

    def parameters(self, channels: Sequence[tuple[int, int, int]]) -> int:
        """As :class:`Constants`."""
        return self._place(pack_parameters(channels, self._config))

    def thresholds(self, entries: Sequence[tuple[int, bool]]) -> int:
        """As :class:`Constants`."""
        return self.place(pack_thresholds(entries, self._config))

    def units(self, values: NDArray[np.int64]) -> int:
        """As :class:`Constants`."""
        return self._place(pack_units(values.tolist(), self._config))

    def activations(self, words: bytes) -> int:
        """Place a tensor of constant activations, already packed."""
        return self._place(words)

    def _place(self, data: bytes) -> int:
        """Place words, filled up so that what comes behind them lies as constants have to."""
        step = self._config.constant_step * self._config.word_bytes
        return self.place(data + bytes(-len(data) % step))

    @abstractmethod
    def place(self, data: bytes) -> int:
        """Place whole words; identical data has one place."""
        ...


class Image(_Packing):
    """Words from ``base`` on; identical data shares its words.

    Addresses may pass the end of the scratchpad while the image grows: the compiler says by how
    much, once everything is in.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    base : int
        Address of the first word, a multiple of ``config.constant_step``.
    """

    def __init__(self, config: ArrayConfig, base: int) -> None:
        super().__init__(config)
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

    def instructions(self, program: Sequence[Instruction]) -> int:
        """Append a program and return its entry."""
        entry = self.base + self.words
        codes = [instruction.encode() for instruction in program]
        self._data += pack_instructions(codes, self._config)
        return entry

    def place(self, data: bytes) -> int:
        """As :class:`_Packing`."""
        if data not in self._places:
            self._places[data] = self.base + self.words
            self._data += data
        return self._places[data]


class NumberedConstants(_Packing):
    """Constants that lie nowhere yet: instead of an address, each has a number.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    base : int
        First number: the words below it are activations.
    """

    def __init__(self, config: ArrayConfig, base: int) -> None:
        super().__init__(config)
        self._numbers: dict[bytes, int] = {}
        self.base = base

    @property
    def data(self) -> list[bytes]:
        """Words of every constant, by number."""
        return list(self._numbers)

    def place(self, data: bytes) -> int:
        """As :class:`_Packing`.

        Raises
        ------
        UnsupportedError
            If there are more constants than an instruction can tell apart.
        """
        number = self.base + self._numbers.setdefault(data, len(self._numbers))
        if number >= ADDRESS_SPACE:
            limit = ADDRESS_SPACE - self.base
            raise UnsupportedError(f"a layer has more than {limit} different constants")
        return number
