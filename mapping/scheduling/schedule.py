"""Schedule: take the tiling that needs the fewest cycles, by the exact cycle model.

A layer starts with both engines idle (the layer before ended in a SYNC), so its cycles do not
depend on where it stands. Addresses do not matter either: candidates are made without constants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from mapping.lowering.lower import LoweredLayer
from mapping.program.tensor import StoredTensor
from mapping.scheduling.emit import LayerEmitter
from mapping.scheduling.image import NoConstants
from mapping.scheduling.tiling import (
    PixelTile,
    Tiling,
    candidate_tails,
    candidate_tilings,
    pixel_capacity,
)
from mapping.scheduling.weight_tiles import LayerTiles, NTile
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Matmul
from systolic.spec.timing import Machine, advance


def choose_tiling(
    layer: LoweredLayer,
    tiles: LayerTiles,
    tensors: Mapping[int, StoredTensor],
    config: ArrayConfig,
    *,
    writes_border: bool,
) -> tuple[Tiling, int]:
    """Best tiling of a layer and its cycles.

    First the m-tiles are chosen, then how the last of them is cut. The arguments are those of
    :class:`mapping.scheduling.emit.LayerEmitter`.

    Raises
    ------
    UnsupportedError
        If not even one pixel fits the accumulators.
    """
    emitter = _CycleEmitter(
        layer, tiles, tensors, NoConstants(), config, writes_border=writes_border
    )
    cuts = candidate_tilings(*layer.pixels, pixel_capacity(layer, config))
    best, cycles = _best(emitter, [Tiling(cut, (cut[-1],)) for cut in cuts])
    tails = [Tiling(best.tiles, tail) for tail in candidate_tails(best.tiles[-1])]
    return _best(emitter, tails) if len(tails) > 1 else (best, cycles)


def _best(emitter: "_CycleEmitter", tilings: Sequence[Tiling]) -> tuple[Tiling, int]:
    """Tiling with the fewest cycles, the first of equals, and these."""
    cycles = [emitter.cycles(tiling) for tiling in tilings]
    fewest = min(cycles)
    return tilings[cycles.index(fewest)], fewest


class _CycleEmitter(LayerEmitter):
    """Counts cycles without making every MATMUL.

    A MATMUL never waits, so that n alike take n times the cycles of one: only the first of a run is
    made, and how many it stands for is kept beside it.
    """

    def cycles(self, tiling: Tiling) -> int:
        """Cycles of the layer under a tiling."""
        self._times: dict[int, int] = {}
        machine = Machine()
        for index, instruction in enumerate(self.emit(tiling)):
            after = advance(machine, instruction, self._config)
            more = self._times.get(index, 1) - 1
            machine = replace(after, cycle=after.cycle + more * (after.cycle - machine.cycle))
        return machine.cycle

    def _emit_matmuls(self, pixels: PixelTile, n_tile: NTile, half: int) -> None:
        for source, k_tiles in groupby(n_tile.k_tiles, lambda k_tile: k_tile.source):
            self._request(self._input_pattern(source, pixels))
            self._times[len(self._code)] = len(list(k_tiles))
            self._code.append(
                Matmul(
                    first=1,
                    half=half,
                    digits=self._config.digits(self._inputs[source].bits),
                    count=len(pixels) * self._window,
                    base=0,
                    weights=0,
                )
            )
