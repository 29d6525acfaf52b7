"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED.

Requantization is TensorFlow Lite's ``QuantizeMultiplier`` of the real scale, in the float types
that its kernels compute it in: double for one scale per channel, but the fully connected kernel
multiplies input and weight scale in float32 where there is one scale.
"""

from math import prod

import numpy as np
from numpy.typing import NDArray

from mapping.builder import PadSpec, Value
from mapping.host_ends import Affine
from mapping.importers.errors import RefusedError
from mapping.importers.tflite.records import (
    ConvOptions,
    FullyConnectedOptions,
    Operator,
    PaddingKind,
    Tensor,
)
from mapping.importers.tflite.walk import (
    Walk,
    activations,
    clamp_of,
    per_tensor,
    scales,
    zero_point,
)
from mapping.ops import ActType
from mapping.quantize import quantize_scale


def conv(walk: Walk, operator: Operator) -> Value:
    """Import CONV_2D, with groups where the input has more channels than the weights."""
    weights = walk.constant(walk.tensor(operator, 1), "INT8")
    if weights.ndim != 4:
        raise RefusedError(f"its weights must have 4 axes, not {weights.ndim}")
    channels = walk.value(operator).type.channels
    if channels % weights.shape[3]:
        raise RefusedError(
            f"its {channels} input channels are no multiple of its weights' {weights.shape[3]}"
        )
    kernel = weights.transpose(1, 2, 3, 0)
    return _convolve(walk, operator, kernel, channels // weights.shape[3], axis=0)


def depthwise_conv(walk: Walk, operator: Operator) -> Value:
    """Import DEPTHWISE_CONV_2D with any number of output channels per input channel."""
    weights = walk.constant(walk.tensor(operator, 1), "INT8")
    if weights.ndim != 4 or weights.shape[0] != 1:
        raise RefusedError(f"its weights must have the shape (1, h, w, c), not {weights.shape}")
    channels = walk.value(operator).type.channels
    if weights.shape[3] % channels:
        raise RefusedError(
            f"its {weights.shape[3]} output channels are no multiple of {channels} input channels"
        )
    return _convolve(walk, operator, weights.reshape(*weights.shape[1:3], 1, -1), channels, axis=3)


def _convolve(
    walk: Walk, operator: Operator, kernel: NDArray[np.integer], groups: int, axis: int
) -> Value:
    options, weights = operator.options, walk.tensor(operator, 1)
    assert isinstance(options, ConvOptions)  # read by the operator's name
    if zero_point(weights) != 0:
        raise RefusedError("its weights must have zero point 0")
    source, _ = activations(walk.tensor(operator, 0))
    result, _ = activations(walk.output(operator))
    factors = source.scale * scales(weights, kernel.shape[3], axis) / result.scale
    acc = walk.value(operator).conv2d(
        kernel.astype(np.int32),
        _bias(walk, operator, kernel.shape[3]),
        stride=options.stride,
        dilation=options.dilation,
        pad=pad_spec(options.padding),
        groups=groups,
        name=operator.label,
    )
    return _requantize(acc, factors, result, options.activation)


def fully_connected(walk: Walk, operator: Operator) -> Value:
    """Import FULLY_CONNECTED; the input is flattened unless its last axis is the weights'."""
    options, tensor = operator.options, walk.tensor(operator, 1)
    assert isinstance(options, FullyConnectedOptions)  # read by the operator's name
    if options.weights_format != 0:
        raise RefusedError("its weights are shuffled: convert the model without that option")
    weights = walk.constant(tensor, "INT8")
    if weights.ndim != 2:
        raise RefusedError(f"its weights must have 2 axes, not {weights.ndim}")
    outputs, features = weights.shape
    source, _ = activations(walk.tensor(operator, 0))
    result, shape = activations(walk.output(operator))
    value = walk.value(operator)
    if prod(value.type.shape) == features:
        value = value if value.type.shape == (features,) else value.flatten()
    acc = value.matmul(
        weights.T.astype(np.int32) - zero_point(tensor),
        _bias(walk, operator, outputs),
        weight_bits=9 if zero_point(tensor) else 8,
        name=operator.label,
    )
    done = _requantize(acc, _dense_factors(tensor, source, result, outputs), result,
                       options.activation)  # fmt: skip
    return done if done.type.shape == shape.shape else done.reshape(*shape.shape)


def _dense_factors(
    weights: Tensor, source: Affine, result: Affine, outputs: int
) -> NDArray[np.float64]:
    quantization = weights.quantization
    if quantization is not None and len(quantization.scales) > 1:
        return source.scale * scales(weights, outputs, axis=0) / result.scale
    product = np.float32(source.scale) * np.float32(per_tensor(weights).scale)
    return np.full(outputs, np.float64(product) / result.scale)


def pad_spec(padding: int) -> PadSpec:
    """Padding of the file as the builder's."""
    if padding not in (PaddingKind.SAME, PaddingKind.VALID):
        raise RefusedError(f"its padding {padding} is unknown")
    return "same" if padding == PaddingKind.SAME else "valid"


def _bias(walk: Walk, operator: Operator, channels: int) -> NDArray[np.integer] | None:
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return None
    bias = walk.constant(walk.tensor(operator, 2), "INT32")
    if bias.shape != (channels,):
        raise RefusedError(f"its bias must have the shape ({channels},), not {bias.shape}")
    return bias


def _requantize(acc: Value, factors: NDArray[np.float64], result: Affine, activation: int) -> Value:
    low, high = clamp_of(activation, result)
    unique = np.unique(factors)
    used = unique if len(unique) == 1 else factors
    try:
        pairs = [quantize_scale(float(factor)) for factor in used]
    except ValueError as error:
        raise RefusedError(f"{error} (input scale x weight scale / output scale)") from None
    multipliers, shifts = zip(*pairs, strict=True)
    return acc.requantize(
        np.array(multipliers), np.array(shifts), ActType(8, True, result.zero_point),
        clamp=(low, high),
    )  # fmt: skip
