"""Words of a memory of a running model."""

import ctypes

from sim.compiled.build import MemoryInfo
from sim.compiled.ports import WORD_BITS

__all__ = ["MemoryView"]


class MemoryView:
    """Words of a memory of a model, read and written in place; a sequence of unsigned integers.

    Parameters
    ----------
    info : MemoryInfo
        Its shape.
    address : int
        Where it lies.
    owner : object
        What keeps that place alive.
    """

    def __init__(self, info: MemoryInfo, address: int, owner: object) -> None:
        self._info = info
        self._owner = owner
        self._bytes = max(1, -(-info.width // WORD_BITS)) * info.cell_bits // 8
        kind = ctypes.c_uint8 * (self._bytes * info.depth)
        self._data = kind.from_address(address)

    def __len__(self) -> int:
        return self._info.depth

    def _place(self, index: int) -> int:
        if not 0 <= index < self._info.depth:
            raise IndexError(
                f"memory {self._info.name} has {self._info.depth} words, none at {index}"
            )
        return index * self._bytes

    def __getitem__(self, index: int) -> int:
        start = self._place(index)
        return int.from_bytes(bytes(self._data[start : start + self._bytes]), "little")

    def __setitem__(self, index: int, value: int) -> None:
        if not 0 <= value < 1 << self._info.width:
            raise ValueError(
                f"memory {self._info.name} holds words of {self._info.width} bits, not {value}"
            )
        start = self._place(index)
        self._data[start : start + self._bytes] = value.to_bytes(self._bytes, "little")
