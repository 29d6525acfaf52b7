"""Attributes of convolutions and pools, and images as the graph has them.

A line (1, channels, width), as one-dimensional convolutions have, is an image of height 1.
"""

from dataclasses import dataclass

import numpy as np

from mapping.builder import Value
from mapping.fixed_point import IntArray
from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import integer, integers, text
from mapping.importers.onnx.records import Node
from mapping.importers.onnx.values import Codes, channels_last

Four = tuple[int, int, int, int]


@dataclass(frozen=True)
class Windows:
    """How windows slide over an image; pairs are (vertical, horizontal).

    Parameters
    ----------
    kernel, stride, dilation : tuple of int
        Extent in taps, step between windows, step between taps.
    pad : tuple of int
        Top, bottom, left, right.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: Four


def read_windows(node: Node, kernel: tuple[int, int] | None, codes: Codes) -> Windows:
    """Windows of a node over an image.

    Parameters
    ----------
    node : Node
        A convolution or a pool.
    kernel : tuple of int or None
        The weights'; a pool has it as an attribute.
    codes : Codes
        The image, or a line.
    """
    _, *image = image_shape(codes)
    axes = codes.index.ndim - 2
    declared = integers(node, "kernel_shape", None)
    if kernel is not None and declared is not None and declared != kernel[-axes:]:
        raise RefusedError(f"its kernel_shape {declared} is not its weights', {kernel[-axes:]}")
    taps = kernel or _pair(node, "kernel_shape", declared, axes)
    stride = _pair(node, "strides", integers(node, "strides", (1,) * axes), axes)
    dilation = _pair(node, "dilations", integers(node, "dilations", (1,) * axes), axes)
    pads = integers(node, "pads", (0,) * (2 * axes))
    if len(pads) != 2 * axes or min(pads) < 0:
        raise RefusedError(f"its pads must be {2 * axes}, none negative, not {pads!s:.40}")
    # Rows before columns, and each starts before it ends.
    pad = (pads[0], pads[2], pads[1], pads[3]) if axes == 2 else (0, 0, pads[0], pads[1])
    auto = text(node, "auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pad = _same(taps, stride, dilation, image, is_upper=auto == "SAME_UPPER")
    elif auto == "VALID":
        pad = (0, 0, 0, 0)
    elif auto != "NOTSET":
        raise RefusedError(f"its auto_pad {auto!r:.20} is unknown")
    if integer(node, "ceil_mode", 0):
        pad = _rounded_up(node, taps, stride, dilation, pad, image)
    return Windows(taps, stride, dilation, pad)


def _pair(node: Node, name: str, values: tuple[int, ...] | None, axes: int) -> tuple[int, int]:
    """Lengths along rows and columns; of a line, along columns."""
    if values is None or len(values) != axes or min(values) < 1:
        raise RefusedError(
            f"its {name} must be at least 1 on each of {axes} axes, not {values!s:.40}"
        )
    return (values[0], values[1]) if axes == 2 else (1, values[0])


def _same(
    taps: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int],
    image: list[int], *, is_upper: bool,
) -> Four:  # fmt: skip
    """Padding that gives one window per step; the odd one at the end, or at the start."""
    sides: list[int] = []
    for axis in range(2):
        reach = (taps[axis] - 1) * dilation[axis] + 1
        windows = -(-image[axis] // stride[axis])
        total = max((windows - 1) * stride[axis] + reach - image[axis], 0)
        less, more = total // 2, total - total // 2
        sides += [less, more] if is_upper else [more, less]
    return sides[0], sides[1], sides[2], sides[3]


def _rounded_up(
    node: Node, taps: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int],
    pad: Four, image: list[int],
) -> Four:  # fmt: skip
    """Padding with which the last, cut off windows of ``ceil_mode`` are whole."""
    sides = list(pad)
    for axis in range(2):
        start, end = sides[2 * axis : 2 * axis + 2]
        over = start + image[axis] + end - ((taps[axis] - 1) * dilation[axis] + 1)
        extra = -over % stride[axis]
        # A further window counts if it begins within the image or the border before it.
        if extra and over + extra < start + image[axis]:
            if node.op != "MaxPool":
                raise RefusedError("ceil_mode with windows beyond the image is not supported")
            sides[2 * axis + 1] += extra
    return sides[0], sides[1], sides[2], sides[3]


def image_shape(codes: Codes) -> tuple[int, int, int]:
    """Channels, height and width of one image (1, channels, height, width), or of a line."""
    shape = codes.index.shape
    if len(shape) not in (3, 4) or shape[0] != 1:
        raise RefusedError(
            f"its input must be an image (1, channels, height, width) or (1, channels, width), "
            f"not {shape}"
        )
    return shape[1], 1 if len(shape) == 3 else shape[2], shape[-1]


def image(codes: Codes) -> Value:
    """Activations as an image of the graph; refused if they lie in another order."""
    channels, height, width = image_shape(codes)
    lying = channels_last(height, width, channels).reshape(codes.index.shape)
    if not np.array_equal(codes.index, lying):
        raise RefusedError("its input's channels do not lie last: that would take a copy")
    value = codes.value
    if value.type.shape == (height, width, channels):
        return value
    return value.reshape(height, width, channels)


def image_index(value: Value, source: Codes) -> IntArray:
    """Where the elements of an image of the graph lie, which is a line if its source is one."""
    height, width, channels = value.type.shape
    index = channels_last(height, width, channels)
    return index if source.index.ndim == 4 else index[:, :, 0]
