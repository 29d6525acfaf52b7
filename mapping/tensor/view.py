"""Addresses: where the elements of a moved tensor lie in the stored one.

A :class:`View` is one affine step: element ``i`` is element ``offset + sum(strides * i)`` of what
it looks at, or 0 if an index is outside ``valid``. Most chains of movements stay a single view.
Where one does not (a reshape across a border of zeros, or across rows that overlap), an
:class:`Address` stacks a second view on the first; what the stack as a whole does is read off
:meth:`Address.index`, which is exact for every stack.
"""

from dataclasses import dataclass
from itertools import accumulate
from math import prod

import numpy as np
from numpy.typing import NDArray

from mapping.tensor.movement import (
    Expand,
    Movement,
    Pad,
    Permute,
    Reshape,
    Shape,
    Shrink,
    Stride,
    Values,
    Window,
)

OUTSIDE = -1
"""Index of an element that is 0 because it comes from nowhere."""


def row_major(shape: Shape) -> tuple[int, ...]:
    """Strides of an array of this shape that lies without gaps, in elements."""
    return (*accumulate(shape[:0:-1], int.__mul__, initial=1),)[::-1] if shape else ()


@dataclass(frozen=True)
class View:
    """One affine step from a shape to the elements of a tensor.

    Parameters
    ----------
    shape : tuple of int
        Shape of the view.
    strides : tuple of int
        What a step along each axis adds; may be 0 or negative.
    offset : int
        Where element (0, 0, ..) would lie.
    valid : tuple of (int, int)
        ``start <= i < stop`` on each axis; elements with an index outside are 0.

    Examples
    --------
    >>> column = View.contiguous((2, 3)).permute((1, 0)).shrink(((1, 2), (0, 2)))
    >>> column.strides, column.offset
    ((1, 3), 1)
    """

    shape: Shape
    strides: tuple[int, ...]
    offset: int
    valid: tuple[tuple[int, int], ...]

    @classmethod
    def contiguous(cls, shape: Shape) -> "View":
        """View of everything in row-major order."""
        return cls(shape, row_major(shape), 0, tuple((0, n) for n in shape))

    def is_whole(self, axis: int) -> bool:
        """Whether no index on this axis is outside."""
        return self.valid[axis] == (0, self.shape[axis])

    def permute(self, axes: tuple[int, ...]) -> "View":
        """View with its axes in another order."""
        return View(
            tuple(self.shape[axis] for axis in axes),
            tuple(self.strides[axis] for axis in axes),
            self.offset,
            tuple(self.valid[axis] for axis in axes),
        )

    def expand(self, shape: Shape) -> "View":
        """View with axes of length 1 repeated."""
        strides, valid = list(self.strides), list(self.valid)
        for axis, (old, new) in enumerate(zip(self.shape, shape, strict=True)):
            if old != new:
                strides[axis] = 0
                valid[axis] = (0, new) if self.is_whole(axis) else (0, 0)
        return View(shape, tuple(strides), self.offset, tuple(valid))

    def shrink(self, ranges: tuple[tuple[int, int], ...]) -> "View":
        """View of a range of each axis; starts below 0 and stops beyond the end add zeros."""
        offset = self.offset + sum(
            stride * start for stride, (start, _) in zip(self.strides, ranges, strict=True)
        )
        valid = tuple(
            (min(max(low - start, 0), stop - start), min(max(high - start, 0), stop - start))
            for (low, high), (start, stop) in zip(self.valid, ranges, strict=True)
        )
        return View(tuple(stop - start for start, stop in ranges), self.strides, offset, valid)

    def stride(self, steps: tuple[int, ...]) -> "View":
        """View of every n-th element; negative steps begin at the end."""
        shape, strides, valid = list(self.shape), list(self.strides), list(self.valid)
        offset = self.offset
        for axis, step in enumerate(steps):
            low, high = self.valid[axis]
            if step < 0:
                offset += strides[axis] * (shape[axis] - 1)
                low, high = shape[axis] - high, shape[axis] - low
            strides[axis] *= step
            shape[axis] = -(-shape[axis] // abs(step))
            valid[axis] = (-(-low // abs(step)), -(-high // abs(step)))
        return View(tuple(shape), tuple(strides), offset, tuple(valid))

    def window(self, movement: Window) -> "View | None":
        """View of sliding windows; None if zeros on an axis depend on the window's position."""
        if not all(self.is_whole(axis) for axis in movement.axes):
            return None
        rank = movement.rank
        added = [
            self.strides[axis] * step
            for axis, step in zip(movement.axes, movement.dilation, strict=True)
        ]
        shape = movement.result(self.shape)
        strides = (*self.strides[:rank], *added, *self.strides[rank:])
        valid = (*self.valid[:rank], *((0, size) for size in movement.sizes), *self.valid[rank:])
        sliding = [
            (0, shape[axis]) if axis in movement.axes else bounds
            for axis, bounds in enumerate(valid)
        ]
        return View(shape, strides, self.offset, tuple(sliding))

    def reshape(self, shape: Shape) -> "View | None":
        """View in another shape; None if that is no single affine step."""
        blocks = self._blocks()
        strides: list[int] = []
        valid: list[tuple[int, int]] = []
        block, left = -1, 1  # of the current block: what its inner axes have to hold yet
        for extent in shape:
            if extent == 1:
                strides.append(0)
                valid.append((0, 1))
                continue
            if left == 1:
                block += 1
                left = blocks[block][0]
            size, stride, bounds = blocks[block]
            if left % extent or (extent != size and bounds != (0, size)):
                return None
            left //= extent
            strides.append(stride * left)
            valid.append(bounds if extent == size else (0, extent))
        if block + 1 != len(blocks):
            return None  # an axis of length 1 that is outside
        return View(shape, tuple(strides), self.offset, tuple(valid))

    def _blocks(self) -> list[tuple[int, int, tuple[int, int]]]:
        """Size, stride and valid range of axes, with those joined that lie behind one another."""
        blocks: list[tuple[int, int, tuple[int, int]]] = []
        for axis, (n, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            if n == 1 and self.is_whole(axis):
                continue
            if blocks and self.is_whole(axis):
                size, outer, bounds = blocks[-1]
                if outer == n * stride and bounds == (0, size):
                    blocks[-1] = (size * n, stride, (0, size * n))
                    continue
            blocks.append((n, stride, self.valid[axis]))
        return blocks

    def follow(self, flat: Values, inside: NDArray[np.bool_]) -> tuple[Values, NDArray[np.bool_]]:
        """Where elements of the view (row-major) come from, and which come from anywhere."""
        result = np.full_like(flat, self.offset)
        for n, inner, stride, (low, high) in zip(
            self.shape, row_major(self.shape), self.strides, self.valid, strict=True
        ):
            position = flat // inner % n
            inside = inside & (position >= low) & (position < high)
            result += position * stride
        return np.where(inside, result, 0), inside


@dataclass(frozen=True)
class Address:
    """Where the elements of a moved tensor lie in the stored one.

    Parameters
    ----------
    views : tuple of View
        The first one looks at the stored elements, each further one at the one before it.

    Examples
    --------
    >>> rows = Address.identity((2, 3)).move(Pad(((1, 0), (0, 0)))).move(Reshape((9,)))
    >>> len(rows.views), rows.index().tolist()
    (2, [-1, -1, -1, 0, 1, 2, 3, 4, 5])
    """

    views: tuple[View, ...]

    @classmethod
    def identity(cls, shape: Shape) -> "Address":
        """Address of an unmoved tensor."""
        return cls((View.contiguous(shape),))

    @property
    def shape(self) -> Shape:
        """Shape of the moved tensor."""
        return self.views[-1].shape

    def move(self, movement: Movement) -> "Address":
        """Address after one more movement."""
        shape = movement.result(self.shape)
        view = _moved(self.views[-1], movement)
        if view is not None:
            return Address((*self.views[:-1], view))
        view = _moved(View.contiguous(self.shape), movement)
        assert view is not None  # a view of everything can be moved in every way
        assert view.shape == shape
        return Address((*self.views, view))

    def index(self) -> Values:
        """Index into the stored elements, or :data:`OUTSIDE`.

        Returns
        -------
        ndarray of int64
            Of the address's shape, but of length 1 on axes that nothing depends on.
        """
        top = self.views[-1]
        depends = [stride != 0 or not top.is_whole(axis) for axis, stride in enumerate(top.strides)]
        positions = np.ix_(
            *(np.arange(n if kept else 1) for n, kept in zip(top.shape, depends, strict=True))
        )
        flat = np.zeros((1,) * len(top.shape), np.int64)
        for position, inner in zip(positions, row_major(top.shape), strict=True):
            flat = flat + position * inner
        inside = np.ones(flat.shape, np.bool_)
        for view in reversed(self.views):
            flat, inside = view.follow(flat, inside)
        return np.where(inside, flat, OUTSIDE)

    def take(self, stored: Values) -> Values:
        """The moved tensor's elements, from the stored ones in row-major order."""
        index = self.index()
        values = np.where(index == OUTSIDE, 0, stored.ravel()[index])
        return np.broadcast_to(values, self.shape)

    def is_identity(self, size: int) -> bool:
        """Whether these are all ``size`` stored elements in their order."""
        if prod(self.shape) != size:
            return False
        if len(self.views) == 1 and self.views[0] == View.contiguous(self.shape):
            return True
        index = np.broadcast_to(self.index(), self.shape)
        return bool(np.array_equal(index.ravel(), np.arange(size)))


def _moved(view: View, movement: Movement) -> View | None:
    """A view after one more movement, or None if that needs a second view."""
    match movement:
        case Reshape():
            return view.reshape(movement.shape)
        case Permute():
            return view.permute(movement.axes)
        case Expand():
            return view.expand(movement.shape)
        case Pad():
            return view.shrink(
                tuple((-low, n + high) for n, (low, high)
                      in zip(view.shape, movement.widths, strict=True))
            )  # fmt: skip
        case Shrink():
            return view.shrink(movement.ranges)
        case Stride():
            return view.stride(movement.steps)
        case Window():
            return view.window(movement)
        case _:
            raise TypeError(f"no rule for {movement}")
