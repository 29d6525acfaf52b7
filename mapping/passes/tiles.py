"""Weight tiles: which (tap, channel block) of which source meets which output channels.

A tile is ``rows`` x ``cols`` weights. Tiles of zeros are left out, which is all that grouped and
depthwise convolution need; the first tile of each part of an output stays, to set the accumulators.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.passes.lower import LoweredLayer
from mapping.passes.operand import Operand
from mapping.passes.view import Piece
from mapping.passes.weights import group_columns, split_parts
from systolic.spec.config import ArrayConfig


class KTile(NamedTuple):
    """One weight tile's work: ``tap`` and ``block`` of the layer's source ``source``."""

    source: int
    dy: int
    dx: int
    block: int
    part: int
    tile: int


@dataclass(frozen=True)
class NTile:
    """``cols`` output channels from ``first`` on, and the k-tiles that make them."""

    first: int
    cols: int
    k_tiles: tuple[KTile, ...]


@dataclass(frozen=True)
class Source:
    """One stored tensor that a layer reads."""

    operand: Operand
    piece: Piece


@dataclass(frozen=True)
class LayerTiles:
    """All weight tiles of a layer.

    Parameters
    ----------
    sources : tuple of Source
        Stored tensors in the order of the k-tiles' ``source``.
    n_tiles : tuple of NTile
        In order of output channels.
    weights : ndarray of int64, shape (tiles, rows, cols)
        Parts of weights; the k-tiles' ``tile`` counts along the first axis.
    """

    sources: tuple[Source, ...]
    n_tiles: tuple[NTile, ...]
    weights: NDArray[np.int64]


def layer_sources(layer: LoweredLayer) -> tuple[Source, ...]:
    """Stored tensors a layer reads, operand by operand."""
    return tuple(
        Source(operand, piece) for operand in layer.operands for piece in operand.view.pieces
    )


def tile_weights(layer: LoweredLayer, config: ArrayConfig) -> LayerTiles:
    """Cut a layer's weights into tiles."""
    channels = layer.out_shape[2]
    slots, first_source = [], 0
    for operand in layer.operands:
        slots.append(_Slots(operand, first_source, config.rows))
        first_source += len(operand.view.pieces)
    n_tiles, tiles, count = [], [], 0
    for first in range(0, channels, config.cols):
        last = min(first + config.cols, channels)
        k_tiles: list[KTile] = []
        for operand, slot in zip(layer.operands, slots, strict=True):
            found, data = _operand_tiles(operand, slot, layer.parts, (first, last), config)
            k_tiles += [k_tile._replace(tile=count + i) for i, k_tile in enumerate(found)]
            tiles.append(data)
            count += len(data)
        missing = set(range(layer.parts)) - {k_tile.part for k_tile in k_tiles}
        for part in sorted(missing):
            dy, dx = layer.operands[0].taps[0].tolist()
            k_tiles.append(KTile(0, dy, dx, 0, part, count))
            tiles.append(np.zeros((1, config.rows, config.cols), np.int64))
            count += 1
        n_tiles.append(NTile(first, last - first, tuple(k_tiles)))
    return LayerTiles(layer_sources(layer), tuple(n_tiles), np.concatenate(tiles))


class _Slots:
    """Where an operand's channels lie when its pieces' blocks are counted through."""

    def __init__(self, operand: Operand, first_source: int, rows: int) -> None:
        self.blocks: list[tuple[int, int]] = []
        slots = []
        for index, piece in enumerate(operand.view.pieces):
            slots.append(np.arange(piece.channels) + len(self.blocks) * rows)
            blocks = -(-piece.channels // rows)
            self.blocks += [(first_source + index, block) for block in range(blocks)]
        self.of_channel = np.concatenate(slots)


def _operand_tiles(
    operand: Operand, slots: _Slots, parts: int, channels: tuple[int, int], config: ArrayConfig
) -> tuple[list[KTile], NDArray[np.int64]]:
    """Non-zero tiles of one operand for a range of output channels, with their places."""
    start, dense = group_columns(operand.weights, operand.groups, *channels)
    slot = slots.of_channel[start : start + dense.shape[1]]
    low, high = int(slot[0]) // config.rows, int(slot[-1]) // config.rows + 1
    padded = np.zeros((len(dense), (high - low) * config.rows, config.cols), np.int64)
    padded[:, slot - low * config.rows, : dense.shape[2]] = dense
    split = split_parts(padded, parts, config.weight_bits)
    tiles = split.reshape(parts, len(dense), high - low, config.rows, config.cols)
    tiles = tiles.transpose(2, 1, 0, 3, 4)  # blocks outermost, so that a piece's tiles stay together
    places = np.argwhere(tiles.any(axis=(3, 4)))
    taps = operand.taps.tolist()
    k_tiles = [
        KTile(*_at(slots, low + block, taps[tap]), part, 0) for block, tap, part in places.tolist()
    ]
    return k_tiles, tiles[tuple(places.T)]


def _at(slots: _Slots, block: int, tap: list[int]) -> tuple[int, int, int, int]:
    source, block_of_source = slots.blocks[block]
    return source, tap[0], tap[1], block_of_source
