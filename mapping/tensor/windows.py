"""Convolution and max-pool, written with nothing but movements, products, sums and maxima."""

from collections.abc import Sequence
from typing import Literal

from mapping.ops import Padding
from mapping.tensor.expression import ExpressionError
from mapping.tensor.tensor import Operand, Tensor, as_tensor

Pair = int | tuple[int, int]
PadSpec = Literal["same", "valid"] | tuple[int, int, int, int]


def conv2d(
    image: Tensor,
    weights: Operand,
    bias: Operand = 0,
    *,
    stride: Pair = 1,
    dilation: Pair = 1,
    pad: PadSpec = "valid",
    groups: int = 1,
) -> Tensor:
    """Convolve (cross-correlate) an image.

    Parameters
    ----------
    image : Tensor, shape (height, width, in_channels)
        Activations.
    weights : Tensor or array, shape (kernel_h, kernel_w, in_channels / groups, out_channels)
        Constants.
    bias : Tensor or array, shape (out_channels,)
        Added to every sum.
    stride, dilation : int or (int, int)
        Steps between windows and between taps.
    pad : "same", "valid" or (top, bottom, left, right)
        Zeros around the image; as :meth:`mapping.builder.Value.conv2d`.
    groups : int
        Equal, consecutive parts of the channels, each seeing its own.

    Returns
    -------
    Tensor, shape (rows, columns, out_channels)
        Sums.

    Raises
    ------
    ExpressionError
        If shapes do not fit.
    """
    weights = as_tensor(weights)
    if isinstance(pad, str) and pad not in ("same", "valid"):
        raise ExpressionError(image.expression, "conv2d's pad must be same, valid or four "
                              f"lengths, not {pad!r:.20}")  # fmt: skip
    if image.ndim != 3 or weights.ndim != 4:
        raise ExpressionError(image.expression, "conv2d needs an image (height, width, channels) "
                              f"and a kernel of 4 axes, not {weights.shape}")  # fmt: skip
    depth, share, outputs = image.shape[2], weights.shape[2], weights.shape[3]
    if groups < 1 or share * groups != depth or outputs % groups:
        raise ExpressionError(image.expression, f"conv2d in {groups} groups: {depth} channels do "
                              f"not fit a kernel {weights.shape}")  # fmt: skip
    kernel = (weights.shape[0], weights.shape[1])
    steps, taps = _pair(stride), _pair(dilation)
    padded = _padded(image, _padding(pad, image.shape, kernel, steps, taps))
    windows = padded.sliding_window_view(kernel, (0, 1), taps)[:: steps[0], :: steps[1]]
    rows, cols = windows.shape[:2]
    windows = windows.reshape(rows, cols, groups, 1, share, *kernel)
    grouped = weights.permute(3, 2, 0, 1).reshape(groups, outputs // groups, share, *kernel)
    sums = (windows * grouped).sum(axis=(4, 5, 6))
    return sums.reshape(rows, cols, outputs) + bias


def max_pool2d(image: Tensor, kernel: Pair, stride: Pair | None = None) -> Tensor:
    """Largest value of each window; the stride is the kernel unless given.

    Parameters
    ----------
    image : Tensor, shape (height, width, channels)
        Activations.
    kernel, stride : int or (int, int)
        Size of a window, and step between windows.
    """
    window, steps = _pair(kernel), _pair(kernel if stride is None else stride)
    if image.ndim != 3:
        raise ExpressionError(image.expression, "max_pool2d needs (height, width, channels), "
                              f"not {image.shape}")  # fmt: skip
    windows = image.sliding_window_view(window, (0, 1))
    return windows[:: steps[0], :: steps[1]].max(axis=(3, 4))


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _padded(image: Tensor, pad: Padding) -> Tensor:
    if not any(pad):
        return image
    return image.pad((pad.top, pad.bottom), (pad.left, pad.right), (0, 0))


def _padding(
    pad: PadSpec,
    shape: Sequence[int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Padding:
    """Padding in elements; "same" is ``ceil(extent / stride)`` windows, odd ones at the end."""
    if pad == "valid":
        return Padding()
    if pad != "same":
        return Padding(*pad)
    sides: list[int] = []
    for extent, taps, step, spread in zip(shape[:2], kernel, stride, dilation, strict=True):
        reach = (taps - 1) * spread + 1
        total = max((-(-extent // step) - 1) * step + reach - extent, 0)
        sides += [total // 2, total - total // 2]
    return Padding(*sides)
