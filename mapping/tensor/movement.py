"""Movement operations: what each does to a shape and, in numpy's words, to an array.

A movement only says where an element of the result comes from; elements that come from nowhere
(padding) are 0. :mod:`mapping.tensor.view` turns movements into addresses; the ``array`` methods
here are written with numpy's own functions, so that one can be tested against the other.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Shape = tuple[int, ...]
Values = NDArray[np.int64]


class ShapeError(ValueError):
    """A movement that does not fit the shape it is applied to."""


@dataclass(frozen=True)
class Movement(ABC):
    """One movement operation."""

    @abstractmethod
    def result(self, shape: Shape) -> Shape:
        """Shape after the movement; :exc:`ShapeError` if it does not fit."""

    @abstractmethod
    def array(self, values: Values) -> Values:
        """The movement done by numpy, a view of ``values`` where numpy can."""

    @abstractmethod
    def before(self, tail: Shape) -> "Movement":
        """The same movement on the leading axes of arrays that have further axes ``tail``."""


@dataclass(frozen=True)
class Reshape(Movement):
    """The same elements in row-major order under another shape."""

    shape: Shape

    def result(self, shape: Shape) -> Shape:
        """Give the new shape."""
        if any(extent < 1 for extent in self.shape) or prod(self.shape) != prod(shape):
            raise ShapeError(f"{_text(shape)} cannot become {_text(self.shape)}")
        return self.shape

    def array(self, values: Values) -> Values:
        """Call ``numpy.reshape``."""
        return values.reshape(self.shape)

    def before(self, tail: Shape) -> Movement:
        """Keep the further axes as they are."""
        return Reshape(self.shape + tail)

    def __str__(self) -> str:
        return f"reshape to {_text(self.shape)}"


@dataclass(frozen=True)
class Permute(Movement):
    """Axis i of the result is axis ``axes[i]``."""

    axes: tuple[int, ...]

    def result(self, shape: Shape) -> Shape:
        """Give the shape in the new order."""
        if sorted(self.axes) != list(range(len(shape))):
            raise ShapeError(f"needs each axis of {_text(shape)} once, not {_text(self.axes)}")
        return tuple(shape[axis] for axis in self.axes)

    def array(self, values: Values) -> Values:
        """Call ``numpy.transpose``."""
        return values.transpose(self.axes)

    def before(self, tail: Shape) -> Movement:
        """Keep the further axes at the end."""
        count = len(self.axes)
        return Permute((*self.axes, *range(count, count + len(tail))))

    def __str__(self) -> str:
        return f"permute {_text(self.axes)}"


@dataclass(frozen=True)
class Expand(Movement):
    """Axes of length 1 repeated to ``shape``."""

    shape: Shape

    def result(self, shape: Shape) -> Shape:
        """Give the expanded shape."""
        fits = len(shape) == len(self.shape) and all(
            old in (new, 1) and new >= 1 for old, new in zip(shape, self.shape, strict=True)
        )
        if not fits:
            raise ShapeError(f"only axes of length 1 expand: not {_text(shape)} "
                             f"to {_text(self.shape)}")  # fmt: skip
        return self.shape

    def array(self, values: Values) -> Values:
        """Call ``numpy.broadcast_to``."""
        return np.broadcast_to(values, self.shape)

    def before(self, tail: Shape) -> Movement:
        """Keep the further axes as they are."""
        return Expand(self.shape + tail)

    def __str__(self) -> str:
        return f"expand to {_text(self.shape)}"


@dataclass(frozen=True)
class Pad(Movement):
    """Zeros around: ``widths[i]`` is how many come before and after axis i."""

    widths: tuple[tuple[int, int], ...]

    def result(self, shape: Shape) -> Shape:
        """Give the larger shape."""
        if len(self.widths) != len(shape) or any(min(width) < 0 for width in self.widths):
            raise ShapeError(f"needs two widths of at least 0 for each axis of {_text(shape)}, "
                             f"not {self.widths}")  # fmt: skip
        return tuple(low + n + high for n, (low, high) in zip(shape, self.widths, strict=True))

    def array(self, values: Values) -> Values:
        """Call ``numpy.pad``."""
        return np.pad(values, self.widths) if self.widths else values

    def before(self, tail: Shape) -> Movement:
        """Pad no further axis."""
        return Pad(self.widths + ((0, 0),) * len(tail))

    def __str__(self) -> str:
        return "pad " + " ".join(f"{low}+{high}" for low, high in self.widths)


@dataclass(frozen=True)
class Shrink(Movement):
    """Elements ``start <= i < stop`` of each axis."""

    ranges: tuple[tuple[int, int], ...]

    def result(self, shape: Shape) -> Shape:
        """Give the lengths of the ranges."""
        fits = len(self.ranges) == len(shape) and all(
            0 <= start < stop <= n for n, (start, stop) in zip(shape, self.ranges, strict=True)
        )
        if not fits:
            raise ShapeError(f"needs a range within each axis of {_text(shape)}, "
                             f"not {self.ranges}")  # fmt: skip
        return tuple(stop - start for start, stop in self.ranges)

    def array(self, values: Values) -> Values:
        """Slice."""
        return values[tuple(slice(*bounds) for bounds in self.ranges)]

    def before(self, tail: Shape) -> Movement:
        """Keep all of the further axes."""
        return Shrink(self.ranges + tuple((0, n) for n in tail))

    def __str__(self) -> str:
        return "shrink " + " ".join(f"{start}:{stop}" for start, stop in self.ranges)


@dataclass(frozen=True)
class Stride(Movement):
    """Every ``steps[i]``-th element of axis i; from the end backwards if it is negative."""

    steps: tuple[int, ...]

    def result(self, shape: Shape) -> Shape:
        """Give the number of elements met on each axis."""
        if len(self.steps) != len(shape) or 0 in self.steps:
            raise ShapeError(f"needs a step other than 0 for each axis of {_text(shape)}, "
                             f"not {_text(self.steps)}")  # fmt: skip
        return tuple(-(-n // abs(step)) for n, step in zip(shape, self.steps, strict=True))

    def array(self, values: Values) -> Values:
        """Slice with steps."""
        return values[tuple(slice(None, None, step) for step in self.steps)]

    def before(self, tail: Shape) -> Movement:
        """Take every element of the further axes."""
        return Stride(self.steps + (1,) * len(tail))

    def __str__(self) -> str:
        return f"stride {_text(self.steps)}"


@dataclass(frozen=True)
class Window(Movement):
    """Windows that slide along axes; the positions in a window are new axes.

    Parameters
    ----------
    sizes : tuple of int
        Elements in a window along each axis in turn.
    axes : tuple of int
        Axes to slide along, each at most once.
    rank : int
        Number of axes before; the new ones follow these, in the order of ``axes``.
    dilation : tuple of int
        Step between the elements of a window.
    """

    sizes: tuple[int, ...]
    axes: tuple[int, ...]
    rank: int
    dilation: tuple[int, ...]

    def result(self, shape: Shape) -> Shape:
        """Give the number of windows on each axis, then the window's shape."""
        fits = len(self.sizes) == len(self.axes) == len(self.dilation)
        if not fits or len(set(self.axes)) != len(self.axes):
            raise ShapeError("needs one size and one dilation for each axis, and each axis once")
        if min(*self.sizes, *self.dilation) < 1:
            raise ShapeError("window sizes and dilation must be at least 1")
        counts = list(shape)
        for axis, reach in zip(self.axes, self.reach, strict=True):
            if not 0 <= axis < self.rank or reach > shape[axis]:
                raise ShapeError(f"a window that spans {_text(self.reach)} along axes "
                                 f"{_text(self.axes)} does not fit {_text(shape)}")  # fmt: skip
            counts[axis] -= reach - 1
        return (*counts[: self.rank], *self.sizes, *counts[self.rank :])

    @property
    def reach(self) -> tuple[int, ...]:
        """Elements from a window's first to its last, along each of its axes."""
        return tuple(
            (size - 1) * step + 1 for size, step in zip(self.sizes, self.dilation, strict=True)
        )

    def array(self, values: Values) -> Values:
        """Call ``numpy.lib.stride_tricks.sliding_window_view``."""
        windows = sliding_window_view(values, self.reach, self.axes)
        added = range(values.ndim, windows.ndim)
        windows = windows[(..., *(slice(None, None, step) for step in self.dilation))]
        return np.moveaxis(windows, added, range(self.rank, self.rank + len(self.axes)))

    def before(self, tail: Shape) -> Movement:
        """Keep the further axes behind the new ones, as the rank says."""
        return self

    def __str__(self) -> str:
        dilation = "" if set(self.dilation) == {1} else f", dilation {_text(self.dilation)}"
        return f"windows of {_text(self.sizes)} along axes {_text(self.axes)}{dilation}"


def _text(values: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, values))})"
