"""Weight tiles: which (tap, channel block) of which source meets which output channels.

A tile is ``rows`` x ``cols`` weights. Tiles of zeros are left out, which is all that grouped and
depthwise convolution need; the first tile of each part of an output stays, to set the accumulators.
"""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.lowering.lower import LoweredLayer
from mapping.lowering.operand import ComputedWeights, Operand
from mapping.lowering.view import Piece
from mapping.lowering.weights import group_columns, split_parts
from systolic.spec.config import ArrayConfig


class KTile(NamedTuple):
    """One weight tile's work: ``tap`` and ``block`` of the layer's source ``source``.

    The tile is one of the layer's constant ones or, if ``value`` is not None, one of that stored
    tensor in weight form.
    """

    source: int
    dy: int
    dx: int
    block: int
    part: int
    tile: int
    value: int | None = None


@dataclass(frozen=True)
class NTile:
    """``cols`` output channels and the k-tiles that make them.

    Parameters
    ----------
    position : int
        Where the first one goes: row ``position % rows`` of block ``position // rows``.
    channel : int
        Whose requantization the first one takes.
    cols : int
        Number of output channels.
    k_tiles : tuple of KTile
        What is multiplied and summed, source by source.
    """

    position: int
    channel: int
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


def weights_read(layer: LoweredLayer) -> tuple[int, ...]:
    """Node ids of the tensors in weight form that a layer reads."""
    computed = (operand.computed for operand in layer.operands)
    return tuple(value for each in computed if each is not None for value in each.values)


def layer_reads(layer: LoweredLayer) -> tuple[int, ...]:
    """Node ids of all stored tensors a layer reads, those in weight form included."""
    activations = (source.piece.value for source in layer_sources(layer))
    return (*activations, *weights_read(layer))


def tile_weights(layer: LoweredLayer, config: ArrayConfig) -> LayerTiles:
    """Cut a layer's weights into tiles."""
    positions, first_source = list[_Positions](), 0
    for operand in layer.operands:
        positions.append(_Positions(operand, first_source, config.rows))
        first_source += len(operand.view.pieces)
    builder = _TileBuilder(layer, config)
    channels, filled = layer.out_shape[2], len(layer.requantization.bias)
    pixels = layer.out_shape[0] * layer.out_shape[1] if layer.is_flat else 1
    positions_per_pixel = -(-channels // config.rows) * config.rows
    for pixel, first in product(range(pixels), range(0, filled, config.cols)):
        last = min(first + config.cols, channels)
        found: list[Found] = []
        for operand, here in zip(layer.operands, positions, strict=True):
            if first >= channels:
                continue  # nothing is summed
            if operand.computed is not None:
                found.append(_computed_tiles(operand, operand.computed, here, first, config))
            elif layer.is_flat:
                values = np.arange(first, last) + pixel * channels
                found.append(_flat_tiles(operand, here, layer.parts, values, config))
            else:
                found.append(_operand_tiles(operand, here, layer.parts, (first, last), config))
        cols = min(config.cols, filled - first)
        builder.add(pixel * positions_per_pixel + first, first, cols, found)
    return builder.build()


Found = tuple[list[KTile], NDArray[np.int64]]
"""Tiles of one operand: their places, and the weights of constant ones (``tile`` not yet known)."""


class _TileBuilder:
    """Numbers the tiles of all n-tiles and sees to it that every part has at least one."""

    def __init__(self, layer: LoweredLayer, config: ArrayConfig) -> None:
        self.layer, self.config = layer, config
        self.n_tiles: list[NTile] = []
        self.weights: list[NDArray[np.int64]] = []
        self.count = 0

    def add(self, position: int, channel: int, cols: int, found: list[Found]) -> None:
        """Append an n-tile with the tiles found in each operand."""
        k_tiles: list[KTile] = []
        for places, weights in found:
            k_tiles += [
                place if place.value is not None else place._replace(tile=self.count + i)
                for i, place in enumerate(places)
            ]
            self._append(weights)
        for part in sorted(set(range(self.layer.parts)) - {k_tile.part for k_tile in k_tiles}):
            dy, dx = self.layer.operands[0].taps[0].tolist()
            k_tiles.append(KTile(0, dy, dx, 0, part, self.count))
            self._append(np.zeros((1, self.config.rows, self.config.cols), np.int64))
        self.n_tiles.append(NTile(position, channel, cols, tuple(k_tiles)))

    def _append(self, weights: NDArray[np.int64]) -> None:
        self.weights.append(weights)
        self.count += len(weights)

    def build(self) -> LayerTiles:
        """All tiles."""
        sources = layer_sources(self.layer)
        return LayerTiles(sources, tuple(self.n_tiles), np.concatenate(self.weights))


class _Positions:
    """Where an operand's channels lie when its pieces' blocks are counted through."""

    def __init__(self, operand: Operand, first_source: int, rows: int) -> None:
        self.blocks: list[tuple[int, int]] = []
        positions: list[NDArray[np.int64]] = []
        for index, piece in enumerate(operand.view.pieces):
            positions.append(np.arange(piece.channels) + len(self.blocks) * rows)
            blocks = -(-piece.channels // rows)
            self.blocks += [(first_source + index, block) for block in range(blocks)]
        self.of_channel: NDArray[np.int64] = np.concatenate(positions)


def _operand_tiles(
    operand: Operand,
    positions: _Positions,
    parts: int,
    channels: tuple[int, int],
    config: ArrayConfig,
) -> Found:
    """Non-zero tiles of one operand for a range of output channels, with their places."""
    start, dense = group_columns(operand.weights, operand.groups, *channels)
    position = positions.of_channel[start : start + dense.shape[1]]
    low, high = int(position[0]) // config.rows, int(position[-1]) // config.rows + 1
    padded = np.zeros((len(dense), (high - low) * config.rows, config.cols), np.int64)
    padded[:, position - low * config.rows, : dense.shape[2]] = dense
    split = split_parts(padded, parts, config.weight_bits)
    tiles = split.reshape(parts, len(dense), high - low, config.rows, config.cols)
    tiles = tiles.transpose(
        2, 1, 0, 3, 4
    )  # blocks outermost, so that a piece's tiles stay together
    places = np.argwhere(tiles.any(axis=(3, 4)))
    taps = operand.taps.tolist()
    k_tiles = [
        KTile(*_at(positions, low + block, taps[tap]), part, 0)
        for block, tap, part in places.tolist()
    ]
    return k_tiles, tiles[tuple(places.T)]


def _computed_tiles(
    operand: Operand,
    computed: ComputedWeights,
    positions: _Positions,
    first: int,
    config: ArrayConfig,
) -> Found:
    """Tiles of stored tensors for the output channels from ``first`` on."""
    tiles_per_block = -(-operand.weights.shape[2] // config.cols)
    (tap,) = operand.taps.tolist()
    k_tiles = [
        KTile(
            *_at(positions, block, tap), part, block * tiles_per_block + first // config.cols, value
        )
        for block in range(len(positions.blocks))
        for part, value in enumerate(computed.values)
    ]
    return k_tiles, np.zeros((0, config.rows, config.cols), np.int64)


def _flat_tiles(
    operand: Operand,
    positions: _Positions,
    parts: int,
    values: NDArray[np.int64],
    config: ArrayConfig,
) -> Found:
    """Tiles that pick the view's values of the given row-major indices, one per column."""
    pixel, channel = np.divmod(values, operand.view.channels)
    block, row = np.divmod(positions.of_channel[channel], config.rows)
    # The same words serve all values of one block of one pixel.
    words, where = np.unique(np.stack([block, pixel], axis=1), axis=0, return_inverse=True)
    picks = np.zeros((len(words), config.rows, config.cols), np.int64)
    picks[where.ravel(), row, np.arange(len(values))] = 1
    split = split_parts(picks, parts, config.weight_bits)
    tiles = split.swapaxes(0, 1).reshape(-1, config.rows, config.cols)
    taps = operand.taps.tolist()
    places = [
        KTile(*_at(positions, block, taps[pixel]), part, 0)
        for block, pixel in words.tolist()
        for part in range(parts)
    ]
    used: NDArray[np.bool_] = np.any(tiles != 0, axis=(1, 2))
    return [place for place, keep in zip(places, used, strict=True) if keep], tiles[used]


def _at(positions: _Positions, block: int, tap: list[int]) -> tuple[int, int, int, int]:
    source, block_of_source = positions.blocks[block]
    return source, tap[0], tap[1], block_of_source
