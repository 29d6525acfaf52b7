"""By block: a layer that treats all channels alike may take channel blocks for pixels.

Averages, sums, tables and copies have one weight for all channels. Instead of ``blocks`` times the
tiles of one block, each streamed over few pixels, the tiles of one block then serve all blocks as
``blocks`` times as many pixels: a weight tile costs as much for one pixel as for a hundred. A
global average pool has one pixel; this cuts its instructions to a fraction.

The words stay where they are: pixel (y, x) of block b becomes pixel ``(y, x * blocks + b)`` of an
image with ``rows`` channels. If the last block is a broken one, its rows without a channel take
part: they hold anything, before and after, and nobody looks at them.
"""

from dataclasses import replace

import numpy as np

from mapping.lowering.lower import LoweredLayer
from mapping.lowering.operand import Operand
from mapping.lowering.requantization import Requantization
from systolic.spec.config import ArrayConfig


def by_block(layer: LoweredLayer, config: ArrayConfig) -> LoweredLayer | None:
    """Take a layer's channel blocks for pixels, or give None where that is not the same.

    Parameters
    ----------
    layer : LoweredLayer
        One whose pixels are whole ones.
    config : ArrayConfig
        Its rows make a block.

    Returns
    -------
    LoweredLayer or None
        None if there is one block only, if it is stored in weight form, if channels differ in
        weights or requantization or have thresholds, if pixels of the result and of an operand do
        not follow each other alike, or if rows without a channel might overflow an accumulator.
    """
    height, width, channels = layer.out_shape
    blocks = -(-channels // config.rows)
    if blocks < 2 or layer.is_flat or layer.epilogue.pool is not None or layer.is_weights:
        return None
    requantization = layer.requantization
    if not (isinstance(requantization, Requantization) and requantization.is_uniform):
        return None
    if not all(map(_is_alike, layer.operands)):
        return None
    if channels % config.rows and not _holds_anything(layer, config):
        return None
    if layer.grid[1] > 1 and any(operand.stride[1] > 1 for operand in layer.operands):
        return None
    return replace(
        layer,
        operands=tuple(_operand(operand, blocks, config.rows) for operand in layer.operands),
        grid=(layer.grid[0], layer.grid[1] * blocks),
        out_shape=(height, width * blocks, config.rows),
        requantization=requantization.first(config.rows),
        is_by_block=True,
    )


def _is_alike(operand: Operand) -> bool:
    """Whether every channel is read by itself, with the same weights, from one tensor."""
    is_diagonal = operand.groups == operand.view.channels and operand.weights.shape[1] == 1
    one_weight = bool(np.all(operand.weights == operand.weights[:, :, :1]))
    return is_diagonal and one_weight and len(operand.view.pieces) == 1


def _holds_anything(layer: LoweredLayer, config: ArrayConfig) -> bool:
    """Whether accumulators can take whatever lies in rows without a channel, digits all ones."""
    most = sum(
        int(np.abs(operand.weights[:, :, 0]).sum())
        * ((1 << config.digits(operand.view.element.bits) * config.digit_bits) - 1)
        for operand in layer.operands
    )
    return most < 1 << config.acc_bits - 1


def _operand(operand: Operand, blocks: int, rows: int) -> Operand:
    view, piece = operand.view, operand.view.pieces[0]
    return Operand(
        replace(
            view,
            width=view.width * blocks,
            pieces=(replace(piece, channels=rows, left=piece.left * blocks),),
        ),
        operand.taps * np.array([1, blocks]),
        operand.weights[:, :, :rows],
        groups=rows,
        stride=(operand.stride[0], 1),
        row_pixels=operand.row_pixels * blocks,
    )
