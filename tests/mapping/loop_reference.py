"""A second, slow meaning of the graph: plain loops over Python integers and exact fractions.

Written from the definitions of the nodes and sharing no code with :mod:`mapping.reference`, so that
the two can check each other on random networks. Values are nested in dictionaries from
(row, column, channel) or (feature,) to int.
"""

from fractions import Fraction
from itertools import product
from math import floor

import numpy as np

from mapping.graph import Graph
from mapping.ops import (
    ActType,
    Add,
    AvgPool2d,
    Clamp,
    Concat,
    Conv2d,
    GlobalAvgPool,
    Input,
    Lut,
    MatMul,
    MaxPool2d,
    Node,
    Pad,
    Requantize,
    RequantizeFixed,
    RequantizeOnnx,
    RequantizeTflite,
    RequantizeThresholds,
    Reshape,
    TensorType,
)

Values = dict[tuple[int, ...], int]


def run_loops(graph: Graph, image: np.ndarray) -> list[np.ndarray]:
    """Every node's result for one image."""
    results: list[Values] = []
    for node_id, node in graph.order():
        if isinstance(node, Input):
            results.append({index: int(image[index]) for index in indices(node.type)})
            continue
        operands = [results[operand] for operand in node.inputs]
        types = graph.input_types(node_id)
        result = {
            index: element_of(node, index, operands, types)
            for index in indices(graph.types[node_id])
        }
        results.append(result)
    return [to_array(values, tensor) for values, tensor in zip(results, graph.types, strict=True)]


def indices(tensor: TensorType) -> list[tuple[int, ...]]:
    """All positions of a tensor, row-major."""
    return list(product(*(range(length) for length in tensor.shape)))


def to_array(values: Values, tensor: TensorType) -> np.ndarray:
    """Values as an array."""
    return np.array([values[index] for index in indices(tensor)]).reshape(tensor.shape)


def zero_of(tensor: TensorType) -> int:
    """Zero point of a tensor of activations."""
    assert isinstance(tensor.element, ActType)
    return tensor.element.zero_point


def element_of(
    node: Node, index: tuple[int, ...], operands: list[Values], types: tuple[TensorType, ...]
) -> int:
    """One element of a node's result."""
    match node:
        case Conv2d():
            return convolve(node, index, operands[0], zero_of(types[0]))
        case MatMul():
            *pixel, output = index
            return int(node.bias[output]) + sum(
                int(node.weights[k, output]) * (operands[0][*pixel, k] - zero_of(types[0]))
                for k in range(types[0].channels)
            )
        case Add():
            return sum(
                weight * (values[index] - zero_of(tensor))
                for weight, values, tensor in zip(node.weights, operands, types, strict=True)
            )
        case Requantize():
            return requantize(node, operands[0][index], index[-1] if node.channels > 1 else 0)
        case Clamp():
            return min(max(operands[0][index], node.clamp_min), node.clamp_max)
        case Lut():
            assert isinstance(types[0].element, ActType)
            return int(node.table[operands[0][index] - types[0].element.q_min])
        case _:
            return move_or_pool(node, index, operands, types)


def move_or_pool(
    node: Node, index: tuple[int, ...], operands: list[Values], types: tuple[TensorType, ...]
) -> int:
    """One element of the result of a node without arithmetic of its own, or of a pool."""
    match node:
        case MaxPool2d():
            row = index[0] * node.stride[0] - node.pad.top
            col = index[1] * node.stride[1] - node.pad.left
            return max(window(operands[0], row, col, index[2], node.kernel))
        case AvgPool2d():
            row, col = index[0] * node.stride[0], index[1] * node.stride[1]
            return mean(window(operands[0], row, col, index[2], node.kernel))
        case GlobalAvgPool():
            return mean([q for (_, _, channel), q in operands[0].items() if channel == index[2]])
        case Concat():
            channel = index[-1]
            for values, tensor in zip(operands, types, strict=True):
                if channel < tensor.channels:
                    return values[*index[:-1], channel]
                channel -= tensor.channels
            raise AssertionError("a channel beyond all inputs")
        case Reshape():
            flat = 0
            for position, length in zip(index, node.shape, strict=True):
                flat = flat * length + position
            return operands[0][indices(types[0])[flat]]
        case Pad():
            source = (index[0] - node.pad.top, index[1] - node.pad.left, index[2])
            return operands[0].get(source, zero_of(types[0]))
        case _:
            raise AssertionError(f"{node.label} has no definition here")


def convolve(node: Conv2d, index: tuple[int, ...], values: Values, zero_point: int) -> int:
    """One sum of a convolution; a tap outside the image adds nothing."""
    row, col, output = index
    kernel_h, kernel_w, per_group, outputs = node.weights.shape
    group = output // (outputs // node.groups)
    acc = int(node.bias[output])
    for tap_row, tap_col, channel in product(range(kernel_h), range(kernel_w), range(per_group)):
        source = (
            row * node.stride[0] + tap_row * node.dilation[0] - node.pad.top,
            col * node.stride[1] + tap_col * node.dilation[1] - node.pad.left,
            group * per_group + channel,
        )
        if source in values:
            weight = int(node.weights[tap_row, tap_col, channel, output])
            acc += weight * (values[source] - zero_point)
    return acc


def window(values: Values, row: int, col: int, channel: int, kernel: tuple[int, int]) -> list[int]:
    """The elements of a pooling window that lie inside the image."""
    positions = product(range(row, row + kernel[0]), range(col, col + kernel[1]))
    return [values[r, c, channel] for r, c in positions if (r, c, channel) in values]


def mean(values: list[int]) -> int:
    """Exact mean, half away from zero."""
    return half_away(Fraction(sum(values), len(values)))


def half_away(value: Fraction) -> int:
    """Nearest integer, ties away from zero."""
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


def half_up(value: Fraction) -> int:
    """Nearest integer, ties towards plus infinity."""
    return floor(value + Fraction(1, 2))


def requantize(node: Requantize, acc: int, channel: int) -> int:
    """Scale, round, add the zero point, clamp; or count thresholds, clamp."""
    if isinstance(node, RequantizeThresholds):
        count = sum(acc >= int(threshold) for threshold in node.thresholds[channel])
        limit = node.element.q_max if node.is_descending[channel] else node.element.q_min
        code = limit - count if node.is_descending[channel] else limit + count
        return min(max(code, node.clamp_min), node.clamp_max)
    if isinstance(node, RequantizeTflite):
        shift = int(node.shift[channel])
        # The doubling high multiply rounds to nearest, ties upwards, in either sign.
        high = half_up(Fraction((acc << max(shift, 0)) * int(node.multiplier[channel]), 1 << 31))
        rounded = half_away(Fraction(high, 1 << max(-shift, 0)))
    elif isinstance(node, RequantizeFixed):
        first = Fraction(node.round_constant, -(1 << 17) if acc < 0 else 1 << 17)
        rounded = half_up(Fraction(acc * node.multiplier, 1 << 47) + first)
    else:
        assert isinstance(node, RequantizeOnnx)
        # round() of a float takes ties to even
        rounded = round(float(np.float32(acc) * np.float32(node.scale[channel])))
    return min(max(rounded + node.element.zero_point, node.clamp_min), node.clamp_max)
