"""The recogniser's other half: windows whose elements are compared or moved, not weighted."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from mapping.ops import Padding
from mapping.tensor.fit import CHANNEL, COL, ROW, Fit, Side, fit, split_axes
from mapping.tensor.movement import Reshape, Shape
from mapping.tensor.recognise import images_of
from mapping.tensor.view import Address, View, row_major


@dataclass(frozen=True)
class Pooling:
    """Windows over an image with a border of zeros, each channel by itself.

    Parameters
    ----------
    source_shape : tuple of int
        (height, width, channels) in which the stored tensor is taken.
    pad : Padding
        Zeros around it.
    kernel, stride : tuple of int
        Window, vertical and horizontal.
    shape : tuple of int
        Shape of the result.
    address : Address
        Where the expression's elements lie in it.
    """

    source_shape: Shape
    pad: Padding
    kernel: tuple[int, int]
    stride: tuple[int, int]
    shape: Shape
    address: Address

    @property
    def is_border(self) -> bool:
        """Whether windows are single elements: nothing but zeros is added."""
        return self.kernel == (1, 1) and self.stride == (1, 1)


def pool(address: Address, rank: int, stored: Shape) -> Pooling | None:
    """Recognise windows without holes.

    Parameters
    ----------
    address : Address
        Of elements whose axes after the first ``rank`` are within a window.
    rank : int
        Number of output axes.
    stored : tuple of int
        Shape of the stored tensor.

    Returns
    -------
    Pooling or None
        None if elements do not form dense windows over single channels.
    """
    outer = address.shape[:rank]
    for image in images_of(stored):
        lengths = split_axes([address], rank, image)
        split = address.move(Reshape((*lengths, *address.shape[rank:])))
        found = fit(split, len(lengths), image)
        if found is None or not found.seen.all() or len(np.unique(found.taps[:, CHANNEL])) > 1:
            continue
        if np.any(np.count_nonzero(found.steps, axis=1) > 1):
            continue
        if not _has_channels(found, lengths):
            continue
        rows, cols = (
            Side.of(found.steps[:, side], lengths, found.taps[:, side], image[side])
            for side in (ROW, COL)
        )
        windows = set(zip(rows.taps, cols.taps, strict=True))
        is_dense = windows == set(product(range(rows.kernel), range(cols.kernel)))
        if not is_dense or max(rows.dilation, cols.dilation) > 1:
            continue
        shape = (rows.count, cols.count, image[CHANNEL])
        down, right, _ = row_major(shape)
        strides = tuple(
            row * down + col * right + int(channel)
            for row, col, channel in zip(
                rows.axis_steps, cols.axis_steps, found.steps[:, CHANNEL], strict=True
            )
        )
        offset = rows.start * down + cols.start * right + int(found.taps[0, CHANNEL])
        view = View(lengths, strides, offset, tuple((0, n) for n in lengths))
        pad = Padding(rows.before, rows.after, cols.before, cols.after)
        kernel, stride = (rows.kernel, cols.kernel), (rows.stride, cols.stride)
        return Pooling(image, pad, kernel, stride, shape, Address((view,)).move(Reshape(outer)))
    return None


def _has_channels(found: Fit, lengths: Shape) -> bool:
    """Whether all channels that outputs read are there, and none is a zero beside them."""
    ends = found.steps[:, CHANNEL] * (np.array(lengths, np.int64) - 1)
    first = int(found.taps[0, CHANNEL])
    low, high = first + ends.clip(max=0).sum(), first + ends.clip(min=0).sum()
    return bool(0 <= low and high < found.image[CHANNEL])


def has_border(address: Address) -> bool:
    """Whether some elements may come from nowhere."""
    return any(not view.is_whole(axis) for view in address.views for axis in range(len(view.shape)))
