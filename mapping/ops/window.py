"""Sliding windows: padding, limits and how many windows fit; for convolution and pooling."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from mapping.ops.node import Node

MAX_WINDOW: Final = 255  # kernel, stride, dilation and padding, in elements


class Padding(NamedTuple):
    """Elements added at each border of an image."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


NO_PADDING: Final = Padding()


@dataclass(frozen=True)
class Window:
    """How a window slides over an image; pairs are (vertical, horizontal).

    Parameters
    ----------
    kernel, stride, dilation : tuple of int
        Taps of a window, step between windows, step between taps; each 1..255.
    pad : Padding
        Elements added at each border, each 0..255.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    pad: Padding = NO_PADDING

    @property
    def reach(self) -> tuple[int, int]:
        """Height and width from a window's first to its last tap."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    def check(self, node: Node) -> None:
        """Refuse parameters out of range, in the node's name."""
        for what in ("kernel", "stride", "dilation"):
            for value in getattr(self, what):
                node.check_range(what, value, 1, MAX_WINDOW)
        check_padding(node, self.pad)

    def positions(self, node: Node, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of windows on an image; an error in the node's name if none fits."""
        padded = (height + self.pad.top + self.pad.bottom, width + self.pad.left + self.pad.right)
        for side, reach, extent in zip(("height", "width"), self.reach, padded, strict=True):
            if reach > extent:
                raise node.error(f"the kernel spans {reach}, beyond the padded {side} of {extent}")
        return (
            (padded[0] - self.reach[0]) // self.stride[0] + 1,
            (padded[1] - self.reach[1]) // self.stride[1] + 1,
        )


def check_padding(node: Node, pad: Padding) -> None:
    """Refuse paddings outside 0..255, in the node's name."""
    for side, value in zip(Padding._fields, pad, strict=True):
        node.check_range(f"padding at the {side}", value, 0, MAX_WINDOW)
