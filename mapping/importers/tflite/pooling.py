"""AVERAGE_POOL_2D, MAX_POOL_2D and MEAN over rows and columns."""

import numpy as np

from mapping.builder import Value
from mapping.importers.errors import RefusedError
from mapping.importers.tflite.records import Operator, PaddingKind, PoolOptions
from mapping.importers.tflite.rescale import exact_mean
from mapping.importers.tflite.walk import Walk, activations, clamp_of
from mapping.importers.tflite.weighted import pad_spec
from mapping.ops import ActType


def max_pool(walk: Walk, operator: Operator) -> Value:
    """Import MAX_POOL_2D."""
    options = operator.options
    assert isinstance(options, PoolOptions)  # read by the operator's name
    pooled = walk.value(operator).max_pool2d(
        options.kernel, options.stride, pad=pad_spec(options.padding), name=operator.label
    )
    return _activated(walk, operator, pooled, options.activation)


def average_pool(walk: Walk, operator: Operator) -> Value:
    """Import AVERAGE_POOL_2D whose windows lie within the image."""
    options, value = operator.options, walk.value(operator)
    assert isinstance(options, PoolOptions)  # read by the operator's name
    if pad_spec(options.padding) == "same":
        extents = zip(value.type.shape, options.kernel, options.stride, strict=False)
        for extent, kernel, stride in extents:
            if stride >= 1 and (-(-extent // stride) - 1) * stride + kernel > extent:
                raise RefusedError(
                    f"its windows reach beyond the image ({PaddingKind.SAME.name} padding of "
                    f"{extent} by a kernel of {kernel}, stride {stride}): use VALID padding"
                )
    pooled = value.avg_pool2d(options.kernel, options.stride, name=operator.label)
    return _activated(walk, operator, pooled, options.activation)


def mean(walk: Walk, operator: Operator) -> Value:
    """Import MEAN over exactly rows and columns, as a sum with a weight of 1 for everything."""
    tensor, value = walk.tensor(operator, 0), walk.value(operator)
    axes = walk.constant(walk.tensor(operator, 1), "INT32").ravel()
    rank = len(tensor.shape)
    reduced = {int(axis) + rank if axis < 0 else int(axis) for axis in axes}
    if rank != 4 or reduced != {1, 2}:
        raise RefusedError(
            f"reduces the axes {sorted(reduced)} of {rank}: only rows and columns (1 and 2 of 4) "
            "are supported"
        )
    height, width, channels = value.type.shape
    source, _ = activations(tensor)
    result, shape = activations(walk.output(operator))
    scale = exact_mean(height * width, source, result)
    walk.spend(height * width * channels)
    sums = value.conv2d(
        np.ones((height, width, 1, channels), np.int32), groups=channels, name=operator.label
    )
    averaged = sums.requantize_fixed(
        scale.multiplier,
        ActType(8, True, result.zero_point),
        round_constant=scale.round_constant,
    )
    return averaged if shape.is_image else averaged.flatten()


def _activated(walk: Walk, operator: Operator, pooled: Value, activation: int) -> Value:
    """The pooled value with its fused activation; pooling does not rescale."""
    source, result = walk.tensor(operator, 0), walk.output(operator)
    if activations(source)[0] != activations(result)[0]:
        raise RefusedError(f"{source.label} and {result.label} must have one scale and zero point")
    low, high = clamp_of(activation, activations(result)[0])
    element = pooled.type.element
    assert isinstance(element, ActType)  # pooling gives activations
    if (low, high) == (element.q_min, element.q_max):
        return pooled
    return pooled.clamp(low, high)
