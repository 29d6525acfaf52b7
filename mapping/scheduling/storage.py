"""Storage: the shape, border and packing under which every stored tensor lies in the scratchpad."""

from collections.abc import Mapping, Sequence
from math import prod

from mapping.graph import Graph
from mapping.lowering.lower import LoweredLayer
from mapping.lowering.view import element_of, image_shape, skip_reshapes
from mapping.ops import Padding
from mapping.program.tensor import Packing, StoredTensor
from mapping.scheduling.weight_tiles import layer_sources, weights_read
from systolic.spec.config import ArrayConfig


def plan_storage(
    graph: Graph,
    layers: Sequence[LoweredLayer],
    packings: Mapping[int, Packing],
    config: ArrayConfig,
) -> dict[int, StoredTensor]:
    """Stored tensors by node id, not yet placed (address 0).

    Parameters
    ----------
    graph : Graph
        The network.
    layers : sequence of LoweredLayer
        All layers, with the operands they will run with.
    packings : mapping of int to Packing
        Inputs that the host packs.
    config : ArrayConfig
        The array.
    """
    names = {layer.output: layer.name for layer in layers}
    shapes = {
        value: _packed_shape(layers, value)
        if value in packings
        else image_shape(graph.types[value].shape)
        for value in (*graph.input_ids, *graph.constant_ids, *names)
    }
    borders = _borders(shapes, layers)
    weights = {value for layer in layers for value in weights_read(layer)}
    tensors: dict[int, StoredTensor] = {}
    for value, (height, width, channels) in shapes.items():
        element = element_of(graph, value)
        kind = graph.nodes[value].KIND
        name = graph.nodes[value].name or names.get(value, f"{kind}_{value}")
        if value in weights:
            tensors[value] = _in_weight_form(value, name, graph.types[value].shape, config)
            continue
        tensors[value] = StoredTensor(
            node=value,
            name=name,
            address=0,
            shape=graph.types[value].shape,
            height=height,
            width=width,
            channels=channels,
            border=borders.get(value, Padding()),
            bits=element.bits,
            q_min=element.q_min,
            zero=element.zero_point - element.q_min,
            packing=packings.get(value),
        )
    return tensors


def _in_weight_form(
    value: int, name: str, shape: tuple[int, ...], config: ArrayConfig
) -> StoredTensor:
    """A tensor in weight form: one row of pixels, filled up with zeros to whole tiles."""
    pixels, channels, bits = prod(shape[:-1]), shape[-1], config.weight_bits
    return StoredTensor(
        node=value,
        name=name,
        address=0,
        shape=shape,
        height=1,
        width=pixels,
        channels=channels,
        border=Padding(right=-pixels % config.cols),
        bits=bits,
        q_min=-(1 << bits - 1),
        zero=0,
        is_weights=True,
    )


def _packed_shape(layers: Sequence[LoweredLayer], value: int) -> tuple[int, int, int]:
    """Stored shape of a packed input: what its only reader sees."""
    for layer in layers:
        for operand in layer.operands:
            if operand.view.pieces[0].value == value:
                return operand.view.height, operand.view.width, operand.view.channels
    raise AssertionError(f"no layer reads packed input {value}")


def _borders(
    shapes: Mapping[int, tuple[int, int, int]], layers: Sequence[LoweredLayer]
) -> dict[int, Padding]:
    """For each stored tensor, how far its readers reach beyond each side."""
    borders: dict[int, Padding] = {}
    for layer in layers:
        for source in layer_sources(layer):
            value = source.piece.value
            height, width, _ = shapes[value]
            top, bottom, left, right = source.operand.reach(layer.grid, source.piece)
            need = (-top, bottom - height + 1, -left, right - width + 1)
            before = borders.get(value, Padding())
            borders[value] = Padding(*map(max, before, need))
    return borders


def output_base(graph: Graph, value: int, stored: frozenset[int]) -> int:
    """The stored value that holds a network output; reshapes are left to the host."""
    base = skip_reshapes(graph, value, stored)
    assert base in stored  # mapping.lowering.fuse has stored every output
    return base
