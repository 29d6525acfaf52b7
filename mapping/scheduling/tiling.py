"""Tile: which output pixels share one pass through the array.

An m-tile is any set of pixels: they reach the array through a table of offsets. The candidates are
rectangles (whose interior ones share a table) and runs in row-major order (which leave no rest).
:mod:`mapping.scheduling.schedule` takes the one that the cycle model likes best.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mapping.errors import UnsupportedError
from mapping.lowering.lower import LoweredLayer
from systolic.spec.config import ArrayConfig
from systolic.spec.geometry import OFFSET_DEPTH

PixelTile = NDArray[np.int64]
"""Row-major indices of output pixels (after pooling)."""

TAIL_DIVISORS: Final = ((2,), (3,), (4,), (8,), (2, 2), (3, 3), (4, 3), (3, 2), (4, 4), (8, 3))
"""Behind each cut of a last tile, one ``divisor``-th of what was left before it remains."""


@dataclass(frozen=True)
class Tiling:
    """How a layer's output pixels are cut.

    Parameters
    ----------
    tiles : tuple of ndarray of int64
        Pixels of each m-tile.
    tail : tuple of ndarray of int64
        The last m-tile once more, cut for the last n-tile, so that the drain that nothing runs
        beside is a short one.
    """

    tiles: tuple[PixelTile, ...]
    tail: tuple[PixelTile, ...]

    def __str__(self) -> str:
        sizes = [len(tile) for tile in self.tiles]
        shown = f"{len(sizes)} x {sizes[0]}" if len(set(sizes)) == 1 else "+".join(map(str, sizes))
        tail = "+".join(str(len(tile)) for tile in self.tail)
        return f"m {shown}" + (f", tail {tail}" if len(self.tail) > 1 else "")


def pixel_capacity(layer: LoweredLayer, config: ArrayConfig) -> int:
    """Output pixels (after pooling) that fit one pass.

    Raises
    ------
    UnsupportedError
        If not even one does.
    """
    pool = layer.epilogue.pool
    window = pool.kernel[0] * pool.kernel[1] if pool else 1
    accumulators = min(config.acc_depth // layer.parts, OFFSET_DEPTH)
    capacity = min(accumulators // window, config.drain_pixels)
    if capacity < 1:
        raise UnsupportedError(
            f"{layer.name}: one pixel needs {window * layer.parts} accumulators "
            f"({window} window elements, {layer.parts} weight parts), not more than "
            f"{config.acc_depth} (acc_depth)"
        )
    return capacity


def candidate_tilings(height: int, width: int, capacity: int) -> list[tuple[PixelTile, ...]]:
    """Ways to cut an image into tiles of at most ``capacity`` pixels, without duplicates.

    Examples
    --------
    >>> [[len(tile) for tile in tiles] for tiles in candidate_tilings(4, 6, 16)]
    [[12, 12], [8, 8, 8], [12, 12], [16, 8]]
    """
    shapes = [
        _rectangles(height, width, rows, cols)
        for rows, cols in _rectangle_shapes(height, width, capacity)
    ]
    pixels = height * width
    lengths = {capacity, -(-pixels // -(-pixels // capacity))}
    runs = [_runs(pixels, length) for length in sorted(lengths)]
    unique: dict[tuple[bytes, ...], tuple[PixelTile, ...]] = {}
    for tiles in (*shapes, *runs):
        unique.setdefault(tuple(tile.tobytes() for tile in tiles), tiles)
    return list(unique.values())


def _rectangle_shapes(height: int, width: int, capacity: int) -> set[tuple[int, int]]:
    shapes: set[tuple[int, int]] = set()
    for splits in range(1, 5):
        cols = -(-width // splits)
        if cols > capacity:
            continue
        rows = min(height, capacity // cols)
        shapes |= {(rows, cols), (-(-height // -(-height // rows)), cols)}
    if not shapes:
        splits = -(-width // capacity)
        shapes = {(1, capacity), (1, -(-width // splits))}
    return shapes


def _rectangles(height: int, width: int, rows: int, cols: int) -> tuple[PixelTile, ...]:
    index = np.arange(height * width).reshape(height, width)
    return tuple(
        index[y : y + rows, x : x + cols].ravel()
        for y in range(0, height, rows)
        for x in range(0, width, cols)
    )


def _runs(pixels: int, length: int) -> tuple[PixelTile, ...]:
    index = np.arange(pixels)
    return tuple(index[start : start + length] for start in range(0, pixels, length))


def candidate_tails(tile: PixelTile) -> list[tuple[PixelTile, ...]]:
    """Ways to cut the last m-tile, the whole one first.

    Examples
    --------
    >>> [[len(part) for part in tail] for tail in candidate_tails(np.arange(6))]
    [[6], [3, 3], [4, 2], [5, 1], [3, 2, 1], [4, 1, 1]]
    """
    tails: dict[tuple[int, ...], tuple[PixelTile, ...]] = {(): (tile,)}
    for divisors in TAIL_DIVISORS:
        cuts, left = list[int](), len(tile)
        for divisor in divisors:
            left //= divisor
            cuts.append(len(tile) - left)
        if left > 0:
            tails.setdefault(tuple(cuts), tuple(np.split(tile, cuts)))
    return list(tails.values())
