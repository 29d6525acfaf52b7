"""Compare what a device gives with what the network means: every output, bit for bit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.runtime import Outputs, Runtime
from mapping import reference
from mapping.graph import Graph

__all__ = ["StreamReport", "check_network", "check_stream"]


@dataclass(frozen=True, eq=False)
class StreamReport:
    """What a stream gave.

    Parameters
    ----------
    outputs : tuple of ndarray of int64, shape (n, ...)
        Values q of each output.
    compared, differing : int
        Output values compared, and how many of them were not equal.
    """

    outputs: Outputs
    compared: int
    differing: int

    @property
    def is_good(self) -> bool:
        """Whether nothing differs."""
        return not self.differing


def check_network(
    runtime: Runtime, graph: Graph, inputs: Sequence[NDArray[Any]], *, reconnects: int = 0
) -> StreamReport:
    """Stream a batch through a device, and compare with the reference interpreter.

    Parameters
    ----------
    runtime : Runtime
        A program that was compiled from the graph, on a device.
    graph : Graph
        What the program means.
    inputs : sequence of array of int, shape (n, ...)
        Values q, one batch per input of the network.
    reconnects : int
        How often the line may break.

    Raises
    ------
    DeviceError
        As :class:`host.runtime.Stream`; a wrong number of cycles is one, too.
    """
    return check_stream(runtime, inputs, reference.run(graph, *inputs), reconnects=reconnects)


def check_stream(
    runtime: Runtime,
    inputs: Sequence[NDArray[Any]],
    expected: Outputs,
    *,
    reconnects: int = 0,
    progress: Callable[[int], None] | None = None,
) -> StreamReport:
    """Stream a batch of at least one image through a device, and compare.

    Parameters
    ----------
    runtime, inputs, reconnects
        As for :func:`check_network`.
    expected : tuple of ndarray of int64, shape (n, ...)
        What each output has to be.
    progress : callable, optional
        Called with the number of images done, after each.
    """
    results: list[Outputs] = []
    for outputs in runtime.stream(_images(inputs), reconnects=reconnects):
        results.append(outputs)
        if progress is not None:
            progress(len(results))
    stacked = tuple(np.stack(values) for values in zip(*results, strict=True))
    differing = (
        np.count_nonzero(output != wanted) for output, wanted in zip(stacked, expected, strict=True)
    )
    return StreamReport(stacked, sum(output.size for output in stacked), sum(map(int, differing)))


def _images(inputs: Sequence[NDArray[Any]]) -> Iterator[tuple[NDArray[Any], ...]]:
    """Image by image, a tuple of all inputs' values."""
    return zip(*inputs, strict=True)
