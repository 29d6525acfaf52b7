"""Convolutions and matrix products, of floats between quantizations and of integers."""

from typing import NamedTuple

import numpy as np

from mapping.builder import Value
from mapping.fixed_point import IntArray
from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import integer, number
from mapping.importers.onnx.operators.quantization import centred
from mapping.importers.onnx.operators.windows import image, image_index, image_shape, read_windows
from mapping.importers.onnx.records import Node
from mapping.importers.onnx.rescale import float32_error, requantized
from mapping.importers.onnx.values import (
    BITS,
    Codes,
    FloatArray,
    Grid,
    Real,
    Sums,
    Weights,
    natural,
)
from mapping.importers.onnx.walk import Walk

MAX_WEIGHT_BITS = 9
"""Of 8 bits less a zero point."""

SCALES = ("float", "float16")
"""Types of QLinearMatMul's scales; those of float16 are exactly float32 as well."""


class Batch(NamedTuple):
    """Weights of several products of one shape, side by side: shape (inputs, size x outputs)."""

    weights: Weights
    size: int


def conv(walk: Walk, node: Node) -> Sums:
    """Import Conv of dequantized activations and weights."""
    real, weights = _operands(walk, node)
    bias = _float_bias(walk, node, 2, real, weights, weights.values.shape[0])
    return _real_sums(real, weights, bias, *_convolve(walk, node, real.codes, weights, bias))


def gemm(walk: Walk, node: Node) -> Sums:
    """Import Gemm of dequantized activations and weights."""
    for name in ("alpha", "beta"):
        if number(node, name, 1.0) != 1:
            raise RefusedError(f"its {name} must be 1")
    real, weights = _operands(walk, node)
    matrix = _gemm_matrix(node, weights)
    bias = _float_bias(walk, node, 2, real, matrix, _outputs(matrix))
    return _real_sums(real, matrix, bias, *_multiply(walk, node, real.codes, matrix, bias))


def matmul(walk: Walk, node: Node) -> Sums:
    """Import MatMul of dequantized activations and weights."""
    real, weights = _operands(walk, node)
    batch = _stacked(weights)
    acc, index = _multiply(walk, node, real.codes, batch.weights, None, batch.size)
    return _real_sums(real, batch.weights, None, acc, index)


def qlinear_conv(walk: Walk, node: Node) -> Codes:
    """Import QLinearConv."""
    source, result = walk.grid(node, 1), walk.grid(node, 6)
    weights = _integer_weights(walk, node, 3, axis=0)
    bias = _integer_bias(walk, node, 8)
    codes = walk.codes(node, 0, source)
    return _requantized(_convolve(walk, node, codes, weights, bias), source, weights, result)


def qlinear_matmul(walk: Walk, node: Node) -> Codes:
    """Import QLinearMatMul with constant weights."""
    source, result = walk.grid(node, 1, *SCALES), walk.grid(node, 6, *SCALES)
    batch = _stacked(_integer_weights(walk, node, 3, axis=-1, kinds=SCALES))
    codes = walk.codes(node, 0, source)
    placed = _multiply(walk, node, codes, batch.weights, None, batch.size)
    return _requantized(placed, source, batch.weights, result)


def qgemm(walk: Walk, node: Node) -> Codes:
    """Import QGemm of ONNX Runtime's own domain."""
    if number(node, "alpha", 1.0) != 1:
        raise RefusedError("its alpha must be 1")
    if not walk.has(node, 7):
        raise RefusedError("its result must be quantized: it needs an output scale")
    source, result = walk.grid(node, 1), walk.grid(node, 7)
    is_transposed = integer(node, "transB", 0)
    weights = _integer_weights(walk, node, 3, axis=0 if is_transposed else -1)
    matrix = _gemm_matrix(node, weights)
    bias = _integer_bias(walk, node, 6)
    codes = walk.codes(node, 0, source)
    return _requantized(_multiply(walk, node, codes, matrix, bias), source, matrix, result)


def conv_integer(walk: Walk, node: Node) -> Sums:
    """Import ConvInteger, whose sums have to be cast, scaled and quantized."""
    codes, weights = _integer_operands(walk, node, axis=0)
    return _integer_sums(codes, weights, *_convolve(walk, node, codes, weights, None))


def matmul_integer(walk: Walk, node: Node) -> Sums:
    """Import MatMulInteger, whose sums have to be cast, scaled and quantized."""
    codes, weights = _integer_operands(walk, node, axis=-1)
    batch = _stacked(weights)
    acc, index = _multiply(walk, node, codes, batch.weights, None, batch.size)
    return _integer_sums(codes, batch.weights, acc, index)


def _operands(walk: Walk, node: Node) -> tuple[Real, Weights]:
    """Dequantized activations and dequantized constants."""
    weights = None if walk.is_constant(node, 1) else walk.thing(node, 1)
    if not isinstance(weights, Weights):
        if weights is None:
            raise RefusedError("its weights are not quantized: they must be quantized constants")
        raise RefusedError(
            "its weights are computed: they must be quantized constants here; lazy tensors "
            "(mapping.tensor) multiply computed ones"
        )
    real = walk.real(node, 0)
    if real.grid is None:
        raise RefusedError("its input must come straight from DequantizeLinear")
    return real, weights


def _integer_weights(
    walk: Walk, node: Node, position: int, axis: int, kinds: tuple[str, ...] = ()
) -> Weights:
    """Constant integers with their scales and zero points in the next two inputs."""
    found = walk.constant_of(node, position, *BITS)
    scales = walk.scales(node, position + 1, *kinds)
    zeros = walk.constant(node, position + 2, *BITS).ravel()
    if not found.values.ndim:
        raise RefusedError("its weights must have axes")
    return centred(found.values, zeros, scales, axis % found.values.ndim)


def _integer_operands(walk: Walk, node: Node, axis: int) -> tuple[Codes, Weights]:
    """Operands of ConvInteger and MatMulInteger, which have zero points only."""
    found = walk.constant_of(node, 1, *BITS)
    zeros = walk.constant(node, 3, *BITS).ravel() if walk.has(node, 3) else np.zeros(1)
    if not found.values.ndim:
        raise RefusedError("its weights must have axes")
    ones = np.ones(1, np.float32)
    weights = centred(found.values, zeros, ones, axis % found.values.ndim)
    if walk.has(node, 2):
        zero = walk.constant_of(node, 2, *BITS)
        if zero.values.size != 1:
            raise RefusedError(f"activations must have one zero point, not {zero.values.size}")
        grid = Grid(1.0, int(zero.values.ravel()[0]), zero.kind)
    else:
        grid = Grid(1.0, 0, walk.kind(node, 0))
    return walk.codes(node, 0, grid), weights


def _integer_bias(walk: Walk, node: Node, position: int) -> IntArray | None:
    if not walk.has(node, position):
        return None
    return walk.constant(node, position, "int32").astype(np.int64).ravel()


def _float_bias(
    walk: Walk, node: Node, position: int, real: Real, weights: Weights, channels: int
) -> IntArray | None:
    """Quantized bias, in steps of input times weight scale."""
    if not walk.has(node, position):
        return None
    bias = None if walk.is_constant(node, position) else walk.thing(node, position)
    if not isinstance(bias, Weights):
        raise RefusedError("its bias must be quantized to int32, as quantize_static does")
    wanted = _product(real, weights)
    if bias.scales.size not in (1, channels) or np.any(bias.scales != wanted):
        raise RefusedError("its bias must be quantized with input scale times weight scale")
    values = bias.values.ravel()
    if values.size not in (1, channels):
        raise RefusedError(f"its bias must have {channels} values, not {values.size}")
    return np.broadcast_to(values, channels)


def _product(real: Real, weights: Weights) -> FloatArray:
    assert real.grid is not None  # _operands() has looked
    return np.float32(real.grid.scale) * weights.scales


def _gemm_matrix(node: Node, weights: Weights) -> Weights:
    """Weights as (inputs, outputs)."""
    if integer(node, "transA", 0):
        raise RefusedError("its activations must not be transposed")
    if weights.values.ndim != 2:
        raise RefusedError(f"its weights must have 2 axes, not {weights.values.ndim}")
    if not integer(node, "transB", 0):
        return weights
    return Weights(weights.values.T, weights.scales, 1 - weights.axis)


def _stacked(weights: Weights) -> Batch:
    """Weights by batches, (size, inputs, outputs), side by side; of two axes they are one batch."""
    values = weights.values
    if values.ndim != 3:
        return Batch(weights, 1)
    _check_axis(weights, 2)
    size, inputs, outputs = values.shape
    scales = np.tile(weights.scales, size) if weights.scales.size > 1 else weights.scales
    side_by_side = values.transpose(1, 0, 2).reshape(inputs, size * outputs)
    return Batch(Weights(side_by_side, scales, 1), size)


def _outputs(weights: Weights) -> int:
    return weights.values.shape[-1]


def _convolve(
    walk: Walk, node: Node, codes: Codes, weights: Weights, bias: IntArray | None
) -> tuple[Value, IntArray]:
    """Accumulators of a convolution, and where they lie."""
    kernel = weights.values
    channels, _, _ = image_shape(codes)
    if kernel.ndim != codes.index.ndim:
        raise RefusedError(f"its weights must have {codes.index.ndim} axes, not {kernel.ndim}")
    _check_axis(weights, 0)
    if kernel.ndim == 3:
        kernel = kernel[:, :, np.newaxis]
    groups = integer(node, "group", 1)
    if groups < 1 or channels != groups * kernel.shape[1]:
        raise RefusedError(
            f"its {channels} input channels must be {groups} groups of {kernel.shape[1]}"
        )
    windows = read_windows(node, (kernel.shape[2], kernel.shape[3]), codes)
    walk.spend(kernel.size)
    acc = image(codes).conv2d(
        kernel.transpose(2, 3, 1, 0).astype(np.int32), _int32(bias, kernel.shape[0]),
        stride=windows.stride, dilation=windows.dilation, pad=windows.pad, groups=groups,
        weight_bits=_bits(kernel), name=node.label,
    )  # fmt: skip
    return acc, image_index(acc, codes)


def _multiply(
    walk: Walk, node: Node, codes: Codes, weights: Weights, bias: IntArray | None, batches: int = 1
) -> tuple[Value, IntArray]:
    """Accumulators of a matrix product over the last axis, and where they lie."""
    matrix, index = weights.values, codes.index
    if matrix.ndim != 2:
        raise RefusedError(f"its weights must have 2 axes, or 3 by batches, not {matrix.ndim}")
    _check_axis(weights, 1)
    features, outputs = matrix.shape
    if not index.ndim or index.shape[-1] != features:
        raise RefusedError(f"its input must have {features} features, not {index.shape[-1:]}")
    if batches > 1:
        return _multiply_by_batch(walk, node, codes, matrix, batches)
    value, rows = codes.value, index.size // features
    if rows == 1:
        # The order of one row costs nothing: the weights take it.
        placed = np.empty_like(matrix)
        placed[index.ravel()] = matrix
        matrix, shape = placed, (features,)
    elif np.array_equal(index.ravel(), np.arange(index.size)):
        shape = value.type.shape if value.type.channels == features else (1, rows, features)
    else:
        raise RefusedError("its input's last axis does not lie last: that would take a copy")
    walk.spend(matrix.size)
    value = value if value.type.shape == shape else value.reshape(*shape)
    acc = value.matmul(
        matrix.astype(np.int32), _int32(bias, outputs), weight_bits=_bits(matrix), name=node.label
    )
    return acc, natural((*index.shape[:-1], outputs))


def _multiply_by_batch(
    walk: Walk, node: Node, codes: Codes, matrix: IntArray, batches: int
) -> tuple[Value, IntArray]:
    """Products of each batch with its own weights: a convolution of 1x1, in groups of channels."""
    features, outputs = matrix.shape
    if codes.index.ndim != 3 or codes.index.shape[0] != batches:
        raise RefusedError(f"its input must have 3 axes, the first of {batches} batches")
    rows = codes.index.shape[1]
    lying = natural((rows, batches, features)).transpose(1, 0, 2)
    if not np.array_equal(codes.index, lying):
        raise RefusedError("its batches do not lie side by side: that would take a copy")
    walk.spend(matrix.size)
    acc = codes.value.reshape(1, rows, batches * features).conv2d(
        matrix.reshape(1, 1, features, outputs).astype(np.int32), groups=batches,
        weight_bits=_bits(matrix), name=node.label,
    )  # fmt: skip
    each = outputs // batches
    return acc, natural((rows, batches, each)).transpose(1, 0, 2)


def _check_axis(weights: Weights, axis: int) -> None:
    if weights.scales.size > 1 and weights.axis != axis:
        raise RefusedError(f"its weights' scales must be along axis {axis}, not {weights.axis}")


def _bits(weights: IntArray) -> int:
    """Bits that the weights take, two or more."""
    largest = max(int(weights.max(initial=0)), -int(weights.min(initial=0)) - 1)
    bits = max(largest.bit_length() + 1, 2)
    if bits > MAX_WEIGHT_BITS:
        raise RefusedError(f"its weights must have at most {MAX_WEIGHT_BITS} bits, not {bits}")
    return bits


def _int32(bias: IntArray | None, channels: int) -> IntArray | None:
    if bias is not None and bias.shape != (channels,):
        raise RefusedError(f"its bias must have the shape ({channels},), not {bias.shape}")
    return bias


def _requantized(
    placed: tuple[Value, IntArray], source: Grid, weights: Weights, result: Grid
) -> Codes:
    """Result of a kernel on integers: one float32 scale per channel, computed as it does."""
    acc, index = placed
    scales = np.float32(source.scale) * weights.scales
    return Codes(requantized(acc, scales / np.float32(result.scale), result), index)


def _real_sums(
    real: Real, weights: Weights, bias: IntArray | None, acc: Value, index: IntArray
) -> Sums:
    assert real.grid is not None  # _operands() has looked
    bounds = _bounds(real.codes, weights, acc.type.channels, bias)
    terms = weights.values.size // acc.type.channels + (bias is not None)
    error = float32_error(terms, weights.scales, real.grid.scale, bounds)
    return Sums(acc, index, _product(real, weights), 1, bounds, error)


def _integer_sums(codes: Codes, weights: Weights, acc: Value, index: IntArray) -> Sums:
    bounds = _bounds(codes, weights, acc.type.channels, None)
    return Sums(acc, index, np.ones(1, np.float32), 1, bounds, error=0.0)


def _bounds(codes: Codes, weights: Weights, channels: int, bias: IntArray | None) -> IntArray:
    """For each output channel, the largest sum of all terms' magnitudes."""
    values = np.abs(weights.values)
    # A convolution's output channels are its weights' first axis, a matrix's their last.
    sums = values.sum(0) if values.ndim == 2 else values.reshape(channels, -1).sum(1)
    bounds = sums * int(np.abs(codes.centred()).max())
    return bounds if bias is None else bounds + np.abs(bias)
