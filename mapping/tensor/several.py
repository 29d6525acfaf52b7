"""Several tensors at once: joined into one, or the results of one program."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.compiler import SlotCount, compile_network
from mapping.program import Program
from mapping.tensor.execute import Device, check_given, execute
from mapping.tensor.expression import Concat, ExpressionError, Input, in_order
from mapping.tensor.lower import lower
from mapping.tensor.tensor import Tensor
from systolic.spec.config import ArrayConfig


def concat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Join activations of one type along an axis, as ``numpy.concatenate``.

    Raises
    ------
    ExpressionError
        If shapes differ on another axis, or types differ.
    """
    if not tensors:
        raise ExpressionError("concat", "needs at least one tensor")
    first, axis = tensors[0], tensors[0].axis_number(axis)
    for one in tensors:
        others = [shape[:axis] + shape[axis + 1 :] for shape in (one.shape, first.shape)]
        if one.ndim != first.ndim or others[0] != others[1]:
            raise ExpressionError(one.expression, f"concat along axis {axis}: shape {one.shape} "
                                  f"does not fit {first.shape}")  # fmt: skip
        if one.element != first.element:
            raise ExpressionError(one.expression, f"concat needs tensors of one type, not "
                                  f"{first.element} and {one.element}")  # fmt: skip
    if len(tensors) == 1:
        return first
    return Tensor(Concat(tuple(one.expression for one in tensors), axis))


def inputs_of(tensors: Sequence[Tensor]) -> tuple[Input, ...]:
    """What the host gives for these tensors, in the order in which :func:`run_tensors` takes it."""
    order = in_order(*(tensor.expression for tensor in tensors))
    return tuple(node for node in order if isinstance(node, Input))


def compile_tensors(
    tensors: Sequence[Tensor],
    config: ArrayConfig,
    name: str = "tensors",
    *,
    slots: SlotCount = "auto",
) -> Program:
    """One program with an output for each tensor; what they share is computed once.

    Parameters
    ----------
    tensors : sequence of Tensor
        Activations.
    config : ArrayConfig
        The array.
    name : str
        Name for the program.
    slots : 1, 2 or "auto"
        As :func:`mapping.compiler.compile_network`.
    """
    lowered = lower(*(tensor.expression for tensor in tensors))
    return compile_network(lowered.graph, config, name=name, slots=slots)


def run_tensors(
    device: Device, tensors: Sequence[Tensor], *given: ArrayLike
) -> tuple[NDArray[np.int64], ...]:
    """Compile tensors for a device or simulator, run once, and give q of each."""
    lowered = lower(*(tensor.expression for tensor in tensors))
    arrays = check_given(inputs_of(tensors), given)
    program = compile_network(lowered.graph, device.config)
    return execute(device, program, arrays, lowered)
