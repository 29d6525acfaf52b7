"""Run a program on any simulator: the image once, then inputs, runs and outputs per image."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.program import Program, Slot, StoredTensor
from systolic.spec.registers import Registers


class Simulator(Protocol):
    """What every simulator offers; addresses and counts are in scratchpad words."""

    def write(self, addr: int, data: bytes) -> None:
        """Write whole words from ``addr`` on."""
        ...

    def read(self, addr: int, count: int) -> bytes:
        """Read ``count`` words from ``addr`` on."""
        ...

    def run(self, addr: int, *, step: bool = False, resume: bool = False) -> list[Registers]:
        """Run the program at ``addr``; counters at each stop.

        With ``resume`` it goes on, and so do the counters, where the one before it has ended.
        """
        ...


def run_network(
    simulator: Simulator,
    program: Program,
    *images: ArrayLike,
    slot: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[tuple[NDArray[np.int64], ...], list[list[Registers]]]:
    """Run a network over a batch.

    Parameters
    ----------
    simulator : Simulator
        Made for the program's configuration.
    program : Program
        The network.
    *images : array of int, shape (n, ...)
        Values q, one batch per input of the network.
    slot : int, optional
        Which slot to run in; by default the images take turns in all that the program has.
    progress : callable, optional
        Called with the number of images done, after each.

    Returns
    -------
    tuple of ndarray of int64, shape (n, ...)
        Values q of each output.
    list of list of Registers
        For each image, the counters at each SYNC; those of layers are
        :attr:`mapping.program.Program.layer_stops`.

    Raises
    ------
    ValueError
        If the number, shape or values of inputs do not fit.
    """
    packed = _pack(program, images)
    slots = program.slots if slot is None else (program.slots[slot],)
    for part in program.resident:
        simulator.write(part.address, program.words_of(part))
    results: list[list[NDArray[np.int64]]] = [[] for _ in program.outputs]
    counters: list[list[Registers]] = []
    for index, inputs in enumerate(zip(*packed, strict=True)):
        place = slots[index % len(slots)]
        for tensor, data in zip(place.inputs, inputs, strict=True):
            simulator.write(tensor.address, data)
        counters.append(_run_parts(simulator, program, place))
        for tensor, values in zip(place.outputs, results, strict=True):
            values.append(read_tensor(simulator, program, tensor))
        if progress is not None:
            progress(index + 1)
    outputs = tuple(
        np.stack(values) if values else np.zeros((0, *tensor.shape), np.int64)
        for values, tensor in zip(results, program.outputs, strict=True)
    )
    return outputs, counters


def _run_parts(simulator: Simulator, program: Program, slot: Slot) -> list[Registers]:
    """One image, from inputs that have been written; counters at each SYNC."""
    marks: list[Registers] = []
    for number, part in enumerate(program.runs(slot)):
        if part in program.streamed:
            simulator.write(part.address, program.words_of(part))
        marks += simulator.run(part.entry, step=True, resume=number > 0)
    return marks


def read_tensor(simulator: Simulator, program: Program, tensor: StoredTensor) -> NDArray[np.int64]:
    """Values q of a tensor as it lies in the scratchpad now, in its network shape.

    Packed inputs cannot be read back: :exc:`ValueError`.
    """
    if tensor.packing is not None:
        raise ValueError(
            f"{tensor.name} is packed by the host: its pixels are not stored one by one"
        )
    words = tensor.words(program.config)
    return tensor.unpack(simulator.read(tensor.address, words), program.config)


def _pack(program: Program, images: Sequence[ArrayLike]) -> list[list[bytes]]:
    if len(images) != len(program.inputs):
        raise ValueError(f"{program.name} has {len(program.inputs)} input(s), not {len(images)}")
    packed = [program.pack_input(batch, index) for index, batch in enumerate(images)]
    if len({len(batch) for batch in packed}) > 1:
        raise ValueError(
            f"all inputs must have the same number of images, not {[len(b) for b in packed]}"
        )
    return packed
