"""Nodes that multiply: convolution, matmuls and the weighted sum of two tensors.

They yield accumulators (32-bit sums), which a :class:`mapping.ops.Requantize` turns into
activations. Zero points are taken off before the product, so a border of zero points adds nothing.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from mapping.ops.node import Node
from mapping.ops.types import ACC_MAX, ACC_MIN, AccType, TensorType
from mapping.ops.window import NO_PADDING, Padding, Window

MAX_WEIGHT_BITS: Final = 16


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted(Node):
    """What convolution and matmul share: ``acc = sum(weight * (q - zero_point)) + bias``.

    Parameters
    ----------
    weights : ndarray of int32, output channels on the last axis
        Two's complement values of ``weight_bits`` bits.
    bias : ndarray of int32, shape (out_channels,)
        Added to every sum.
    weight_bits : int
        Width of the weights, 1..16. A weight of 1 bit is 0 or -1.
    """

    WEIGHT_AXES: ClassVar[int] = 2

    weights: NDArray[np.int32]
    bias: NDArray[np.int32]
    weight_bits: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("weight_bits", self.weight_bits, 1, MAX_WEIGHT_BITS)
        half = 1 << (self.weight_bits - 1)
        self.freeze("weights", np.int32, self.WEIGHT_AXES, -half, half - 1)
        self.freeze("bias", np.int32, 1, ACC_MIN, ACC_MAX)
        if self.bias.shape[0] != self.out_channels:
            raise self.error(
                f"bias must have one value per output channel ({self.out_channels}), "
                f"not {self.bias.shape[0]}"
            )

    @property
    def out_channels(self) -> int:
        """Number of output channels, the weights' last axis."""
        return self.weights.shape[-1]


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2d(Weighted):
    """Two-dimensional convolution (cross-correlation); the border holds the zero point.

    Output channels come in ``groups`` equal, consecutive parts; each part sees its own equal part
    of the input channels. Depthwise convolution has one group per input channel.

    Parameters
    ----------
    weights : ndarray of int32, shape (kernel_h, kernel_w, in_channels / groups, out_channels)
        Kernel, see :class:`Weighted`.
    stride, dilation : tuple of int
        Vertical and horizontal step between windows, and between taps of one window.
    pad : Padding
        Zero points added around the image.
    groups : int
        Divides both channel counts.
    """

    KIND: ClassVar[str] = "conv2d"
    WEIGHT_AXES: ClassVar[int] = 4

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: Padding = NO_PADDING
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.window.check(self)
        self.check_range("groups", self.groups, 1, self.out_channels)
        if self.out_channels % self.groups:
            raise self.error(
                f"groups must divide the output channels ({self.out_channels}), not {self.groups}"
            )

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the kernel, in taps."""
        return self.weights.shape[0], self.weights.shape[1]

    @property
    def window(self) -> Window:
        """How the kernel slides."""
        return Window(self.kernel, self.stride, self.dilation, self.pad)

    @property
    def in_channels(self) -> int:
        """Number of input channels."""
        return self.weights.shape[2] * self.groups

    @property
    def is_depthwise(self) -> bool:
        """Whether every input channel has its own group of output channels, and there are many."""
        return self.groups > 1 and self.weights.shape[2] == 1

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give one accumulator per window and output channel."""
        height, width, channels = self.image(types[0])
        if channels != self.in_channels:
            raise self.error(f"needs {self.in_channels} input channels, not {channels}")
        rows, cols = self.window.positions(self, height, width)
        return TensorType((rows, cols, self.out_channels), AccType())

    def macs(self, types: tuple[TensorType, ...]) -> int:
        """Count every weight once per window."""
        return self.output_type(types).pixels * self.weights.size


@dataclass(frozen=True, eq=False, kw_only=True)
class MatMul(Weighted):
    """Fully connected layer on the last axis, for every pixel of an image alike.

    Parameters
    ----------
    weights : ndarray of int32, shape (in_features, out_features)
        Matrix, see :class:`Weighted`.
    """

    KIND: ClassVar[str] = "matmul"

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give one accumulator per pixel and output feature."""
        self.activations(types[0])
        if types[0].channels != self.weights.shape[0]:
            raise self.error(
                f"needs {self.weights.shape[0]} input features on the last axis, "
                f"not {types[0].channels}"
            )
        return TensorType((*types[0].shape[:-1], self.out_channels), AccType())

    def macs(self, types: tuple[TensorType, ...]) -> int:
        """Count every weight once per pixel."""
        return types[0].pixels * self.weights.size


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Node):
    """Weighted sum of two tensors of one shape, ``sum(weight * (q - zero_point))``.

    Parameters
    ----------
    weights : tuple of int
        One 16-bit two's complement weight per input; a :class:`Requantize` takes their common
        scale out again.
    """

    KIND: ClassVar[str] = "add"
    ARITY: ClassVar[int] = 2

    weights: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        half = 1 << (MAX_WEIGHT_BITS - 1)
        for weight in self.weights:
            self.check_range("a weight", weight, -half, half - 1)

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give accumulators of the inputs' shape."""
        for tensor in types:
            self.activations(tensor)
        if types[0].shape != types[1].shape:
            raise self.error(
                f"needs inputs of one shape, not {types[0].shape} and {types[1].shape}"
            )
        return TensorType(types[0].shape, AccType())


@dataclass(frozen=True, eq=False, kw_only=True)
class DynamicMatMul(Node):
    """Product of two computed tensors along their channels, as of queries and keys.

    Every pixel of the first input meets every pixel of the second, in row-major order::

        acc[.., n] = sum over k of (a[.., k] - zero_point_a) * (b[n, k] - zero_point_b)
    """

    KIND: ClassVar[str] = "dynamic_matmul"
    ARITY: ClassVar[int] = 2

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give one accumulator per pixel of the first input and pixel of the second."""
        left, right = types
        for tensor in types:
            self.activations(tensor)
        if left.channels != right.channels:
            raise self.error(
                f"needs inputs of as many channels, not {left.channels} and {right.channels}"
            )
        return TensorType((*left.shape[:-1], right.pixels), AccType())

    def macs(self, types: tuple[TensorType, ...]) -> int:
        """Count every element of the second input once per pixel of the first."""
        return types[0].pixels * types[1].elements
