"""The recogniser: which weighted node a sum of products is.

Terms over one stored tensor are fitted to a sliding window over its image
(:mod:`mapping.tensor.fit`); the weights are then scattered into a dense kernel, tap by tap. Only
the kernel decides what comes out:

==============================================  ========================================
windows of one pixel, every pixel               matmul
one window, the whole image                     matmul of the flattened image
any other                                       convolution; groups where channels step
no window at all, but few elements              matmul with one weight per input and output
==============================================  ========================================

A convolution computes all windows between the first and the last that are read; the result's
address picks those that are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mapping.ops import Conv2d, MatMul, Padding
from mapping.tensor.affine import Term
from mapping.tensor.fit import CHANNEL, COL, ROW, Fit, Image, Side, fit, split_axes
from mapping.tensor.movement import Reshape, Shape, Values
from mapping.tensor.view import OUTSIDE, Address, View, row_major

MAX_DENSE_WEIGHTS: Final = 1 << 18

Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Contraction:
    """A weighted node, and what is read of its result.

    Parameters
    ----------
    source_shape : tuple of int
        Shape in which the node takes the stored tensor.
    node : Conv2d or MatMul
        With ``inputs=(0,)`` and a bias of zeros.
    shape : tuple of int
        Shape of the node's result.
    address : Address
        Where the expression's elements lie in the result.
    note : str
        What it was recognised as.
    """

    source_shape: Shape
    node: Conv2d | MatMul
    shape: Shape
    address: Address
    note: str

    def per_channel(self, values: NDArray[Any]) -> NDArray[Any] | None:
        """One value per output channel, of values per element; None if pixels differ."""
        return per_channel(values, self.address, self.shape)


def per_channel(values: NDArray[Any], address: Address, shape: Shape) -> NDArray[Any] | None:
    """Values of each channel of a stored tensor; None if elements of one channel differ.

    Parameters
    ----------
    values : ndarray
        One value per element of the address.
    address : Address
        Where these lie; none is outside.
    shape : tuple of int
        Shape of the stored tensor. Channels that nothing reads get 0.
    """
    index = np.broadcast_to(address.index(), address.shape).ravel()
    given = np.broadcast_to(values, address.shape).ravel()
    result = np.zeros(shape[-1], values.dtype)
    result[index % shape[-1]] = given
    return result if np.array_equal(result[index % shape[-1]], given) else None


def images_of(shape: Shape) -> tuple[Image, ...]:
    """Height, width and channels of a stored tensor, as it is and with all pixels in one row."""
    rows, cols, depth = (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, prod(shape))
    return tuple(dict.fromkeys(((rows, cols, depth), (1, rows * cols, depth))))


def contract(terms: Sequence[Term], given: Arrays) -> Contraction | None:
    """Recognise a sum of terms over one stored tensor.

    Parameters
    ----------
    terms : sequence of Term
        At least one; all read the same node.
    given : sequence of ndarray
        Values per element that the node has to tell apart by channel: bias and scales.

    Returns
    -------
    Contraction or None
        None if the terms fit no window and are too many for a dense matrix.
    """
    stored = terms[0].source.shape
    for image in images_of(stored):
        windows = _Windows.of(terms, given, image)
        if windows is not None:
            found = windows.contraction(stored)
            shape = Reshape(terms[0].outer)
            found = replace(found, address=found.address.move(shape))
            if all(found.per_channel(values) is not None for values in given):
                return found
    return dense(terms, given)


@dataclass(frozen=True, eq=False)
class _Windows:
    """Terms as one window; ``shape`` is the output's, ``sides`` are rows and columns.

    ``channel_axes`` and ``free_axes`` make the output channels, in that order; ``depths`` is what
    each element of the channel axes adds to the input's channel.
    """

    terms: Sequence[Term]
    fits: Sequence[Fit]
    shape: Shape
    sides: tuple[Side, Side]
    channel_axes: tuple[int, ...]
    free_axes: tuple[int, ...]
    depths: Values

    @classmethod
    def of(cls, terms: Sequence[Term], given: Arrays, image: Image) -> "_Windows | None":
        """Fit all terms to one window over an image."""
        addresses = [term.source.address for term in terms]
        shape = split_axes(addresses, len(terms[0].outer), image)
        terms = [term.move(Reshape(shape)) for term in terms]
        given = [values.reshape(shape) for values in given]
        rank = len(shape)
        fits = [fit(term.source.address, rank, image) for term in terms]
        first = fits[0]
        found = [one for one in fits if one is not None and first is not None
                 and np.array_equal(one.steps, first.steps)]  # fmt: skip
        if first is None or len(found) < len(terms):
            return None
        steps = first.steps
        if np.any(np.count_nonzero(steps, axis=1) > 1):
            return None  # an axis that moves along a diagonal
        pixels = np.flatnonzero(first.is_pixel)
        if not all(_repeats(term.weights, int(axis)) for term in terms for axis in pixels):
            return None
        channels = tuple(map(int, np.flatnonzero(steps[:, CHANNEL])))
        arrays = [*(term.weights for term in terms), *given]
        free = tuple(
            axis
            for axis in range(rank)
            if not steps[axis].any() and any(_changes(array, axis) for array in arrays)
        )
        taps = np.concatenate([one.taps[one.seen] for one in found])
        if not len(taps):
            return None
        rows, cols = (
            Side.of(steps[:, side], shape, taps[:, side], image[side]) for side in (ROW, COL)
        )
        counts = [shape[axis] for axis in channels]
        moved = np.indices(counts).reshape(len(counts), prod(counts))
        depths = steps[list(channels), CHANNEL] @ moved
        return cls(terms, found, shape, (rows, cols), channels, free, depths)

    @property
    def image(self) -> Image:
        """Image that the window slides over."""
        return self.fits[0].image

    @property
    def outputs(self) -> int:
        """Output channels."""
        return len(self.depths) * prod(self.shape[axis] for axis in self.free_axes)

    def contraction(self, stored: Shape) -> Contraction:
        """The node, in its canonical form."""
        rows, cols = self.sides
        groups = self._groups()
        kernel = self._kernel(groups)
        bits = max(_width(kernel), *(term.bits for term in self.terms))
        depth = self.image[CHANNEL]
        bias = np.zeros(self.outputs, np.int32)
        is_vector = len(stored) == 1
        flat = rows.covers(self.image[ROW]) and cols.covers(self.image[COL])
        if groups == 1 and (flat or (rows.is_plain and cols.is_plain)):
            weights = kernel.reshape(-1, self.outputs).astype(np.int32)
            source = (len(weights),) if flat else self.image
            shape = (self.outputs,) if flat else (*self.image[:CHANNEL], self.outputs)
            node = MatMul(inputs=(0,), weights=weights, bias=bias, weight_bits=bits)
            is_flattened = flat and not is_vector and len(weights) > depth
            note = "matmul of the flattened image" if is_flattened else "matmul"
            return Contraction(source, node, shape, self._address(), note)
        node = Conv2d(
            inputs=(0,), weights=kernel.astype(np.int32), bias=bias, weight_bits=bits,
            groups=groups,
            stride=(rows.stride, cols.stride), dilation=(rows.dilation, cols.dilation),
            pad=Padding(rows.before, rows.after, cols.before, cols.after),
        )  # fmt: skip
        shape = (rows.count, cols.count, self.outputs)
        return Contraction(self.image, node, shape, self._address(), self._note(node, shape))

    def _groups(self) -> int:
        """Groups of a convolution; 1 if channels do not come in equal, consecutive parts."""
        count, depth = len(self.depths), self.image[CHANNEL]
        if count == 1 or depth % count:
            return 1
        share = depth // count
        taps = np.concatenate([one.taps[one.seen, CHANNEL] for one in self.fits])
        in_order = np.array_equal(self.depths, np.arange(count) * share)
        return count if in_order and 0 <= taps.min() <= taps.max() < share else 1

    def _kernel(self, groups: int) -> Values:
        """Dense kernel, (rows, columns, in_channels / groups, out_channels)."""
        rows, cols = self.sides
        depth, parts = self.image[CHANNEL] // groups, len(self.depths)
        kernel = np.zeros((rows.kernel, cols.kernel, depth, parts, self.outputs // parts), np.int64)
        start = 0
        for term, one in zip(self.terms, self.fits, strict=True):
            weights = self._weights(term)[:, :, one.seen]  # (parts, free, taps)
            taps = one.taps[one.seen, CHANNEL]
            places = slice(start, start + len(taps))
            start += len(taps)
            for part in range(parts):
                channel = taps + (0 if groups > 1 else self.depths[part])
                real = np.flatnonzero((channel >= 0) & (channel < depth))
                row, col = (np.array(side.taps[places])[real] for side in (rows, cols))
                np.add.at(kernel[:, :, :, part], (row, col, channel[real]), weights[part].T[real])
        return kernel.reshape(*kernel.shape[:3], self.outputs)

    def _weights(self, term: Term) -> Values:
        """Weights of one pixel, shape (channel axes, free axes, taps), each axis joined."""
        rank = len(self.shape)
        used = (*self.channel_axes, *self.free_axes)
        weights = term.weights[
            tuple(slice(None) if axis in used else 0 for axis in range(rank))
        ]  # of the used axes in ascending order, then the taps
        places = [sorted(used).index(axis) for axis in used]
        ordered = weights.transpose(*places, *range(len(used), weights.ndim))
        return ordered.reshape(len(self.depths), -1, prod(term.tail))

    def _address(self) -> Address:
        """Where the output's elements lie in (rows, columns, channels) of the result."""
        rows, cols = self.sides
        used = (*self.channel_axes, *self.free_axes)
        inner = dict(zip(used, row_major(tuple(self.shape[axis] for axis in used)), strict=True))
        strides = tuple(
            (rows.axis_steps[axis] * cols.count + cols.axis_steps[axis]) * self.outputs
            + inner.get(axis, 0)
            for axis in range(len(self.shape))
        )
        offset = (rows.start * cols.count + cols.start) * self.outputs
        return Address((replace(View.contiguous(self.shape), strides=strides, offset=offset),))

    def _note(self, node: Conv2d, shape: Shape) -> str:
        """What a convolution is called, and what of it nobody reads."""
        kind = "depthwise convolution" if node.is_depthwise else "convolution"
        size = "x".join(map(str, node.kernel))
        index = np.unique(self._address().index())
        unread = prod(shape) - len(index)
        rest = f"; {unread} of its {prod(shape)} results are never read" if unread else ""
        return f"{kind} with a {size} kernel{rest}"


def dense(terms: Sequence[Term], given: Arrays) -> Contraction | None:
    """Give the matmul of the flattened tensor, with a weight per input and output.

    It tells all elements apart, whatever is ``given``; None if there are too many of them.
    """
    shape, size = terms[0].outer, prod(terms[0].source.shape)
    outputs = prod(shape)
    if size * outputs > MAX_DENSE_WEIGHTS:
        return None
    matrix = np.zeros((size, outputs), np.int64)
    for term in terms:
        index = np.broadcast_to(term.source.address.index(), term.weights.shape)
        index = index.reshape(outputs, -1)
        output = np.broadcast_to(np.arange(outputs)[:, np.newaxis], index.shape)
        inside = index != OUTSIDE
        weights = term.weights.reshape(outputs, -1)
        np.add.at(matrix, (index[inside], output[inside]), weights[inside])
    node = MatMul(
        inputs=(0,), weights=matrix.astype(np.int32), bias=np.zeros(outputs, np.int32),
        weight_bits=max(_width(matrix), *(term.bits for term in terms)),
    )  # fmt: skip
    note = (
        f"matmul with a weight for each of {size} inputs and {outputs} outputs, "
        "as no window over the image gives these sums"
    )
    return Contraction((size,), node, (outputs,), Address.identity(shape), note)


def _width(weights: Values) -> int:
    """Smallest width of two's complement that holds all weights."""
    return max(int(weights.max()), -1 - int(weights.min()), 0).bit_length() + 1


def _changes(values: NDArray[Any], axis: int) -> bool:
    """Whether an array may differ along an axis, as it is more than repeated there."""
    return values.shape[axis] > 1 and values.strides[axis] != 0


def _repeats(values: Values, axis: int) -> bool:
    """Whether all slices along an axis are equal."""
    if values.strides[axis] == 0:
        return True
    first = np.take(values, [0], axis)
    return bool(np.array_equal(np.broadcast_to(first, values.shape), values))
