"""A weighted node's weights in one form, and which of its taps ever see the border."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mapping.ops import Conv2d, Padding, TensorType, Weighted
from mapping.ops.window import Window


@dataclass(frozen=True, eq=False)
class GroupedTaps:
    """Weights of a convolution or matmul.

    Parameters
    ----------
    weights : ndarray of int64, shape (taps, groups, group_inputs, group_outputs)
        Weights; input channel ``g * group_inputs + i`` belongs to group g, outputs alike.
    sees_border : ndarray of bool, shape (taps,)
        Whether any window has this tap beside the image.
    """

    weights: NDArray[np.int64]
    sees_border: NDArray[np.bool_]

    @classmethod
    def of(cls, node: Weighted, tensor: TensorType) -> "GroupedTaps":
        """Taps of a node whose input has the given type."""
        depth, outputs = node.weights.shape[-2:]
        groups = node.groups if isinstance(node, Conv2d) else 1
        weights = node.weights.astype(np.int64).reshape(-1, depth, groups, outputs // groups)
        sees_border = np.zeros(len(weights), np.bool_)
        if isinstance(node, Conv2d):
            sees_border = _beside_image(node, tensor).ravel()
        return cls(weights.transpose(0, 2, 1, 3), sees_border)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.weights.shape[1]

    @cached_property
    def reads(self) -> NDArray[np.bool_]:
        """Whether an output sees an input at all, shape (groups, group_inputs, group_outputs)."""
        return np.any(self.weights != 0, axis=0)

    @cached_property
    def reads_at_border(self) -> NDArray[np.bool_]:
        """Whether an output sees an input at a tap that sees the border; shape of ``reads``."""
        return np.any(self.weights[self.sees_border] != 0, axis=0)

    def bounds(
        self, low: NDArray[np.int64], high: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Smallest and largest sum of each output channel, without the bias.

        Parameters
        ----------
        low, high : ndarray of int64, shape (in_channels,)
            Range of each input channel, less the zero point.
        """
        shape = (1, self.groups, -1, 1)
        least, most = low.reshape(shape), high.reshape(shape)
        border = self.sees_border.reshape(-1, 1, 1, 1)
        least = np.where(border, np.minimum(least, 0), least)
        most = np.where(border, np.maximum(most, 0), most)
        at_least, at_most = self.weights * least, self.weights * most
        bottom = np.minimum(at_least, at_most).sum(axis=(0, 2))
        top = np.maximum(at_least, at_most).sum(axis=(0, 2))
        return bottom.ravel(), top.ravel()


def _beside_image(node: Conv2d, tensor: TensorType) -> NDArray[np.bool_]:
    """For each tap of a kernel, whether some window has it beside the image."""
    height, width, _ = tensor.shape
    window, pad = node.window, node.pad
    positions = window.positions(node, height, width)
    rows = _axis(window, 0, positions[0], height, pad)
    cols = _axis(window, 1, positions[1], width, pad)
    return rows[:, None] | cols


def _axis(
    window: Window, axis: int, positions: int, extent: int, pad: Padding
) -> NDArray[np.bool_]:
    """For each tap along one axis, whether its first or last position is beside the image."""
    first = np.arange(window.kernel[axis]) * window.dilation[axis] - pad[2 * axis]
    last = first + (positions - 1) * window.stride[axis]
    return (first < 0) | (last >= extent)
