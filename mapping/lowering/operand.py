"""What a layer multiplies: a view, the taps it is read at, and the weights of each tap.

Every layer becomes this one form: output pixel (y, x) sums, over taps and channels, weight times
code of the view's pixel ``(y * stride_h + dy, x * stride_w + dx)``. Convolution, matmul, pooling,
addition and copies differ only in taps and weights.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mapping.lowering.view import Piece, View
from mapping.ops import Padding
from mapping.program.tensor import Packing

NO_PADDING: Final = Padding()


@dataclass(frozen=True)
class ComputedWeights:
    """Weights that the program itself has stored; see :mod:`mapping.lowering.weight_form`.

    Parameters
    ----------
    values : tuple of int
        Node ids of the stored tensors, one for each part.
    depth : int
        Rows that count.
    low, high : int
        Smallest and largest weight.
    zero : int
        Code of zero of the activations, ``z``.
    is_offset : bool
        Whether this is the operand that makes up for ``z``: it holds complements, and every output
        pixel multiplies them by the same pixel of zeros.
    """

    values: tuple[int, ...]
    depth: int
    low: int
    high: int
    zero: int
    is_offset: bool = False

    @property
    def bias(self) -> int:
        """What has to be added for each column."""
        return self.zero * self.depth if self.is_offset else 0

    def bounds(self, codes: tuple[int, int]) -> tuple[int, int]:
        """Smallest and largest sum that this adds, together with the other operand.

        ``sum(z * ~w) = -z * depth - sum(z * w)``, whose second part is counted with the
        activations: together they are ``(u - z) * w``.
        """
        if self.is_offset:
            return -self.zero * self.depth, -self.zero * self.depth
        ends = [(u - self.zero) * weight for u in codes for weight in (self.low, self.high)]
        return self.depth * min(ends), self.depth * max(ends)


@dataclass(frozen=True)
class Operand:
    """One input of a layer.

    Parameters
    ----------
    view : View
        Where it is stored.
    taps : ndarray of int64, shape (taps, 2)
        Vertical and horizontal distance of each tap; negative ones reach into the border.
    weights : ndarray of int64, shape (taps, in_channels / groups, out_channels)
        Weights of each tap; of computed ones only the shape counts.
    groups : int
        As in :class:`mapping.ops.Conv2d`.
    stride : tuple of int
        Vertical and horizontal.
    row_pixels : int
        If not 0, the reader's pixels are the view's in row-major order whatever their rows
        (a reshape that keeps the channels): this is the width of the reader's grid.
    is_flat : bool
        Whether output value e is simply the view's value e, both in row-major order (a reshape
        between pixels and channels). ``weights`` is then one 1 per output channel.
    kernel : tuple of int or None
        Height and width of the regular grid that the taps form, if they do.
    dilation : tuple of int
        Its steps.
    computed : ComputedWeights or None
        Where weights are that are not constant.
    """

    view: View
    taps: NDArray[np.int64]
    weights: NDArray[np.int64]
    groups: int = 1
    stride: tuple[int, int] = (1, 1)
    row_pixels: int = 0
    is_flat: bool = False
    kernel: tuple[int, int] | None = None
    dilation: tuple[int, int] = (1, 1)
    computed: ComputedWeights | None = None

    @property
    def is_zeros(self) -> bool:
        """Whether only a pixel of zeros is read, whatever the output pixel."""
        return self.computed is not None and self.computed.is_offset

    def origin(
        self, y: NDArray[np.int64], x: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The view's pixel that tap (0, 0) of each output pixel (y, x) reads."""
        if self.is_zeros:
            return np.zeros_like(y), np.zeros_like(x)
        if self.row_pixels:
            return np.divmod(y * self.row_pixels + x, self.view.width)
        return y * self.stride[0], x * self.stride[1]

    def reach(self, grid: tuple[int, int], piece: Piece) -> tuple[int, int, int, int]:
        """First and last row, first and last column of a piece that are read, in its pixels."""
        y, x = np.indices(grid).reshape(2, -1)
        rows, cols = self.origin(y, x)
        low, high = self.taps.min(axis=0), self.taps.max(axis=0)
        return (
            int(rows.min() + low[0]) - piece.top,
            int(rows.max() + high[0]) - piece.top,
            int(cols.min() + low[1]) - piece.left,
            int(cols.max() + high[1]) - piece.left,
        )


def grid_taps(
    kernel: tuple[int, int], dilation: tuple[int, int] = (1, 1), pad: Padding = NO_PADDING
) -> NDArray[np.int64]:
    """Taps of a kernel in row-major order, shape (taps, 2), shifted by the padding."""
    y, x = np.indices(kernel).reshape(2, -1)
    return np.stack([y * dilation[0] - pad.top, x * dilation[1] - pad.left], axis=1)


def pack_operand(
    operand: Operand, grid: tuple[int, int], image: tuple[int, int], *, rows_only: bool
) -> tuple[Operand, Packing]:
    """The operand as it is after the host has packed taps into channels.

    Parameters
    ----------
    operand : Operand
        A regular kernel over one whole input, perhaps with a border, without groups.
    grid : tuple of int
        Height and width of the layer's output before pooling.
    image : tuple of int
        Height and width of the input, without any border.
    rows_only : bool
        Pack only the taps of a kernel's row, which needs less memory.

    Returns
    -------
    Operand
        Reads the packed input.
    Packing
        What the host has to do.
    """
    assert operand.kernel is not None
    packing = _packing(operand, grid, image, rows_only=rows_only)
    taps = operand.kernel[0] if rows_only else 1
    height, width, channels = packing.packed_shape
    piece = Piece(operand.view.pieces[0].value, channels)
    view = replace(operand.view, height=height, width=width, pieces=(piece,))
    packed = Operand(
        view,
        grid_taps((taps, 1), operand.dilation),
        operand.weights.reshape(taps, channels, -1),
        stride=(operand.stride[0], 1) if rows_only else (1, 1),
    )
    return packed, packing


def _packing(
    operand: Operand, grid: tuple[int, int], image: tuple[int, int], *, rows_only: bool
) -> Packing:
    assert operand.kernel is not None
    piece = operand.view.pieces[0]
    before = (piece.top - int(operand.taps[0, 0]), piece.left - int(operand.taps[0, 1]))
    spans = [
        (count - 1) * step + (taps - 1) * dilation + 1
        for count, step, taps, dilation in zip(
            grid, operand.stride, operand.kernel, operand.dilation, strict=True
        )
    ]
    after = [
        max(0, span - side - extent)
        for span, side, extent in zip(spans, before, image, strict=True)
    ]
    pad = Padding(before[0], after[0], before[1], after[1])
    if rows_only:
        steps = (1, operand.kernel[1]), (1, operand.stride[1]), (1, operand.dilation[1])
    else:
        steps = operand.kernel, operand.stride, operand.dilation
    return Packing(*steps, pad, (*image, operand.weights.shape[1]))
