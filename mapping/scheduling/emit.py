"""Emit: the instructions of one layer under a given tiling.

Order of a pass: the k-tiles' MATMULs fill one half of the accumulators, then a DRAIN of that half
is started, which runs under the next pass's MATMULs into the other half. Before a DRAIN, the block
of channels that the drains before it have finished is stored (STORE waits for them). The hazards
that this order excludes are those that :mod:`mapping.program.verify` checks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np
from numpy.typing import NDArray

from mapping.lowering.lower import LoweredLayer
from mapping.lowering.requantization import Requantization
from mapping.program.rules import ADDRESS_SPACE
from mapping.program.tensor import StoredTensor
from mapping.scheduling.border import border_instructions
from mapping.scheduling.diagonal import diagonal_tiles, least_words
from mapping.scheduling.image import Constants
from mapping.scheduling.offsets import OffsetTable
from mapping.scheduling.parameters import ParameterChunk, drained_cols, parameter_chunks
from mapping.scheduling.tiling import PixelTile, Tiling
from mapping.scheduling.weight_tiles import KTile, LayerTiles, NTile, weights_read
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import (
    Diagonal,
    Drain,
    Instruction,
    Load,
    LoadTarget,
    Matmul,
    Output,
    Store,
    Sync,
)
from systolic.spec.rounding import Rounding


@dataclass(frozen=True)
class _Pattern:
    """Addresses of a tile's pixels: the first one, and all as distances from it modulo 2**16."""

    first: int
    distances: NDArray[np.int64]

    @classmethod
    def of(cls, addresses: NDArray[np.int64]) -> "_Pattern":
        first = int(addresses[0])
        return cls(first, (addresses - first) % ADDRESS_SPACE)


class LayerEmitter:
    """Makes a layer's instructions, as often as the schedule asks with another tiling.

    Parameters
    ----------
    layer : LoweredLayer
        What to compute.
    tiles : LayerTiles
        Its weight tiles.
    tensors : mapping of int to StoredTensor
        Inputs and output by node id.
    constants : Constants
        Where weights, parameters and tables go.
    config : ArrayConfig
        The array.
    writes_border : bool
        Whether the output's border has to be written first.
    """

    def __init__(
        self,
        layer: LoweredLayer,
        tiles: LayerTiles,
        tensors: Mapping[int, StoredTensor],
        constants: Constants,
        config: ArrayConfig,
        *,
        writes_border: bool,
    ) -> None:
        self._layer, self._tiles, self._config = layer, tiles, config
        self._constants, self._writes_border = constants, writes_border
        inputs = [tensors[source.piece.value] for source in tiles.sources]
        output = tensors[layer.output]
        is_by_block = layer.is_by_block
        self._inputs = [one.by_block(config) for one in inputs] if is_by_block else inputs
        self._output = output.by_block(config) if is_by_block else output
        self._digits = config.digits(self._output.bits)
        self._tensors = tensors
        may_be_diagonal = layer.parts == 1 and not weights_read(layer)
        self._diagonals = diagonal_tiles(tiles, config) if may_be_diagonal else None
        self._weights: list[int] = []
        self._bases = {
            n_tile.position: [self._k_base(k_tile) for k_tile in n_tile.k_tiles]
            for n_tile in tiles.n_tiles
        }
        self._chunks = parameter_chunks(layer.requantization, tiles.n_tiles, config)
        pool = layer.epilogue.pool
        self._window = pool.kernel[0] * pool.kernel[1] if pool else 1
        self._code: list[Instruction] = []
        self._table = OffsetTable()
        self._patterns: dict[tuple[int, bytes], _Pattern] = {}

    def emit(self, tiling: Tiling) -> list[Instruction]:
        """Instructions of the layer, from its border to its SYNC."""
        self._code, self._table = [], OffsetTable()
        self._place_weights(tiling)
        if self._writes_border:
            self._code += border_instructions(
                self._output,
                self._inputs[0].address,
                self._any_weights(),
                self._table,
                self._constants,
                self._config,
            )
        self._emit_output()
        half, stores = 0, list[tuple[PixelTile, int, int]]()
        for chunk in self._chunks:
            self._emit_parameters(chunk)
            for pixels, group in product(tiling.tiles, chunk.groups):
                for n_tile, start in group:
                    is_last = chunk is self._chunks[-1] and n_tile is chunk.groups[-1][-1][0]
                    is_last = is_last and pixels is tiling.tiles[-1]
                    first = 0
                    for part in tiling.tail if is_last else (pixels,):
                        self._emit_matmuls(part, n_tile, half)
                        self._emit_stores(stores)
                        stores = []
                        self._emit_drain(part, n_tile, start, half, first)
                        first += len(part)
                        half ^= 1
                stores = self._finished_blocks(pixels, [n_tile for n_tile, _ in group])
        self._emit_stores(stores)
        self._code.append(Sync(halt=0))
        return self._code

    def _place_weights(self, tiling: Tiling) -> None:
        """Without their zeros if all tiles have so many, and no load comes too soon for that."""
        fewest = min(map(len, (*tiling.tiles, *tiling.tail))) * self._window
        fewest *= min(self._config.digits(tensor.bits) for tensor in self._inputs)
        if self._diagonals is not None and fewest < least_words(self._config):
            self._diagonals = None
        if self._diagonals is None:
            self._weights = self._constants.weights(self._tiles.weights)
        else:
            self._weights = self._constants.diagonals(self._diagonals.columns)

    def _emit_output(self) -> None:
        epilogue, requantization = self._layer.epilogue, self._layer.requantization
        if epilogue.table is not None:
            used = epilogue.table[epilogue.lo : epilogue.hi + 1]
            self._code.append(
                Load(
                    target=LoadTarget.TABLE,
                    count=len(used),
                    start=epilogue.lo,
                    addr=self._constants.units(used) % ADDRESS_SPACE,
                )
            )
        table = int(epilogue.table is not None)
        if isinstance(requantization, Requantization):
            output = Output(
                onnx=int(requantization.rounding is Rounding.ONNX),
                table=table,
                digits=self._digits,
                zero=requantization.zero,
                lo=epilogue.lo,
                hi=epilogue.hi,
            )
        else:
            output = Output(table=table, digits=self._digits, zero=0, lo=0, hi=0, thresholds=1)
        self._code.append(output)

    def _emit_parameters(self, chunk: ParameterChunk) -> None:
        count, channels = len(chunk.channels), chunk.channels
        if isinstance(self._layer.requantization, Requantization):
            addr = self._constants.parameters(channels) % ADDRESS_SPACE
            self._code.append(Load(target=LoadTarget.PARAMETERS, count=count, addr=addr))
            return
        for node, entries in enumerate(zip(*channels, strict=True), start=1):
            start = node * self._config.threshold_channels
            addr = self._constants.thresholds(entries) % ADDRESS_SPACE
            self._code.append(
                Load(target=LoadTarget.THRESHOLDS, count=count, start=start, addr=addr)
            )

    def _k_base(self, k_tile: KTile) -> int:
        """Address that a k-tile reads for output pixel (0, 0)."""
        piece = self._tiles.sources[k_tile.source].piece
        tensor = self._inputs[k_tile.source]
        pixel = tensor.pixel_index(k_tile.dy - piece.top, k_tile.dx - piece.left)
        digits = self._config.digits(tensor.bits)
        return tensor.address + pixel * tensor.pixel_words(self._config) + k_tile.block * digits

    def _any_weights(self) -> int:
        """Address of a whole weight tile."""
        first = self._tiles.n_tiles[0].k_tiles[0]
        if first.value is not None:
            return self._weight_address(first)
        return self._constants.weights(self._tiles.weights[:1])[0]

    def _weight_address(self, k_tile: KTile) -> int:
        """Address of a tile's weights, constant or stored."""
        if k_tile.value is None:
            return self._weights[k_tile.tile]
        tensor = self._tensors[k_tile.value]
        return tensor.address + k_tile.tile * self._config.weight_words

    def _emit_matmuls(self, pixels: PixelTile, n_tile: NTile, half: int) -> None:
        """One MATMUL per k-tile; k-tiles of one source follow each other and share a pattern."""
        started = set[int]()
        for source, k_tiles in groupby(
            zip(n_tile.k_tiles, self._bases[n_tile.position], strict=True),
            lambda pair: pair[0].source,
        ):
            pattern = self._input_pattern(source, pixels)
            start = self._request(pattern)
            shift = pattern.first - self._table.value(start)
            digits = self._config.digits(self._inputs[source].bits)
            count = len(pixels) * self._window
            for k_tile, base in k_tiles:
                stream = {
                    "first": int(k_tile.part not in started), "half": half, "digits": digits,
                    "count": count, "start": start, "base": (base + shift) % ADDRESS_SPACE,
                }  # fmt: skip
                self._code.append(self._load(k_tile, stream))
                started.add(k_tile.part)

    def _load(self, k_tile: KTile, stream: dict[str, int]) -> Instruction:
        """Load a tile and stream pixels through it."""
        if self._diagonals is not None:
            column, band = self._diagonals.places[k_tile.tile]
            weights = self._weights[column] % ADDRESS_SPACE
            return Diagonal(band=band, weights=weights, **stream)
        weights = self._weight_address(k_tile) % ADDRESS_SPACE
        return Matmul(part=k_tile.part, parts=self._layer.parts, weights=weights, **stream)

    def _emit_drain(
        self, pixels: PixelTile, n_tile: NTile, start: int, half: int, first: int
    ) -> None:
        self._code.append(
            Drain(
                half=half,
                count=len(pixels),
                start=start,
                parts=self._layer.parts,
                cols=drained_cols(n_tile, self._config),
                row=n_tile.position % self._config.rows,
                window=self._window,
                pixel=first,
            )
        )

    def _finished_blocks(
        self, pixels: PixelTile, group: list[NTile]
    ) -> list[tuple[PixelTile, int, int]]:
        """Pixels, block of the output buffer and block of the tensor of each store to be done."""
        first = group[0].position // self._config.rows
        last = (group[-1].position + group[-1].cols - 1) // self._config.rows
        return [(pixels, block - first, block) for block in range(first, last + 1)]

    def _emit_stores(self, stores: list[tuple[PixelTile, int, int]]) -> None:
        for pixels, buffer_block, block in stores:
            pattern = self._output_pattern(pixels)
            start = self._request(pattern)
            base = pattern.first + self._block_base(block)
            self._code.append(
                Store(
                    digits=self._digits,
                    count=len(pixels),
                    start=start,
                    block=buffer_block,
                    base=(base - self._table.value(start)) % ADDRESS_SPACE,
                )
            )

    def _block_base(self, block: int) -> int:
        """Address of a channel block; of a flat layer, blocks count through all pixels."""
        pixel, block = divmod(block, self._output.blocks(self._config))
        offset = self._output.pixel_index(*divmod(pixel, self._output.width))
        offset -= self._output.pixel_index(0, 0)
        words = self._output.pixel_step(self._config)
        return self._output.address + offset * words + block * self._output.block_step(self._config)

    def _request(self, pattern: _Pattern) -> int:
        """First entry of the offset table that holds a pattern; load it if none does."""
        start = self._table.find(pattern.distances)
        if start is None:
            start = self._table.place(pattern.distances)
            addr = self._constants.units(pattern.distances) % ADDRESS_SPACE
            count = len(pattern.distances)
            self._code.append(Load(target=LoadTarget.OFFSETS, count=count, start=start, addr=addr))
        return start

    def _input_pattern(self, source: int, pixels: PixelTile) -> _Pattern:
        key = (source, pixels.tobytes())
        if key not in self._patterns:
            y, x = self._window_pixels(pixels)
            rows, cols = self._tiles.sources[source].operand.origin(y, x)
            tensor = self._inputs[source]
            words = tensor.pixel_words(self._config)
            self._patterns[key] = _Pattern.of((rows * tensor.pitch + cols) * words)
        return self._patterns[key]

    def _output_pattern(self, pixels: PixelTile) -> _Pattern:
        key = (-1, pixels.tobytes())
        if key not in self._patterns:
            y, x = np.divmod(pixels, self._output.width)
            words = self._output.pixel_step(self._config)
            self._patterns[key] = _Pattern.of(self._output.pixel_index(y, x) * words)
        return self._patterns[key]

    def _window_pixels(self, pixels: PixelTile) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pixels before pooling, window by window.

        Where a window reaches beyond the image it takes the nearest pixel inside, which lies in
        the same window: twice the same value leaves a maximum alone.
        """
        y, x = np.divmod(pixels, self._layer.pixels[1])
        pool = self._layer.epilogue.pool
        if pool is None:
            return y, x
        wy, wx = np.indices(pool.kernel).reshape(2, -1)
        rows = y[:, None] * pool.stride[0] - pool.pad.top + wy
        cols = x[:, None] * pool.stride[1] - pool.pad.left + wx
        height, width = self._layer.grid
        return np.clip(rows, 0, height - 1).ravel(), np.clip(cols, 0, width - 1).ravel()
