"""Tiles with one weight per row, as depthwise convolution has them, kept without their zeros.

Tile after tile of a block of input channels holds weights in another band of rows, so that one
weight per row makes as many tiles as there are bands: of 16 x 4, a quarter of the words in each of
a fourth of the tiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.scheduling.weight_tiles import KTile, LayerTiles
from systolic.spec.config import ArrayConfig


class Band(NamedTuple):
    """A tile's weights: those of rows ``band * cols ..`` of column ``column``."""

    column: int
    band: int


@dataclass(frozen=True)
class DiagonalTiles:
    """All tiles of a layer as bands of columns.

    Parameters
    ----------
    places : tuple of Diagonal
        By number of the tile.
    columns : ndarray of int64, shape (columns, rows)
        One weight per row.
    """

    places: tuple[Band, ...]
    columns: NDArray[np.int64]


def diagonal_tiles(tiles: LayerTiles, config: ArrayConfig) -> DiagonalTiles | None:
    """A layer's tiles without their zeros; None if one of them has more than a weight per row."""
    if not config.diagonal:
        return None
    count, cols = len(tiles.weights), np.arange(config.cols)
    by_band = tiles.weights.reshape(count, config.bands, config.cols, config.cols)
    diagonals = by_band[:, :, cols, cols]
    if np.count_nonzero(tiles.weights) != np.count_nonzero(diagonals):
        return None
    has_weights = diagonals.any(axis=2)
    if has_weights.sum(axis=1).max() > 1:
        return None
    bands: list[int] = has_weights.argmax(axis=1).tolist()
    columns = _Columns(config)
    k_tiles = (k_tile for n_tile in tiles.n_tiles for k_tile in n_tile.k_tiles)
    for k_tile in sorted(k_tiles, key=lambda k_tile: k_tile.tile):
        band = bands[k_tile.tile]
        columns.add(k_tile, band, diagonals[k_tile.tile, band])
    return DiagonalTiles(tuple(columns.places), np.stack(columns.weights).reshape(-1, config.rows))


class _Columns:
    """Puts the bands of what one word of activations is multiplied by into one column."""

    def __init__(self, config: ArrayConfig) -> None:
        self._config = config
        self._last: dict[Sequence[int], int] = {}
        self._taken: set[Band] = set()
        self.weights: list[NDArray[np.int64]] = []
        self.places: list[Band] = []

    def add(self, k_tile: KTile, band: int, weights: NDArray[np.int64]) -> None:
        """Place the next tile."""
        config, key = self._config, (*k_tile[:4],)
        place = Band(self._last.get(key, -1), band)
        if place.column < 0 or place in self._taken:
            place = Band(len(self.weights), band)
            self._last[key] = place.column
            self.weights.append(np.zeros((config.bands, config.cols), np.int64))
        self._taken.add(place)
        self.weights[place.column][band] = weights
        self.places.append(place)


def least_words(config: ArrayConfig) -> int:
    """Fewest words that each load must stream, for the next one to take other rows' weights."""
    return config.select_cycles - config.weight_cycles - config.fetch_cycles
