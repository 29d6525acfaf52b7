"""Requantization parameters: loads of at most 256 channels, shared by n-tiles that are alike."""

from dataclasses import dataclass
from itertools import groupby

from mapping.lowering.lower import Requantization
from mapping.scheduling.weight_tiles import NTile
from systolic.spec.config import ArrayConfig
from systolic.spec.geometry import OFFSET_DEPTH

Channel = tuple[int, int, int]


@dataclass(frozen=True)
class ParameterChunk:
    """Channels loaded together, and the output tiles that run while they are there.

    Parameters
    ----------
    channels : tuple of (bias, multiplier, round)
        What is loaded, from entry 0 on.
    groups : tuple of tuple of (NTile, int)
        For each run of n-tiles that fills whole blocks: the tiles, each with its first entry.
    """

    channels: tuple[Channel, ...]
    groups: tuple[tuple[tuple[NTile, int], ...], ...]


def drained_cols(tile: NTile, config: ArrayConfig) -> int:
    """Columns that a DRAIN of this tile takes: whole groups, the last perhaps without a use."""
    return -(-tile.cols // config.out_cols) * config.out_cols


def parameter_chunks(
    requantization: Requantization, n_tiles: tuple[NTile, ...], config: ArrayConfig
) -> tuple[ParameterChunk, ...]:
    """Distribute n-tiles over as few loads as needed, in order."""
    rows = list(
        zip(
            requantization.bias.tolist(),
            requantization.multiplier.tolist(),
            requantization.round_constant.tolist(),
            strict=True,
        )
    )
    chunks: list[ParameterChunk] = []
    builder = _ChunkBuilder(config.channel_step)
    for _, tiles in groupby(n_tiles, lambda tile: tile.position // config.rows):
        group = tuple(tiles)
        wanted = [_wanted(rows, tile, config) for tile in group]
        if builder.groups and not builder.has_room(wanted):
            chunks.append(builder.build())
            builder = _ChunkBuilder(config.channel_step)
        builder.add(group, wanted)
    return (*chunks, builder.build())


def _wanted(rows: list[Channel], tile: NTile, config: ArrayConfig) -> tuple[Channel, ...]:
    """Parameters of a tile's channels; a column without a use takes those of the last."""
    channels = rows[tile.channel : tile.channel + tile.cols]
    return (*channels, *channels[-1:] * (drained_cols(tile, config) - tile.cols))


class _ChunkBuilder:
    def __init__(self, step: int) -> None:
        self.step = step
        self.channels: list[Channel] = []
        self.starts: dict[tuple[Channel, ...], int] = {}
        self.groups: list[tuple[tuple[NTile, int], ...]] = []

    def has_room(self, wanted: list[tuple[Channel, ...]]) -> bool:
        """Whether a group's channels still fit."""
        new = {key for key in wanted if key not in self.starts}
        return -(-len(self.channels) // self.step) + len(new) <= OFFSET_DEPTH // self.step

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
