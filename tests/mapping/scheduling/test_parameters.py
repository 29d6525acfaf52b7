"""Parameter loads: every channel's parameters are there while its tile runs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mapping.lowering.lower import Requantization
from mapping.scheduling.parameters import parameter_chunks
from mapping.scheduling.weight_tiles import NTile
from systolic.spec.config import ArrayConfig
from systolic.spec.rounding import Rounding


@given(
    channels=st.integers(1, 700),
    kinds=st.integers(1, 700),
    shape=st.sampled_from([(16, 4), (16, 16), (4, 16), (8, 1), (64, 32)]),
)
def test_every_channel_finds_its_parameters(
    channels: int, kinds: int, shape: tuple[int, int]
) -> None:
    config = ArrayConfig(rows=shape[0], cols=shape[1])
    kind = np.arange(channels) % kinds
    requantization = Requantization(kind, kind + 1, kind + 2, Rounding.TFLITE, 0)
    n_tiles = tuple(
        NTile(first, first, min(config.cols, channels - first), ())
        for first in range(0, channels, config.cols)
    )
    seen = []
    for chunk in parameter_chunks(requantization, n_tiles, config):
        assert len(chunk.channels) <= 256
        for group in chunk.groups:
            assert len({n_tile.position // config.rows for n_tile, _ in group}) == 1
            for n_tile, start in group:
                seen.append(n_tile.position)
                for column in range(n_tile.cols):
                    value = int(kind[n_tile.channel + column])
                    assert chunk.channels[start + column] == (value, value + 1, value + 2)
    assert seen == [n_tile.position for n_tile in n_tiles]
