"""Pack: let the host gather taps into channels where an input has too few to fill the rows.

A convolution over one channel uses one row of the array per tap. If the host lays the input out as
im2col, taps become channels. That costs memory and the host's time, not the machine's, so it is
chosen by the machine's cycles, among no packing, packing a kernel's rows, and packing all of it.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from mapping.graph import Graph
from mapping.lowering.lower import LoweredLayer
from mapping.lowering.operand import pack_operand
from mapping.lowering.view import image_shape
from mapping.program.tensor import Packing
from mapping.scheduling.plan import fits
from mapping.scheduling.schedule import choose_tiling
from mapping.scheduling.storage import output_base, plan_storage
from mapping.scheduling.weight_tiles import layer_sources, tile_weights
from systolic.spec.config import ArrayConfig


class PackingChoice(Enum):
    """How many taps the host may gather."""

    KERNEL_ROWS = "kernel rows"
    WHOLE_KERNEL = "whole kernel"


def choose_packings(
    graph: Graph,
    layers: Sequence[LoweredLayer],
    stored: frozenset[int],
    config: ArrayConfig,
    *,
    choices: Sequence[PackingChoice],
) -> tuple[tuple[LoweredLayer, ...], dict[int, Packing]]:
    """Layers with packed operands where that saves cycles, and what the host has to do.

    Parameters
    ----------
    graph : Graph
        The network.
    layers : sequence of LoweredLayer
        Its layers.
    stored : frozenset of int
        Values that have memory.
    config : ArrayConfig
        The array.
    choices : sequence of PackingChoice
        Packings to consider beside none.

    Returns
    -------
    tuple of LoweredLayer
        All layers in order.
    dict of int to Packing
        For each packed input.
    """
    chosen, packings = list(layers), dict[int, Packing]()
    for index, layer in enumerate(layers):
        if not _is_packable(graph, layer, layers, stored, config):
            continue
        value = layer.operands[0].view.pieces[0].value
        image = image_shape(graph.types[value].shape)[:2]
        best = _cycles(graph, layer, {}, config)
        for choice in choices:
            rows_only = choice is PackingChoice.KERNEL_ROWS
            operand, packing = pack_operand(
                layer.operands[0], layer.grid, image, rows_only=rows_only
            )
            if not packing.is_valid:
                continue
            candidate = replace(layer, operands=(operand,))
            tensors = plan_storage(graph, [candidate], {value: packing}, config)
            if not fits(tensors[value], config):
                continue
            cycles = _cycles(graph, candidate, {value: packing}, config)
            if cycles < best:
                best, chosen[index], packings[value] = cycles, candidate, packing
    return tuple(chosen), packings


def _is_packable(
    graph: Graph,
    layer: LoweredLayer,
    layers: Sequence[LoweredLayer],
    stored: frozenset[int],
    config: ArrayConfig,
) -> bool:
    """Whether a layer is a dense kernel over a whole input that nobody else looks at."""
    operand = layer.operands[0]
    piece = operand.view.pieces[0]
    if len(layer.operands) > 1 or len(operand.view.pieces) > 1:
        return False
    if operand.kernel in (None, (1, 1)) or operand.groups > 1 or piece.value not in graph.input_ids:
        return False
    readers = [
        source
        for other in layers
        for source in layer_sources(other)
        if source.piece.value == piece.value
    ]
    is_output = piece.value in {output_base(graph, value, stored) for value in graph.outputs}
    # A full block of channels per tap leaves nothing to gain.
    return len(readers) == 1 and not is_output and operand.view.channels % config.rows != 0


def _cycles(
    graph: Graph, layer: LoweredLayer, packings: dict[int, Packing], config: ArrayConfig
) -> int:
    tensors = plan_storage(graph, [layer], packings, config)
    tiles = tile_weights(layer, config)
    return choose_tiling(layer, tiles, tensors, config, writes_border=False)[1]
