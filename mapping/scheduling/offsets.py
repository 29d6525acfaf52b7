"""The offset table: 256 entries that several patterns of pixel addresses share.

A pattern is a row of distances from its first pixel. It need not be loaded if any run of entries
has the same distances: the instruction's base makes up for the rest.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mapping.program.rules import ADDRESS_SPACE
from systolic.spec.geometry import OFFSET_DEPTH


class OffsetTable:
    """What the machine's offset table holds while a layer's instructions are made."""

    def __init__(self) -> None:
        self._entries = np.full(OFFSET_DEPTH, -1, np.int64)
        self._known: dict[bytes, int | None] = {}
        self._next = 0

    def find(self, pattern: NDArray[np.int64]) -> int | None:
        """First entry of a run that has the pattern's distances, or None.

        Parameters
        ----------
        pattern : ndarray of int64, shape (pixels,)
            Distances from the first pixel, modulo 2**16.
        """
        key = pattern.tobytes()
        if key not in self._known:
            windows = sliding_window_view(self._entries, len(pattern))
            distances = (windows - windows[:, :1]) % ADDRESS_SPACE
            matches = (distances == pattern).all(axis=1) & (windows >= 0).all(axis=1)
            self._known[key] = int(matches.argmax()) if matches.any() else None
        return self._known[key]

    def place(self, pattern: NDArray[np.int64]) -> int:
        """Give a pattern entries of its own, the oldest ones, and return the first."""
        if self._next + len(pattern) > OFFSET_DEPTH:
            self._next = 0
        start = self._next
        self._entries[start : start + len(pattern)] = pattern
        self._next = start + len(pattern)
        self._known.clear()
        return start

    def value(self, entry: int) -> int:
        """Content of an entry."""
        return int(self._entries[entry])
