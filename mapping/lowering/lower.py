"""Lower: every fused layer becomes operands, folded biases and a requantization per channel.

Precondition: layers from :mod:`mapping.lowering.fuse`. Postcondition: no node kind matters any
more; codes are unsigned, offsets are folded into the biases, and no accumulator can overflow.

With ``z`` the code of zero, ``sum(w * (q - zero_point)) + b = sum(w * u) + [b - z * sum(w)]``.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mapping.errors import UnsupportedError
from mapping.graph import Graph
from mapping.lowering.bounds import Bounds, prove_bounds
from mapping.lowering.fuse import Epilogue, FusedLayer
from mapping.lowering.operand import Operand, grid_taps
from mapping.lowering.requantization import Requantization, ThresholdSearch
from mapping.lowering.thresholds import lower_thresholds
from mapping.lowering.view import element_of, image_shape, skip_reshapes, view_of
from mapping.lowering.weight_form import computed_operands
from mapping.lowering.weight_nodes import AsWeights, WeightFormMatMul
from mapping.lowering.weights import node_parts
from mapping.ops import (
    Add,
    AvgPool2d,
    Clamp,
    Constant,
    Conv2d,
    GlobalAvgPool,
    Lut,
    MatMul,
    MaxPool2d,
    Node,
    RequantizeFixed,
    RequantizeOnnx,
    RequantizeTflite,
    RequantizeThresholds,
    Reshape,
)
from mapping.quantize import (
    hardware_parameters_average,
    hardware_parameters_onnx,
    hardware_parameters_tflite,
)
from systolic.spec.config import ArrayConfig
from systolic.spec.rounding import FRACTION_BITS, Rounding

IDENTITY_MULTIPLIER = 1 << FRACTION_BITS


@dataclass(frozen=True)
class LoweredLayer:
    """One layer without its node kinds.

    Parameters
    ----------
    name, op : str
        For listings and messages.
    output : int
        Node id of the stored value.
    operands : tuple of Operand
        What is multiplied and summed.
    grid : tuple of int
        Height and width before pooling.
    out_shape : tuple of int
        Height, width and channels of what is stored.
    parts : int
        Passes per weight.
    requantization : Requantization or ThresholdSearch
        Per channel, and rounding. Channels beyond those of ``out_shape`` sum nothing.
    epilogue : Epilogue
        Clamp, table and pool.
    macs : int
        Useful multiply-accumulates, as the network counts them.
    is_by_block : bool
        Whether pixels are single channel blocks, see :mod:`mapping.lowering.by_block`.
    """

    name: str
    op: str
    output: int
    operands: tuple[Operand, ...]
    grid: tuple[int, int]
    out_shape: tuple[int, int, int]
    parts: int
    requantization: Requantization | ThresholdSearch
    epilogue: Epilogue
    macs: int
    is_by_block: bool = False

    @property
    def is_weights(self) -> bool:
        """Whether the result is stored in weight form."""
        return self.epilogue.filler is not None

    @property
    def is_flat(self) -> bool:
        """Whether all output pixels are made as channels of a single one (see Operand)."""
        return self.operands[0].is_flat

    @property
    def pixels(self) -> tuple[int, int]:
        """Height and width of the output as the passes count it."""
        return (1, 1) if self.is_flat else self.out_shape[:2]


def lower(
    graph: Graph, layers: tuple[FusedLayer, ...], stored: frozenset[int], config: ArrayConfig
) -> tuple[LoweredLayer, ...]:
    """Lower every layer.

    Raises
    ------
    UnsupportedError
        If the configuration lacks what a layer needs (rounding, table, weight width).
    OverflowProofError
        If a sum might leave the accumulator.
    """
    codes = {value: (0, element_of(graph, value).codes - 1) for value in graph.input_ids}
    for value in graph.constant_ids:
        constant = cast("Constant", graph.nodes[value])
        ends = (constant.values.min(), constant.values.max())
        codes[value] = (
            int(ends[0]) - constant.element.q_min,
            int(ends[1]) - constant.element.q_min,
        )
    lowered: list[LoweredLayer] = []
    for layer in layers:
        name = layer_name(graph, layer)
        _check_features(name, layer, config)
        operands = _operands(graph, layer, stored)
        ranges = tuple(_code_range(operand, codes) for operand in operands)
        parts = node_parts(graph.nodes[layer.anchor], config)
        bias = _folded_bias(graph, layer, operands)
        bounds = prove_bounds(name, operands, ranges, bias, parts, config)
        requantization, epilogue = _requantized(
            name, graph.nodes[layer.anchor], layer, operands[0], bias, bounds, config
        )
        whole = _assemble(graph, layer, name, operands, parts, requantization, epilogue)
        lowered.append(_filled_up(whole, config.rows))
        codes[layer.output] = epilogue.code_range
    return tuple(lowered)


def layer_name(graph: Graph, layer: FusedLayer) -> str:
    """Name for messages: the nodes' own name if one has any, else kind and id."""
    for node_id in layer.nodes:
        if graph.nodes[node_id].name:
            return graph.nodes[node_id].name
    return f"{graph.nodes[layer.anchor].KIND}_{layer.anchor}"


def _check_features(name: str, layer: FusedLayer, config: ArrayConfig) -> None:
    if isinstance(layer.requantize, RequantizeOnnx) and not config.onnx:
        raise UnsupportedError(
            f"{name}: rounds as ONNX Runtime does, which needs a configuration with onnx=True"
        )
    if layer.epilogue.table is not None and not config.table:
        raise UnsupportedError(
            f"{name}: uses a lookup table, which needs a configuration with table=True"
        )


def _code_range(operand: Operand, codes: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Smallest and largest code an operand can show, its border of zeros included."""
    zero = operand.view.element.zero_point - operand.view.element.q_min
    if operand.is_zeros:
        return zero, zero
    ranges = [codes[piece.value] for piece in operand.view.pieces]
    return min(zero, *(low for low, _ in ranges)), max(zero, *(high for _, high in ranges))


def _operands(graph: Graph, layer: FusedLayer, stored: frozenset[int]) -> tuple[Operand, ...]:
    """Operands of a layer's anchor."""
    node = graph.nodes[layer.anchor]
    behind = stored - {layer.anchor}
    match node:
        case Conv2d():
            weights = node.weights.astype(np.int64)
            taps = weights.reshape(-1, *weights.shape[2:])
            return (
                Operand(
                    view_of(graph, node.inputs[0], behind),
                    grid_taps(node.kernel, node.dilation, node.pad),
                    taps,
                    node.groups,
                    node.stride,
                    kernel=node.kernel,
                    dilation=node.dilation,
                ),
            )
        case MatMul():
            return (_matmul_operand(graph, node, behind),)
        case WeightFormMatMul():
            view = view_of(graph, node.inputs[0], behind)
            return computed_operands(graph, node, view, behind)
        case Add():
            return tuple(
                _diagonal(graph, source, behind, weight)
                for source, weight in zip(node.inputs, node.weights, strict=True)
            )
        case AvgPool2d():
            return (_diagonal(graph, node.inputs[0], behind, 1, node.kernel, node.stride),)
        case GlobalAvgPool():
            height, width, _ = image_shape(graph.types[node.inputs[0]].shape)
            return (_diagonal(graph, node.inputs[0], behind, 1, (height, width)),)
        case Reshape():
            return (_reshape_operand(graph, node, behind),)
        case MaxPool2d() | Clamp() | Lut() | AsWeights():
            return (_diagonal(graph, node.inputs[0], behind, 1),)
        case _:  # Concat or Pad: a copy of the node itself, seen as a view
            return (_diagonal(graph, layer.anchor, behind, 1),)


def _matmul_operand(graph: Graph, node: MatMul, stored: frozenset[int]) -> Operand:
    """A matmul reads each pixel alike; of a flattened image, it is a kernel over all of it."""
    weights = node.weights.astype(np.int64)
    base = skip_reshapes(graph, node.inputs[0], stored)
    height, width, channels = image_shape(graph.types[base].shape)
    if len(graph.types[node.inputs[0]].shape) == 1 and base != node.inputs[0]:
        view, kernel = view_of(graph, base, stored), (height, width)
        return Operand(
            view, grid_taps(kernel), weights.reshape(height * width, channels, -1), kernel=kernel
        )
    view = view_of(graph, node.inputs[0], stored)
    return Operand(view, grid_taps((1, 1)), weights[None], kernel=(1, 1))


def _diagonal(
    graph: Graph,
    source: int,
    stored: frozenset[int],
    weight: int,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
) -> Operand:
    """Every channel by itself, with one weight for all taps."""
    view = view_of(graph, source, stored)
    weights = np.full((prod(kernel), 1, view.channels), weight, np.int64)
    return Operand(view, grid_taps(kernel), weights, view.channels, stride)


def _reshape_operand(graph: Graph, node: Reshape, stored: frozenset[int]) -> Operand:
    """A copy that renumbers pixels, or value by value if channels do not stay together."""
    source = skip_reshapes(graph, node.inputs[0], stored)
    view = view_of(graph, source, stored)
    _, width, channels = image_shape(node.shape)
    weights = np.ones((1, 1, channels), np.int64)
    if view.channels == channels:
        return Operand(view, grid_taps((1, 1)), weights, channels, row_pixels=width)
    return Operand(view, grid_taps((view.height, view.width)), weights, channels, is_flat=True)


def _folded_bias(
    graph: Graph, layer: FusedLayer, operands: tuple[Operand, ...]
) -> NDArray[np.int64]:
    """Bias for unsigned codes, int64 (channels,)."""
    node = graph.nodes[layer.anchor]
    channels: int = operands[0].weights.shape[2]
    bias = np.zeros(channels, np.int64)
    if isinstance(node, AvgPool2d | GlobalAvgPool):
        return bias + len(operands[0].taps) * operands[0].view.element.q_min
    if layer.requantize is None:
        return bias
    if isinstance(node, Conv2d | MatMul):
        bias += node.bias
    for operand in operands:
        element = operand.view.element
        bias += 0 if operand.computed is None else operand.computed.bias
        bias -= (element.zero_point - element.q_min) * operand.weights.sum(axis=(0, 1))
    return bias


def _assemble(
    graph: Graph,
    layer: FusedLayer,
    name: str,
    operands: tuple[Operand, ...],
    parts: int,
    requantization: Requantization | ThresholdSearch,
    epilogue: Epilogue,
) -> LoweredLayer:
    node = graph.nodes[layer.anchor]
    grid = image_shape(graph.types[layer.anchor].shape)[:2]
    if isinstance(node, MaxPool2d):
        grid = (operands[0].view.height, operands[0].view.width)
    if operands[0].is_flat:
        grid = (1, 1)
    kinds = [graph.nodes[node_id].KIND for node_id in layer.nodes]
    return LoweredLayer(
        name,
        "+".join("requantize" if kind.startswith("requantize") else kind for kind in kinds),
        layer.output,
        operands,
        grid,
        image_shape(graph.types[layer.output].shape),
        parts,
        requantization,
        epilogue,
        graph.macs(layer.anchor),
    )


def _requantized(
    name: str,
    anchor: Node,
    layer: FusedLayer,
    operand: Operand,
    bias: NDArray[np.int64],
    bounds: Bounds,
    config: ArrayConfig,
) -> tuple[Requantization | ThresholdSearch, Epilogue]:
    """What the requantizer does for the sums that can occur, and what follows it."""
    if isinstance(layer.requantize, RequantizeThresholds):
        node, epilogue = layer.requantize, layer.epilogue
        if epilogue.filler is not None:
            raise UnsupportedError(
                f"{name}: thresholds cannot give a computed factor: requantize it by a scale"
            )
        return lower_thresholds(name, node, epilogue, bias, bounds, config)
    return _requantization(name, anchor, layer, operand, bias, bounds), layer.epilogue


def _filled_up(layer: LoweredLayer, rows: int) -> LoweredLayer:
    """The layer; if its result is stored in weight form, with zeros in rows without a channel."""
    filler, given = layer.epilogue.filler, layer.requantization
    count = -len(given.bias) % rows
    if filler is None or not count:
        return layer
    assert isinstance(given, Requantization)  # thresholds have been refused

    def fill(values: NDArray[np.int64], value: int) -> NDArray[np.int64]:
        return np.append(values, np.full(count, value))

    requantization = replace(
        given,
        bias=fill(given.bias, filler - given.zero),
        multiplier=fill(given.multiplier, IDENTITY_MULTIPLIER),
        round_constant=fill(given.round_constant, 0),
    )
    return replace(layer, requantization=requantization)


def _requantization(
    name: str,
    anchor: Node,
    layer: FusedLayer,
    operand: Operand,
    bias: NDArray[np.int64],
    bounds: Bounds,
) -> Requantization:
    """Parameters of the requantizer for the sums that can occur."""
    node, zeros = layer.requantize, np.zeros(len(bias), np.int64)
    try:
        match node:
            case RequantizeTflite():
                multiplier, constant = hardware_parameters_tflite(
                    node.multiplier, node.shift, bounds.magnitude
                )
            case RequantizeOnnx():
                multiplier = hardware_parameters_onnx(node.scale, bounds.magnitude)
                constant = zeros
            case RequantizeFixed():
                multiplier, constant = node.multiplier, node.round_constant
            case _ if isinstance(anchor, AvgPool2d | GlobalAvgPool):
                multiplier, constant = hardware_parameters_average(len(operand.taps))
            case _:
                multiplier, constant = IDENTITY_MULTIPLIER, 0
    except ValueError as error:
        raise UnsupportedError(f"{name}: {error}") from None
    if node is not None:
        zero = node.element.zero_point - node.element.q_min
    else:
        # An average is taken of values q, everything else passes codes as they are.
        is_average = isinstance(anchor, AvgPool2d | GlobalAvgPool)
        zero = -operand.view.element.q_min if is_average else 0
    rounding = Rounding.ONNX if isinstance(node, RequantizeOnnx) else Rounding.TFLITE
    return Requantization(bias, zeros + multiplier, zeros + constant, rounding, zero)
