"""Schedule: take the tiling that needs the fewest cycles, by the exact cycle model.

A layer starts with both engines idle (the layer before ended in a SYNC), so its cycles do not depend
on where it stands. Addresses do not matter either: candidates are made without constants.
"""

from collections.abc import Mapping, Sequence

from mapping.passes.emit import LayerEmitter
from mapping.passes.image import NoConstants
from mapping.passes.lower import LoweredLayer
from mapping.passes.tile import Tiling, candidate_tails, candidate_tilings, pixel_capacity
from mapping.passes.tiles import LayerTiles
from mapping.program.tensor import StoredTensor
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Instruction
from systolic.spec.timing import program_cycles


def layer_cycles(code: Sequence[Instruction], config: ArrayConfig) -> int:
    """Cycles of one layer's instructions, which end in its SYNC."""
    return program_cycles(code, config)[-1].cycle


def choose_tiling(
    layer: LoweredLayer,
    tiles: LayerTiles,
    tensors: Mapping[int, StoredTensor],
    config: ArrayConfig,
) -> tuple[Tiling, int]:
    """Best tiling of a layer and its cycles.

    First the m-tiles are chosen, then how the last of them is cut.

    Raises
    ------
    UnsupportedError
        If not even one pixel fits the accumulators.
    """
    emitter = LayerEmitter(layer, tiles, tensors, NoConstants(), config)

    def cycles(tiling: Tiling) -> int:
        return layer_cycles(emitter.emit(tiling), config)

    cuts = candidate_tilings(*layer.pixels, pixel_capacity(layer, config))
    tilings = [Tiling(tiles, (tiles[-1],)) for tiles in cuts]
    best = min(((cycles(tiling), i) for i, tiling in enumerate(tilings)))
    chosen = tilings[best[1]].tiles
    tails = [Tiling(chosen, tail) for tail in candidate_tails(chosen[-1])]
    fewest, index = min(((cycles(tiling), i) for i, tiling in enumerate(tails)))
    return tails[index], fewest
