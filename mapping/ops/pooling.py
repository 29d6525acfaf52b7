"""Pooling nodes: the largest or the mean activation of each window; types stay as they are."""

from dataclasses import dataclass
from typing import ClassVar

from mapping.ops.node import Node
from mapping.ops.types import TensorType
from mapping.ops.window import NO_PADDING, Padding, Window


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool2d(Node):
    """Largest activation of each window; padding never wins.

    Parameters
    ----------
    kernel, stride : tuple of int
        Height and width of a window; vertical and horizontal step between windows.
    pad : Padding
        Smaller than the kernel, so that every window holds a real element.
    """

    KIND: ClassVar[str] = "max_pool2d"

    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: Padding = NO_PADDING

    def __post_init__(self) -> None:
        super().__post_init__()
        self.window.check(self)
        height, width = self.kernel
        limits = (height, height, width, width)
        for side, value, limit in zip(Padding._fields, self.pad, limits, strict=True):
            if value >= limit:
                raise self.error(
                    f"padding at the {side} must be below the kernel ({limit}), not {value}"
                )

    @property
    def window(self) -> Window:
        """How the kernel slides."""
        return Window(self.kernel, self.stride, pad=self.pad)

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give one element per window and channel."""
        height, width, channels = self.image(types[0])
        rows, cols = self.window.positions(self, height, width)
        return TensorType((rows, cols, channels), types[0].element)


@dataclass(frozen=True, eq=False, kw_only=True)
class AvgPool2d(Node):
    """Mean of each window, rounded half away from zero as TensorFlow Lite does.

    With ``s`` the sum of the window's ``n`` values q (zero points stay in)::

        q = sign(s) * ((abs(s) + n // 2) // n)

    Parameters
    ----------
    kernel, stride : tuple of int
        Height and width of a window; vertical and horizontal step between windows.
    """

    KIND: ClassVar[str] = "avg_pool2d"

    kernel: tuple[int, int]
    stride: tuple[int, int]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.window.check(self)

    @property
    def window(self) -> Window:
        """How the kernel slides."""
        return Window(self.kernel, self.stride)

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give one element per window and channel."""
        height, width, channels = self.image(types[0])
        rows, cols = self.window.positions(self, height, width)
        return TensorType((rows, cols, channels), types[0].element)


@dataclass(frozen=True, eq=False, kw_only=True)
class GlobalAvgPool(Node):
    """Mean of each channel over the whole image, shape (1, 1, channels); rounds as AvgPool2d."""

    KIND: ClassVar[str] = "global_avg_pool"

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give one element per channel."""
        _, _, channels = self.image(types[0])
        return TensorType((1, 1, channels), types[0].element)
