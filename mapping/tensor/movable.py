"""Movements as methods: what a lazy tensor shares with any array of numpy's."""

from collections.abc import Sequence
from types import EllipsisType
from typing import Self

import numpy as np

from mapping.tensor.expression import Buffer, Expression, ExpressionError, Moved
from mapping.tensor.movement import (
    Expand,
    Movement,
    Pad,
    Permute,
    Reshape,
    Shape,
    ShapeError,
    Shrink,
    Stride,
    Window,
)

Index = slice | int | EllipsisType | None


class Movable:
    """An expression with methods that move its elements; none of them computes or copies.

    Parameters
    ----------
    expression : Expression
        What is moved.
    """

    def __init__(self, expression: Expression) -> None:
        self.expression = expression

    @property
    def shape(self) -> Shape:
        """Shape of the value."""
        return self.expression.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def axis_number(self, axis: int) -> int:
        """Position of an axis that may be counted from the end."""
        if not -self.ndim <= axis < self.ndim:
            raise ExpressionError(self.expression, f"has {self.ndim} axes, so no axis {axis}")
        return axis % self.ndim

    def _move(self, movement: Movement) -> Self:
        """Moved tensor; constants are moved by numpy at once."""
        try:
            shape = movement.result(self.shape)
        except ShapeError as error:
            name = type(movement).__name__.lower()
            raise ExpressionError(self.expression, f"{name}: {error}") from None
        may_move = isinstance(movement, Permute | Window | Stride)
        if shape == self.shape and (not may_move or movement == Stride((1,) * self.ndim)):
            return self
        if isinstance(self.expression, Buffer):
            buffer = self.expression
            return type(self)(Buffer(movement.array(buffer.values), buffer.bits, buffer.name))
        return type(self)(Moved(self.expression, movement))

    def reshape(self, *shape: int) -> Self:
        """Same elements, row-major; one length may be -1."""
        known = -int(np.prod(shape, dtype=np.int64))
        if shape.count(-1) == 1 and known > 0:
            length = int(np.prod(self.shape, dtype=np.int64)) // known
            shape = tuple(length if extent == -1 else extent for extent in shape)
        return self._move(Reshape(shape))

    def permute(self, *axes: int) -> Self:
        """Axis i of the result is axis ``axes[i]``."""
        return self._move(Permute(tuple(self.axis_number(axis) for axis in axes)))

    @property
    def T(self) -> Self:  # noqa: N802  numpy's name
        """All axes in the other order."""
        return self.permute(*range(self.ndim - 1, -1, -1))

    def expand(self, *shape: int) -> Self:
        """Axes of length 1 repeated to ``shape``."""
        return self._move(Expand(shape))

    def pad(self, *widths: tuple[int, int]) -> Self:
        """Zeros before and after each axis."""
        return self._move(Pad(widths))

    def shrink(self, *ranges: tuple[int, int]) -> Self:
        """Elements ``start <= i < stop`` of each axis."""
        return self._move(Shrink(ranges))

    def stride(self, *steps: int) -> Self:
        """Every n-th element of each axis, from the end backwards if the step is negative."""
        return self._move(Stride(steps))

    def flip(self, *axes: int) -> Self:
        """Axes backwards."""
        flipped = {self.axis_number(axis) for axis in axes}
        return self.stride(*(-1 if axis in flipped else 1 for axis in range(self.ndim)))

    def sliding_window_view(
        self,
        window_shape: Sequence[int],
        axis: Sequence[int],
        dilation: Sequence[int] | None = None,
    ) -> Self:
        """Windows along axes, as numpy's function; positions in a window are new axes at the end.

        ``dilation`` is the step between a window's elements along each of ``axis``; 1 by default.
        """
        axes = tuple(self.axis_number(each) for each in axis)
        steps = (1,) * len(axes) if dilation is None else tuple(dilation)
        return self._move(Window(tuple(window_shape), axes, self.ndim, steps))

    def __getitem__(self, key: Index | tuple[Index, ...]) -> Self:
        """Slices, positions, ``None`` and ``...`` as in numpy; no arrays."""
        keys = list(key) if isinstance(key, tuple) else [key]
        given = sum(one is not None and one is not ... for one in keys)
        if given > self.ndim or keys.count(...) > 1:
            raise ExpressionError(self.expression, f"has {self.ndim} axes, too few for {key}")
        if ... not in keys:
            keys.append(...)
        place = keys.index(...)
        keys[place : place + 1] = [slice(None)] * (self.ndim - given)
        ranges, steps, shape = self._slices([one for one in keys if one is not None])
        moved = self.shrink(*ranges).stride(*steps)
        lengths = iter(zip(moved.shape, shape, strict=True))
        result: list[int] = []
        for one in keys:
            if one is None:
                result.append(1)
                continue
            length, is_kept = next(lengths)
            result += [length] if is_kept else []
        return moved.reshape(*result)

    def _slices(self, keys: Sequence[Index]) -> tuple[list[tuple[int, int]], list[int], list[bool]]:
        """Range and step of each axis, and whether it is kept."""
        ranges: list[tuple[int, int]] = []
        steps: list[int] = []
        for extent, one in zip(self.shape, keys, strict=True):
            if isinstance(one, slice):
                met = range(*one.indices(extent))
            elif isinstance(one, int) and -extent <= one < extent:
                met = range(one % extent, one % extent + 1)
            else:
                raise ExpressionError(self.expression, f"has no element {one} on an axis of "
                                      f"{extent}")  # fmt: skip
            if not met:
                raise ExpressionError(self.expression, f"nothing is left of {extent} by {one}")
            ends = sorted((met[0], met[-1]))
            ranges.append((ends[0], ends[1] + 1))
            steps.append(met.step)
        return ranges, steps, [isinstance(one, slice) for one in keys]
