"""What the host does where a network's ends are real numbers: codes of an input, scores of sums.

Scores are a function of whole accumulators, which the array does not give out: it gives codes of
eight bits. So an accumulator leaves it as several codes, each of another window of its range, whose
sum is the accumulator.
"""

from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mapping.batch_shape import reshaped
from mapping.json_records import MAX_ELEMENTS
from mapping.real.quantizer import LevelQuantizer
from mapping.real.steps import FloatArray, Step, apply_steps

WINDOW: Final = 255
"""Length of a window: what a code of eight bits can count to."""


@dataclass(frozen=True)
class RealInput:
    """Integers of an input's real numbers.

    Parameters
    ----------
    shape : tuple of int
        Of one image, as the file has it.
    axes : tuple of int
        Order of these axes in the graph.
    graph_shape : tuple of int
        Shape in the graph, row-major.
    steps : tuple of Step
        Arithmetic before the quantization; channels on the last axis of the graph's shape.
    quantizer : LevelQuantizer
        Gives levels.
    stride : int
        From a level to the next in the graph's integers; the lowest level is 0.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    graph_shape: tuple[int, ...]
    steps: tuple[Step, ...]
    quantizer: LevelQuantizer
    stride: int

    def __post_init__(self) -> None:
        if sorted(self.axes) != list(range(len(self.shape))):
            raise ValueError(f"{self.axes} is no order of {len(self.shape)} axes")
        if min((*self.shape, *self.graph_shape), default=0) < 1 or not (
            prod(self.shape) == prod(self.graph_shape)
        ):
            raise ValueError(f"{self.shape} and {self.graph_shape} must be shapes of one size")
        _check_channels(self.graph_shape[-1], *(step.values for step in self.steps))

    def __call__(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Values q of a batch.

        Parameters
        ----------
        values : ndarray of numbers, shape (n, ...)
            In the shape, but for axes of one element, or flat.

        Returns
        -------
        ndarray of int64, shape (n, *graph_shape)

        Raises
        ------
        ValueError
            If the shape does not fit, or a value is not a number.
        """
        reals = reshaped(values, self.shape, "an input").astype(np.float32)
        if np.isnan(reals).any():
            raise ValueError("an input must hold numbers, not NaN")
        ordered = reals.transpose(0, *(axis + 1 for axis in self.axes))
        stepped = apply_steps(self.steps, ordered.reshape(len(values), *self.graph_shape))
        return self.stride * (self.quantizer.levels(stepped) - self.quantizer.low)


@dataclass(frozen=True)
class Scores:
    """Real numbers of an output's integers: ``steps(float32(factor * (sum of windows + offset)))``.

    Parameters
    ----------
    windows : int
        Codes that make up one sum: so many equal parts of the channels, one after the other.
    factor, offset : tuple of float
        One for all channels or one per channel, float64; of at most 4,096 channels.
    steps : tuple of Step
        Arithmetic behind it, in float32.
    shape : tuple of int
        Of one image's scores in the file, where channels are first.
    """

    windows: int
    factor: tuple[float, ...]
    offset: tuple[float, ...]
    steps: tuple[Step, ...]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.windows < 1:
            raise ValueError(f"scores must have at least one window, not {self.windows}")
        if min(self.shape, default=0) < 1:
            raise ValueError(f"scores must have a shape without empty axes, not {self.shape}")
        _check_channels(
            self.shape[0], self.factor, self.offset, *(step.values for step in self.steps)
        )

    def __call__(self, values: NDArray[np.int64]) -> FloatArray:
        """Real numbers of shape (n, *shape) from codes of shape (n, ..., windows * channels)."""
        windows = values.reshape(*values.shape[:-1], self.windows, -1)
        sums = windows.sum(axis=-2) + np.array(self.offset)
        reals = (np.array(self.factor) * sums).astype(np.float32)
        scores = apply_steps(self.steps, reals)
        return np.moveaxis(scores, -1, 1).reshape(len(values), *self.shape)


def _check_channels(channels: int, *constants: tuple[float, ...]) -> None:
    """Refuse constants that are neither one for all channels nor one per channel."""
    for values in constants:
        if len(values) not in (1, min(channels, MAX_ELEMENTS)):
            raise ValueError(
                f"constants must be one or one per channel ({channels}, at most {MAX_ELEMENTS}), "
                f"not {len(values)}"
            )
