"""The numpy interpreter of the graph: the exact integer meaning of every node.

Everything that runs a network (functional simulator, gateware, board) has to give these integers.
Nothing wraps: a sum that leaves 32 bits is an error here, as the compiler promises it cannot be.

Arrays hold a batch on the first axis and int64 elements: (n, height, width, channels) or
(n, features).
"""

from functools import singledispatch
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from mapping.batch_shape import batch_text
from mapping.graph import Graph
from mapping.ops import (
    ActType,
    Add,
    AvgPool2d,
    Clamp,
    Concat,
    Constant,
    Conv2d,
    DynamicMatMul,
    GlobalAvgPool,
    Input,
    Lut,
    MatMul,
    MaxPool2d,
    Node,
    Pad,
    Padding,
    RequantizeFixed,
    RequantizeOnnx,
    RequantizeTflite,
    RequantizeThresholds,
    Reshape,
    TensorType,
)
from mapping.ops.types import ACC_MAX, ACC_MIN
from mapping.ops.window import Window
from systolic.spec.arithmetic import requantize_hardware, requantize_onnx, requantize_tflite
from systolic.spec.rounding import Rounding

CHUNK_IMAGES: Final = 32
Tensor = NDArray[np.int64]
Operands = tuple[Tensor, ...]
Types = tuple[TensorType, ...]


class AccumulatorOverflowError(ArithmeticError):
    """A sum left the 32 bits of an accumulator.

    Parameters
    ----------
    node_id : int
        The node that overflowed.
    label : str
        Its kind and name.
    value : int
        The sum furthest from zero.
    """

    def __init__(self, node_id: int, label: str, value: int) -> None:
        super().__init__(
            f"node {node_id}, {label}: a sum of {value} does not fit a 32-bit accumulator; "
            "use smaller weights or fewer inputs"
        )
        self.node_id = node_id
        self.value = value


def run_all(graph: Graph, *inputs: ArrayLike) -> tuple[Tensor, ...]:
    """Run a batch and return every node's result.

    Parameters
    ----------
    graph : Graph
        The network.
    *inputs : array of integers, shape (n, ...)
        One batch per input node, within that input's ``q_min..q_max``.

    Returns
    -------
    tuple of ndarray of int64, shape (n, ...)
        The result of each node, by id.

    Raises
    ------
    ValueError
        If an input has another shape, a value out of range, or there are too few or many inputs.
    AccumulatorOverflowError
        If a sum leaves 32 bits.
    """
    return _interpret(graph, _check_inputs(graph, inputs))


def run(graph: Graph, *inputs: ArrayLike) -> tuple[Tensor, ...]:
    """Run a batch and return the network's outputs; see :func:`run_all`.

    Images are taken in parts, so that a long batch needs little more memory than a short one.
    """
    batches = _check_inputs(graph, inputs)
    parts: list[tuple[Tensor, ...]] = []
    for start in range(0, max(len(batches[0]), 1), CHUNK_IMAGES):
        results = _interpret(graph, [batch[start : start + CHUNK_IMAGES] for batch in batches])
        parts.append(tuple(results[output] for output in graph.outputs))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _interpret(graph: Graph, batches: list[Tensor]) -> tuple[Tensor, ...]:
    pending = iter(batches)
    results: list[Tensor] = []
    for node_id, node in graph.order():
        if isinstance(node, Input):
            results.append(next(pending))
            continue
        if isinstance(node, Constant):
            values = node.values.astype(np.int64)
            results.append(np.broadcast_to(values, (len(batches[0]), *values.shape)))
            continue
        operands = tuple(results[operand] for operand in node.inputs)
        result = evaluate(node, operands, graph.input_types(node_id))
        if not isinstance(graph.types[node_id].element, ActType):
            _check_accumulators(node_id, node, result)
        results.append(result)
    return tuple(results)


def _check_inputs(graph: Graph, inputs: tuple[ArrayLike, ...]) -> list[Tensor]:
    if len(inputs) != len(graph.input_ids):
        raise ValueError(f"the network has {len(graph.input_ids)} input(s), not {len(inputs)}")
    batches: list[Tensor] = []
    for node_id, given in zip(graph.input_ids, inputs, strict=True):
        tensor, batch = graph.types[node_id], np.asarray(given)
        if batch.dtype.kind not in "iu":
            raise ValueError(f"input {node_id} must hold integers, not {batch.dtype}")
        if batch.ndim == 0 or batch.shape[1:] != tensor.shape:
            raise ValueError(f"input {node_id} must have shape {batch_text(tensor.shape)}, "
                             f"not {batch.shape}")  # fmt: skip
        if batches and len(batch) != len(batches[0]):
            raise ValueError(f"input {node_id} must have {len(batches[0])} images as the first, "
                             f"not {len(batch)}")  # fmt: skip
        assert isinstance(tensor.element, ActType)  # an Input holds nothing else
        low, high = tensor.element.q_min, tensor.element.q_max
        if batch.size and not (batch.min() >= low and batch.max() <= high):
            raise ValueError(
                f"input {node_id} must hold {low}..{high}, not {batch.min()}..{batch.max()}"
            )
        batches.append(batch.astype(np.int64))
    return batches


def _check_accumulators(node_id: int, node: Node, acc: Tensor) -> None:
    if acc.size and (acc.min() < ACC_MIN or acc.max() > ACC_MAX):
        worst = max(int(acc.min()), int(acc.max()), key=abs)
        raise AccumulatorOverflowError(node_id, node.label, worst)


@singledispatch
def evaluate(node: Node, operands: Operands, types: Types) -> Tensor:
    """Compute the result of one node.

    Parameters
    ----------
    node : Node
        Any kind but :class:`Input` and :class:`Constant`.
    operands : tuple of ndarray of int64, shape (n, ...)
        Its inputs' values.
    types : tuple of TensorType
        Its inputs' types.

    Returns
    -------
    ndarray of int64, shape (n, ...)
        The result; sums are not yet checked to fit 32 bits.

    Raises
    ------
    TypeError
        If the node is one of these, which compute nothing.
    """
    raise TypeError(f"{node.label} computes nothing: its values are given")


@evaluate.register
def _conv2d(node: Conv2d, operands: Operands, types: Types) -> Tensor:
    padded = _pad_image(_centred(operands[0], types[0]), node.pad, 0)
    # (n, rows, cols, channels, kernel_h, kernel_w)
    windows = _windows(padded, node.window)
    taps = windows.transpose(0, 1, 2, 4, 5, 3)
    images, rows, cols, kernel_h, kernel_w, channels = taps.shape
    per_group = channels // node.groups
    grouped = taps.reshape(images * rows * cols, kernel_h * kernel_w, node.groups, per_group)
    left = grouped.transpose(2, 0, 1, 3).reshape(node.groups, -1, kernel_h * kernel_w * per_group)
    right = node.weights.reshape(left.shape[2], node.groups, -1).transpose(1, 0, 2)
    sums = _exact_matmul(left, right).transpose(1, 0, 2)  # (pixels, groups, out_channels / groups)
    return sums.reshape(images, rows, cols, node.out_channels) + node.bias


@evaluate.register
def _matmul(node: MatMul, operands: Operands, types: Types) -> Tensor:
    return _exact_matmul(_centred(operands[0], types[0]), node.weights) + node.bias


@evaluate.register
def _dynamic_matmul(node: DynamicMatMul, operands: Operands, types: Types) -> Tensor:
    left, right = (_centred(*pair) for pair in zip(operands, types, strict=True))
    pixels = left.reshape(len(left), -1, types[0].channels)
    others = right.reshape(len(right), -1, types[1].channels)
    sums = _exact_matmul(pixels, others.swapaxes(1, 2))
    return sums.reshape(len(left), *types[0].shape[:-1], types[1].pixels)


@evaluate.register
def _add(node: Add, operands: Operands, types: Types) -> Tensor:
    left, right = (_centred(*pair) for pair in zip(operands, types, strict=True))
    return node.weights[0] * left + node.weights[1] * right


@evaluate.register
def _requantize_tflite(node: RequantizeTflite, operands: Operands, types: Types) -> Tensor:
    rounded = requantize_tflite(operands[0], node.multiplier, node.shift)
    return np.clip(rounded + node.element.zero_point, node.clamp_min, node.clamp_max)


@evaluate.register
def _requantize_onnx(node: RequantizeOnnx, operands: Operands, types: Types) -> Tensor:
    rounded = requantize_onnx(operands[0], node.scale)
    return np.clip(rounded + node.element.zero_point, node.clamp_min, node.clamp_max)


@evaluate.register
def _requantize_fixed(node: RequantizeFixed, operands: Operands, types: Types) -> Tensor:
    rounded = requantize_hardware(
        operands[0], 0, node.multiplier, node.round_constant, Rounding.TFLITE
    )
    return np.clip(rounded + node.element.zero_point, node.clamp_min, node.clamp_max)


@evaluate.register
def _requantize_thresholds(node: RequantizeThresholds, operands: Operands, types: Types) -> Tensor:
    acc, element = operands[0], node.element
    count = np.zeros_like(acc)
    for threshold in node.thresholds.T:  # one after the other: as much memory as the sums have
        count += acc >= threshold
    rounded = np.where(node.is_descending, element.q_max - count, element.q_min + count)
    return np.clip(rounded, node.clamp_min, node.clamp_max)


@evaluate.register
def _clamp(node: Clamp, operands: Operands, types: Types) -> Tensor:
    return np.clip(operands[0], node.clamp_min, node.clamp_max)


@evaluate.register
def _lut(node: Lut, operands: Operands, types: Types) -> Tensor:
    return node.table.astype(np.int64)[operands[0] - _act(types[0]).q_min]


@evaluate.register
def _max_pool2d(node: MaxPool2d, operands: Operands, types: Types) -> Tensor:
    # The smallest value cannot win: every window holds at least one real element.
    padded = _pad_image(operands[0], node.pad, _act(types[0]).q_min)
    return _windows(padded, node.window).max(axis=(4, 5))


@evaluate.register
def _avg_pool2d(node: AvgPool2d, operands: Operands, types: Types) -> Tensor:
    windows = _windows(operands[0], node.window)
    return _rounded_mean(windows.sum(axis=(4, 5)), node.kernel[0] * node.kernel[1])


@evaluate.register
def _global_avg_pool(node: GlobalAvgPool, operands: Operands, types: Types) -> Tensor:
    return _rounded_mean(operands[0].sum(axis=(1, 2), keepdims=True), types[0].pixels)


@evaluate.register
def _concat(node: Concat, operands: Operands, types: Types) -> Tensor:
    return np.concatenate(operands, axis=-1)


@evaluate.register
def _reshape(node: Reshape, operands: Operands, types: Types) -> Tensor:
    return operands[0].reshape(len(operands[0]), *node.shape)


@evaluate.register
def _pad(node: Pad, operands: Operands, types: Types) -> Tensor:
    return _pad_image(operands[0], node.pad, _act(types[0]).zero_point)


def _act(tensor: TensorType) -> ActType:
    assert isinstance(tensor.element, ActType)  # the graph's type rules saw to it
    return tensor.element


def _centred(values: Tensor, tensor: TensorType) -> Tensor:
    return values - _act(tensor).zero_point


def _pad_image(values: Tensor, pad: Padding, fill: int) -> Tensor:
    borders = ((0, 0), (pad.top, pad.bottom), (pad.left, pad.right), (0, 0))
    return np.pad(values, borders, constant_values=fill)


def _windows(values: Tensor, window: Window) -> Tensor:
    """View of all windows, shape (n, rows, cols, channels, kernel_h, kernel_w)."""
    (down, right), (tap_down, tap_right) = window.stride, window.dilation
    every = sliding_window_view(values, window.reach, axis=(1, 2))
    return every[:, ::down, ::right, :, ::tap_down, ::tap_right]


def _exact_matmul(left: NDArray[np.integer], right: NDArray[np.integer]) -> Tensor:
    """Integer matmul by way of float64, many times faster than numpy's own on integers.

    Exact: |activation| < 2**9, |weight| <= 2**15 and at most 2**24 terms keep every partial sum
    below 2**48, and float64 holds all integers to 2**53.
    """
    return np.matmul(left.astype(np.float64), right.astype(np.float64)).astype(np.int64)


def _rounded_mean(sums: Tensor, count: int) -> Tensor:
    """Mean, rounded half away from zero (TensorFlow Lite's reference average pool)."""
    return np.sign(sums) * ((np.abs(sums) + count // 2) // count)
