"""What an address does to an image: steps of the output's axes, and the taps that are summed.

An address is compared as a whole with ``coordinate = steps . output index + tap``: every element
and every zero of the border has to agree. How it came about (windows, strides, reshapes, flips)
plays no role.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, prod

import numpy as np
from numpy.typing import NDArray

from mapping.ops.window import MAX_WINDOW
from mapping.tensor.movement import Reshape, Shape, Values
from mapping.tensor.view import OUTSIDE, Address

Image = tuple[int, int, int]
ROW, COL, CHANNEL = range(3)


@dataclass(frozen=True, eq=False)
class Fit:
    """An address as a sliding window over an image.

    Parameters
    ----------
    image : tuple of int
        Height, width and channels of the stored image.
    steps : ndarray of int64, shape (output axes, 3)
        What one step along an output axis adds to row, column and channel.
    taps : ndarray of int64, shape (taps, 3)
        Row, column and channel of each summed element for output (0, 0, ..).
    seen : ndarray of bool, shape (taps,)
        False for taps that meet nothing but zeros of the border; these have no coordinates.
    """

    image: Image
    steps: Values
    taps: Values
    seen: NDArray[np.bool_]

    @property
    def is_pixel(self) -> NDArray[np.bool_]:
        """For each output axis, whether it moves over rows or columns."""
        return np.any(self.steps[:, :CHANNEL] != 0, axis=1)


def fit(address: Address, rank: int, image: Image) -> Fit | None:
    """Fit an address whose first ``rank`` axes are outputs, and the others summed.

    Returns
    -------
    Fit or None
        None if an output axis does not move in equal steps over this image.
    """
    index = address.index()
    outer, inner = index.shape[:rank], index.shape[rank:]
    inside = index != OUTSIDE
    places = np.stack(np.unravel_index(np.where(inside, index, 0), image))
    steps = np.stack([_step(places, inside, axis) for axis in range(rank)] or [np.zeros(3, int)])
    steps = steps[:rank].astype(np.int64)
    moved = _moved(steps, outer)  # (3, outputs)
    places = places.reshape(3, prod(outer), prod(inner))
    inside = inside.reshape(prod(outer), prod(inner))
    seen = inside.any(axis=0)
    witness = inside.argmax(axis=0)
    taps = places[:, witness, np.arange(prod(inner))] - moved[:, witness]
    expected = moved[:, :, np.newaxis] + taps[:, np.newaxis]
    limits = np.array(image).reshape(3, 1, 1)
    lands = np.all((expected >= 0) & (expected < limits), axis=0)
    same = np.all(expected == places, axis=0)
    if not np.array_equal(lands & seen, inside) or not np.all(same | ~inside):
        return None
    tail = address.shape[rank:]
    taps = np.broadcast_to(taps.reshape(3, *inner), (3, *tail)).reshape(3, -1).T
    return Fit(image, steps, taps, np.broadcast_to(seen.reshape(inner), tail).ravel())


def split_axes(addresses: Sequence[Address], rank: int, image: Image) -> Shape:
    """Shape of the output axes after those that move in unequal steps are split.

    Pixels that a reshape numbered through, or groups of channels, become axes of their own.

    Parameters
    ----------
    addresses : sequence of Address
        All with the same first ``rank`` axes.
    rank : int
        Number of output axes.
    image : tuple of int
        Height, width and channels of what is stored.

    Examples
    --------
    >>> pixels = Address.identity((4, 6, 3)).move(Reshape((24, 3)))
    >>> split_axes([pixels], 2, (4, 6, 3))
    (4, 6, 3)
    """
    shape: list[int] = []
    pending = list(addresses[0].shape[:rank])
    while pending:
        length = pending.pop(0)
        outer = (*shape, length, *pending)
        run = min(_run(address, rank, outer, len(shape), image) for address in addresses)
        if run < length and length % run == 0:
            pending[:0] = [length // run, run]
        else:
            shape.append(length)
    return tuple(shape)


def _run(address: Address, rank: int, outer: Shape, axis: int, image: Image) -> int:
    """Number of elements along an axis before its step changes; all of them if it does not."""
    length = outer[axis]
    index = address.move(Reshape((*outer, *address.shape[rank:]))).index()
    if index.shape[axis] == 1:
        return length
    lines = np.moveaxis(index, axis, 0).reshape(length, -1)
    inside = lines != OUTSIDE
    places = np.stack(np.unravel_index(np.where(inside, lines, 0), image))
    known = inside[1:] & inside[:-1]
    numbers = np.flatnonzero(known.any(axis=1))
    witness = known.argmax(axis=1)[numbers]
    steps = places[:, numbers + 1, witness] - places[:, numbers, witness]
    changes = np.flatnonzero(np.any(steps != steps[:, :1], axis=0))
    return int(numbers[changes[0]]) + 1 if len(changes) else length


def _step(places: Values, inside: NDArray[np.bool_], axis: int) -> Values:
    """What one step along an axis adds to the coordinates, where two neighbours are inside."""
    count = inside.shape[axis]
    pairs = np.take(inside, range(count - 1), axis) & np.take(inside, range(1, count), axis)
    if not pairs.any():
        return np.zeros(3, np.int64)
    first = np.unravel_index(int(pairs.argmax()), pairs.shape)
    second = tuple(int(i) + (number == axis) for number, i in enumerate(first))
    return places[(slice(None), *second)] - places[(slice(None), *first)]


def _moved(steps: Values, outer: Shape) -> Values:
    """How far each output, in row-major order, is from the first one; shape (3, outputs)."""
    positions = np.indices(outer).reshape(len(outer), prod(outer))
    return steps.T @ positions


@dataclass(frozen=True)
class Side:
    """The window along one side of an image: kernel, stride and padding, and what is read of it.

    Parameters
    ----------
    kernel, stride, dilation, before, after : int
        As in :class:`mapping.ops.window.Window`.
    count : int
        Windows that are computed.
    start : int
        Window that output (0, 0, ..) is.
    axis_steps : tuple of int
        Windows that one step along each output axis is; 0 for axes of other sides.
    taps : tuple of int
        Number of each tap within the kernel.
    """

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    count: int
    start: int
    axis_steps: tuple[int, ...]
    taps: tuple[int, ...]

    @classmethod
    def of(cls, steps: Values, lengths: Shape, taps: Values, extent: int) -> "Side":
        """Canonical window of a side.

        Parameters
        ----------
        steps : ndarray of int64, shape (output axes,)
            Rows (or columns) that one step along each output axis moves.
        lengths : tuple of int
            Lengths of the output axes.
        taps : ndarray of int64, shape (taps,)
            Rows (or columns) of the taps for output (0, 0, ..).
        extent : int
            Height (or width) of the image.

        Examples
        --------
        Every second row of eight, backwards, of a kernel of two:

        >>> Side.of(np.array([-2]), (3,), np.array([5, 6]), 8)  # doctest: +NORMALIZE_WHITESPACE
        Side(kernel=3, stride=2, dilation=1, before=0, after=0, count=3, start=2, axis_steps=(-1,),
             taps=(1, 2))
        """
        moves = [int(step) if n > 1 else 0 for step, n in zip(steps, lengths, strict=True)]
        ends = [step * (n - 1) for step, n in zip(moves, lengths, strict=True)]
        low, span = sum(min(end, 0) for end in ends), sum(map(abs, ends))
        stride = gcd(*moves) or cls._lone_stride(taps, extent)
        places = [int(tap) + low for tap in taps]
        skipped = max(min(places), 0) // stride
        first = min(places) - skipped * stride
        before = max(0, -first)
        offsets = [place - skipped * stride + before for place in places]
        dilation = gcd(*offsets) or 1
        reach = max(offsets) + 1
        windows = span // stride + 1 + skipped
        after = max(0, (windows - 1) * stride + reach - before - extent)
        return cls(
            kernel=max(offsets) // dilation + 1,
            stride=stride,
            dilation=dilation,
            before=before,
            after=after,
            count=(before + extent + after - reach) // stride + 1,
            start=skipped - low // stride,
            axis_steps=tuple(step // stride for step in moves),
            taps=tuple(offset // dilation for offset in offsets),
        )

    @staticmethod
    def _lone_stride(taps: Values, extent: int) -> int:
        """Stride for a single window: 1 if no other fits, else one that leaves no others."""
        covers = int(taps.min()) <= 0 and int(taps.max()) >= extent - 1
        return 1 if covers else min(extent, MAX_WINDOW)

    @property
    def is_plain(self) -> bool:
        """Whether each window is one element, in order, without a border."""
        return (self.kernel, self.stride, self.before, self.after) == (1, 1, 0, 0)

    def covers(self, extent: int) -> bool:
        """Whether the only window is the whole side."""
        return (self.kernel, self.dilation, self.before, self.after) == (extent, 1, 0, 0)
