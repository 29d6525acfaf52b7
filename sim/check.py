"""Run a program on a simulator and check all that was promised: every output, every cycle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.program import LayerRecord, Program
from sim.runner import Simulator, run_network
from systolic.spec.registers import COUNTER_BITS

Outputs = tuple[NDArray[np.int64], ...]


@dataclass(frozen=True)
class LayerCheck:
    """One layer: predicted and counted.

    Parameters
    ----------
    record : LayerRecord
        With the prediction.
    cycles, busy_cycles : tuple of int
        The different counts that occurred, ascending; one each, as no timing depends on data.
    """

    record: LayerRecord
    cycles: tuple[int, ...]
    busy_cycles: tuple[int, ...]

    @property
    def is_as_predicted(self) -> bool:
        """Whether every image took exactly the predicted cycles."""
        predicted = (self.record.cycles,), (self.record.busy_cycles,)
        return (self.cycles, self.busy_cycles) == predicted


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What a run gave.

    Parameters
    ----------
    images : int
        Number of images.
    outputs : tuple of ndarray of int64, shape (n, ...)
        Values q of each output.
    layers : tuple of LayerCheck
        In order of execution.
    compared, differing : int
        Output values compared with the expected ones, and how many of them were not equal.
    """

    images: int
    outputs: Outputs
    layers: tuple[LayerCheck, ...]
    compared: int
    differing: int

    @property
    def unpredicted(self) -> tuple[str, ...]:
        """Names of the layers whose cycles were not as predicted."""
        return tuple(layer.record.name for layer in self.layers if not layer.is_as_predicted)

    @property
    def is_good(self) -> bool:
        """Whether nothing differs."""
        return not self.differing and not self.unpredicted

    @property
    def cycles(self) -> int:
        """Counted cycles of one image (the most that any took)."""
        return sum(layer.cycles[-1] for layer in self.layers)


def check_program(
    simulator: Simulator,
    program: Program,
    inputs: Sequence[ArrayLike],
    expected: Outputs | None,
    progress: Callable[[int], None] | None = None,
) -> CheckReport:
    """Run a batch of at least one image and compare.

    Parameters
    ----------
    simulator : Simulator
        Made for the program's configuration.
    program : Program
        What to run.
    inputs : sequence of array of int, shape (n, ...)
        Values q, one batch per input of the network.
    expected : tuple of ndarray of int64, shape (n, ...), or None
        What each output has to be; None compares cycles only.
    progress : callable, optional
        Called with the number of images done.

    Raises
    ------
    ValueError
        If inputs do not fit the program.
    """
    outputs, counters = run_network(simulator, program, *inputs, progress=progress)
    stops = program.layer_stops
    counts = np.array(
        [[(marks[stop].cycles, marks[stop].busy_cycles) for stop in stops] for marks in counters]
    ).reshape(len(counters), len(stops), 2)
    # Counters count on through a program, modulo 2**32; layers are the differences.
    layers = np.diff(counts, axis=1, prepend=0) % (1 << COUNTER_BITS)
    pairs = list(zip(outputs, expected, strict=True)) if expected is not None else []
    return CheckReport(
        images=len(counters),
        outputs=outputs,
        layers=tuple(
            LayerCheck(record, _distinct(layers[:, index, 0]), _distinct(layers[:, index, 1]))
            for index, record in enumerate(program.layers)
        ),
        compared=sum(output.size for output, _ in pairs),
        differing=sum(int(np.count_nonzero(output != wanted)) for output, wanted in pairs),
    )


def count_right(scores: NDArray[Any], labels: NDArray[np.integer]) -> int:
    """How many images got their highest score (the first of equal ones) at their label.

    Parameters
    ----------
    scores : ndarray of numbers, shape (n, classes)
        A classifier's output.
    labels : ndarray of int, shape (n,)
        The right classes.
    """
    return int(np.count_nonzero(scores.argmax(axis=1) == labels))


def _distinct(values: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(value) for value in np.unique(values))
