"""One run of a tensor's program on a device or simulator."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mapping.program import Program
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


def execute(
    device: Device, program: Program, given: Sequence[Values], lowered: Lowered
) -> NDArray[np.int64]:
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
        Says where the result's elements lie.

    Returns
    -------
    ndarray of int64
        Values q of the result.
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
    tensor = slot.outputs[0]
    data = device.read(tensor.address, tensor.words(program.config))
    stored = tensor.unpack(data, program.config)
    return lowered.values(stored)
