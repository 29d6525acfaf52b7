"""RESHAPE, PAD and CONCATENATION: operators that only move activations."""

import numpy as np

from mapping.builder import Value
from mapping.importers.errors import RefusedError
from mapping.importers.tflite.records import Activation, ConcatOptions, Operator
from mapping.importers.tflite.walk import Walk, activations


def reshape(walk: Walk, operator: Operator) -> Value:
    """Import RESHAPE and the operators that are one; the output tensor has the new shape."""
    _check_one_scale(walk, operator, 1)
    _, result = activations(walk.output(operator))
    return walk.value(operator).reshape(*result.shape, name=operator.label)


def pad(walk: Walk, operator: Operator) -> Value:
    """Import PAD of rows and columns."""
    _check_one_scale(walk, operator, 1)
    borders = walk.constant(walk.tensor(operator, 1), "INT32")
    if borders.shape != (4, 2) or np.any(borders[[0, 3]]) or np.any(borders < 0):
        raise RefusedError(
            f"its paddings {borders.tolist()!s:.60} must be of rows and columns of an image only"
        )
    sides = borders[1:3].ravel().tolist()
    return walk.value(operator).pad(*sides, name=operator.label)


def concatenate(walk: Walk, operator: Operator) -> Value:
    """Import CONCATENATION along the channels."""
    options, result = operator.options, walk.output(operator)
    assert isinstance(options, ConcatOptions)  # read by the operator's name
    if options.activation != Activation.NONE:
        raise RefusedError("must have no fused activation")
    rank = len(result.shape)
    if options.axis not in (-1, rank - 1):
        raise RefusedError(f"joins axis {options.axis} of {rank}: only the last one is supported")
    _check_one_scale(walk, operator, len(operator.inputs))
    first, *others = (walk.value(operator, index) for index in range(len(operator.inputs)))
    return first.concat(*others, name=operator.label) if others else first


def _check_one_scale(walk: Walk, operator: Operator, inputs: int) -> None:
    """Refuse inputs that would have to be rescaled; TensorFlow Lite Micro does not do it either."""
    result = walk.output(operator)
    for position in range(inputs):
        source = walk.tensor(operator, position)
        if activations(source)[0] != activations(result)[0]:
            raise RefusedError(
                f"{source.label} and {result.label} must have one scale and zero point"
            )
