"""Requantization parameters: loads of what the memory holds, shared by n-tiles that are alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mapping.lowering.requantization import Requantization, ThresholdSearch
from mapping.scheduling.weight_tiles import NTile
from systolic.spec.config import ArrayConfig
from systolic.spec.geometry import OFFSET_DEPTH

Channel = tuple[Any, ...]
"""One channel's of :class:`Requantization` or :class:`ThresholdSearch`."""


@dataclass(frozen=True)
class ParameterChunk:
    """Channels loaded together, and the output tiles that run while they are there.

    Parameters
    ----------
    channels : tuple of tuple
        What is loaded, from channel 0 on.
    groups : tuple of tuple of (NTile, int)
        For each run of n-tiles that fills whole blocks: the tiles, each with its first channel.
    """

    channels: tuple[Channel, ...]
    groups: tuple[tuple[tuple[NTile, int], ...], ...]


def drained_cols(tile: NTile, config: ArrayConfig) -> int:
    """Columns that a DRAIN of this tile takes: whole groups, the last perhaps without a use."""
    return -(-tile.cols // config.out_cols) * config.out_cols


def parameter_chunks(
    requantization: Requantization | ThresholdSearch,
    n_tiles: tuple[NTile, ...],
    config: ArrayConfig,
) -> tuple[ParameterChunk, ...]:
    """Distribute n-tiles over as few loads as needed, in order."""
    rows = requantization.channels
    is_search = isinstance(requantization, ThresholdSearch)
    room = config.threshold_channels if is_search else OFFSET_DEPTH
    chunks: list[ParameterChunk] = []
    builder = _ChunkBuilder(config.channel_step, room)
    for _, tiles in groupby(n_tiles, lambda tile: tile.position // config.rows):
        group = tuple(tiles)
        wanted = [_wanted(rows, tile, config) for tile in group]
        if builder.groups and not builder.has_room(wanted):
            chunks.append(builder.build())
            builder = _ChunkBuilder(config.channel_step, room)
        builder.add(group, wanted)
    return (*chunks, builder.build())


def _wanted(rows: Sequence[Channel], tile: NTile, config: ArrayConfig) -> tuple[Channel, ...]:
    """Parameters of a tile's channels; a column without a use takes those of the last."""
    channels = tuple(rows[tile.channel : tile.channel + tile.cols])
    return (*channels, *channels[-1:] * (drained_cols(tile, config) - tile.cols))


class _ChunkBuilder:
    def __init__(self, step: int, room: int) -> None:
        self.step, self.room = step, room
        self.channels: list[Channel] = []
        self.starts: dict[tuple[Channel, ...], int] = {}
        self.groups: list[tuple[tuple[NTile, int], ...]] = []

    def has_room(self, wanted: list[tuple[Channel, ...]]) -> bool:
        """Whether a group's channels still fit."""
        new = {key for key in wanted if key not in self.starts}
        return -(-len(self.channels) // self.step) + len(new) <= self.room // self.step

    def add(self, group: tuple[NTile, ...], wanted: list[tuple[Channel, ...]]) -> None:
        """Append a group, sharing entries with tiles that have the same parameters."""
        for key in wanted:
            if key not in self.starts:
                # Entries between tiles are loaded, but never used.
                self.channels += key[:1] * (-len(self.channels) % self.step)
                self.starts[key] = len(self.channels)
                self.channels += key
        placed = zip(group, (self.starts[key] for key in wanted), strict=True)
        self.groups.append(tuple(placed))

    def build(self) -> ParameterChunk:
        """The finished chunk."""
        return ParameterChunk(tuple(self.channels), tuple(self.groups))
