"""One run of a tensor's program on a device or simulator."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.program import Program
from mapping.tensor.expression import ExpressionError, Input
from mapping.tensor.lower import Lowered
from mapping.tensor.movement import Values
from systolic.spec.config import ArrayConfig


class Device(Protocol):
    """What devices and simulators offer; addresses and counts are in scratchpad words."""

    config: ArrayConfig

    def write(self, addr: int, data: bytes) -> object:
        """Write whole words from ``addr`` on."""
        ...

    def read(self, addr: int, count: int) -> bytes:
        """Read ``count`` words from ``addr`` on."""
        ...

    def run(self, addr: int, *, step: bool = False, resume: bool = False) -> object:
        """Run the program at ``addr`` to its end, or on from the one before it."""
        ...


def check_given(inputs: Sequence[Input], given: Sequence[ArrayLike]) -> list[Values]:
    """Arrays for a computation's inputs, if they are as many as these and fit them."""
    if len(given) != len(inputs):
        names = ", ".join(node.name for node in inputs)
        raise ValueError(f"needs {len(inputs)} input(s) ({names}), not {len(given)}")
    arrays: list[Values] = []
    for node, values in zip(inputs, given, strict=True):
        array, element = np.asarray(values), node.type
        if array.dtype.kind not in "iu" or array.shape != node.shape:
            raise ExpressionError(node, f"must be integers of shape {node.shape}, "
                                  f"not {array.dtype} of {array.shape}")  # fmt: skip
        if array.min() < element.q_min or array.max() > element.q_max:
            raise ExpressionError(node, f"must hold {element.q_min}..{element.q_max}, "
                                  f"not {array.min()}..{array.max()}")  # fmt: skip
        arrays.append(array.astype(np.int64))
    return arrays


def execute(
    device: Device, program: Program, given: Sequence[Values], lowered: Lowered
) -> tuple[NDArray[np.int64], ...]:
    """Run a program once, in its first slot.

    Parameters
    ----------
    device : Device
        Of the program's configuration.
    program : Program
        Compiled from the lowered graph.
    given : sequence of ndarray of int64
        Values q of the inputs, in order.
    lowered : Lowered
        Says where the results' elements lie.

    Returns
    -------
    tuple of ndarray of int64
        Values q of each result.
    """
    slot = program.slots[0]
    for part in program.resident:
        device.write(part.address, program.words_of(part))
    for number, values in enumerate(given):
        shape = program.inputs[number].shape
        (words,) = program.pack_input(values.reshape(1, *shape), number)
        device.write(slot.inputs[number].address, words)
    for number, part in enumerate(program.runs(slot)):
        if part in program.streamed:
            device.write(part.address, program.words_of(part))
        device.run(part.entry, resume=number > 0)
    results: list[NDArray[np.int64]] = []
    for number, tensor in enumerate(slot.outputs):
        data = device.read(tensor.address, tensor.words(program.config))
        results.append(lowered.values(tensor.unpack(data, program.config), number))
    return tuple(results)
