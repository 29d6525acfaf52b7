"""Tensors in the scratchpad as a program file describes them: place, border, codes, packing.

The host writes inputs and reads outputs by these records; a debugger reads any tensor by them.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from mapping.batch_shape import batch_text
from mapping.errors import ProgramError
from mapping.ops import Padding
from systolic.spec.config import ArrayConfig
from systolic.spec.layout import pack_activations, unpack_activations

# What a file may ask for: enough for every convolution, too little to exhaust the host's memory.
MAX_STEP: Final = 65535
MAX_PAD: Final = 255


@dataclass(frozen=True)
class Packing:
    """How the host gathers a window's taps into channels before it writes an input.

    Stored pixel (y, x) holds, for each tap of ``kernel`` in row-major order, all channels of image
    pixel ``(y * stride - pad + tap * dilation)``; taps outside the image hold the zero point.

    Parameters
    ----------
    kernel, stride, dilation : tuple of int
        Vertical and horizontal.
    pad : Padding
        Border of the image.
    image : tuple of int
        Height, width and channels of the image: the input's values in row-major order.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: Padding
    image: tuple[int, int, int]

    @property
    def is_valid(self) -> bool:
        """Whether all fields are in the ranges of a convolution's."""
        steps = (*self.kernel, *self.stride, *self.dilation)
        return all(1 <= step <= MAX_STEP for step in steps) and all(
            0 <= side <= MAX_PAD for side in self.pad
        )

    @property
    def packed_shape(self) -> tuple[int, int, int]:
        """Height, width and channels after packing."""
        height, width, channels = self.image
        rows, cols = (
            (extent + before + after - (taps - 1) * dilation - 1) // stride + 1
            for extent, before, after, taps, dilation, stride in (
                (height, *self.pad[:2], self.kernel[0], self.dilation[0], self.stride[0]),
                (width, *self.pad[2:], self.kernel[1], self.dilation[1], self.stride[1]),
            )
        )
        return rows, cols, self.kernel[0] * self.kernel[1] * channels

    def gather(self, images: NDArray[np.int64], zero_point: int) -> NDArray[np.int64]:
        """Images with packed channels.

        Parameters
        ----------
        images : ndarray of int64, shape (n, height, width, channels)
            Values q.
        zero_point : int
            Value of taps outside the image.

        Returns
        -------
        ndarray of int64, shape (n, out_height, out_width, kernel_h * kernel_w * channels)
        """
        top, bottom, left, right = self.pad
        widths = ((0, 0), (top, bottom), (left, right), (0, 0))
        padded = np.pad(images, widths, constant_values=zero_point)
        (kernel_h, kernel_w), (dil_h, dil_w) = self.kernel, self.dilation
        reach = ((kernel_h - 1) * dil_h + 1, (kernel_w - 1) * dil_w + 1)
        windows = sliding_window_view(padded, reach, axis=(1, 2))
        windows = windows[:, :: self.stride[0], :: self.stride[1], :, ::dil_h, ::dil_w]
        ordered = windows.transpose(0, 1, 2, 4, 5, 3)
        return ordered.reshape(*ordered.shape[:3], -1)


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """One tensor in the scratchpad: ``[pixel][channel block][digit]`` words, border included.

    Rows of pixels follow each other; what is to the right of one row is to the left of the next, so
    that the wider of the two borders is enough for both. In weight form, a pixel is a column of
    weights: words are ``[channel block][pixel][digit]``, codes two's complement.

    Parameters
    ----------
    node : int
        Node id in the graph that was compiled.
    name : str
        For listings and messages.
    address : int
        First word, of the border's top left pixel.
    shape : tuple of int
        Shape in the network, (height, width, channels) or (features,).
    height, width, channels : int
        Stored image without its border (after packing); the values of ``shape`` in row-major order.
    border : Padding
        Pixels of code ``zero`` around it.
    bits : int
        Activation bits, 1..8.
    q_min : int
        The value of code 0.
    zero : int
        The code of the zero point.
    packing : Packing or None
        Only for inputs: what the host does before it writes.
    is_weights : bool
        Whether it lies in weight form, see :mod:`mapping.lowering.weight_form`; then ``bits`` are
        the array's ``weight_bits`` and values are weights.
    """

    node: int
    name: str
    address: int
    shape: tuple[int, ...]
    height: int
    width: int
    channels: int
    border: Padding
    bits: int
    q_min: int
    zero: int
    packing: Packing | None = None
    is_weights: bool = False

    @cached_property
    def pitch(self) -> int:
        """Pixels from one row to the next."""
        return self.width + max(self.border.left, self.border.right)

    @cached_property
    def pixels(self) -> int:
        """Pixels with the border; the last row's right border comes after all rows."""
        rows = self.border.top + self.height + self.border.bottom
        return rows * self.pitch + min(self.border.left, self.border.right)

    def blocks(self, config: ArrayConfig) -> int:
        """Blocks of ``rows`` channels."""
        return -(-self.channels // config.rows)

    def pixel_words(self, config: ArrayConfig) -> int:
        """Words per pixel."""
        return self.blocks(config) * config.digits(self.bits)

    def pixel_step(self, config: ArrayConfig) -> int:
        """Words from a pixel to the next one."""
        return config.digits(self.bits) if self.is_weights else self.pixel_words(config)

    def block_step(self, config: ArrayConfig) -> int:
        """Words from a channel block of a pixel to the next one."""
        return config.digits(self.bits) * (self.pixels if self.is_weights else 1)

    def words(self, config: ArrayConfig) -> int:
        """Words of the whole tensor with its border."""
        return self.pixels * self.pixel_words(config)

    def pixel_index(self, y: Any, x: Any) -> Any:
        """Index of a pixel (or arrays of them) counted from the border's top left."""
        return (y + self.border.top) * self.pitch + x + self.border.left

    def image_pixels(self) -> NDArray[np.int64]:
        """Indices of the image's pixels, shape (height, width)."""
        return self.pixel_index(*np.ogrid[: self.height, : self.width])

    def border_pixels(self) -> NDArray[np.int64]:
        """Indices of the border's pixels, ascending."""
        is_border = np.ones(self.pixels, bool)
        is_border[self.image_pixels()] = False
        return np.flatnonzero(is_border)

    def by_block(self, config: ArrayConfig) -> "StoredTensor":
        """The same words, seen as pixels of one channel block each, all its rows included."""
        blocks = self.blocks(config)
        left, right = self.border.left * blocks, self.border.right * blocks
        border = self.border._replace(left=left, right=right)
        return replace(self, width=self.width * blocks, channels=config.rows, border=border)

    def check(self, config: ArrayConfig) -> None:
        """Refuse a record that contradicts itself or the scratchpad, as one from a file may.

        Raises
        ------
        ProgramError
            Naming the tensor and the field.
        """

        def require(condition: bool, message: str) -> None:
            if not condition:
                raise ProgramError(f"tensor {self.name}: {message}")

        require(len(self.shape) in (1, 3), f"shape must have 1 or 3 axes, not {self.shape}")
        extents = (*self.shape, self.height, self.width, self.channels)
        require(all(1 <= extent < 1 << 24 for extent in extents), f"extents must be 1..{1 << 24}")
        require(all(0 <= side < 1 << 16 for side in self.border), "border must be 0..65535")
        require(1 <= self.bits <= 8, f"bits must be 1..8, not {self.bits}")
        require(self.q_min in (0, -(1 << self.bits - 1)), f"q_min cannot be {self.q_min}")
        require(0 <= self.zero < 1 << self.bits, f"zero cannot be code {self.zero}")
        if self.is_weights:
            require(
                self.bits == config.weight_bits and self.zero == 0 and self.packing is None,
                f"in weight form it must have {config.weight_bits} bits, zeros of code 0 and no "
                "packing",
            )
        end = self.address + self.words(config)
        require(
            0 <= self.address and end <= config.scratchpad_words,
            f"words {self.address}..{end - 1} do not lie in the scratchpad "
            f"({config.scratchpad_words} words)",
        )
        stored = (self.height, self.width, self.channels)
        if self.packing is None:
            whole = prod(stored) == prod(self.shape)
            require(whole, f"shape {self.shape} is not stored as {stored}")
        else:
            image = self.packing.image
            whole = min(image) >= 1 and prod(image) == prod(self.shape)
            require(whole, f"shape {self.shape} is not packed as {image}")
            require(
                self.packing.is_valid and self.packing.packed_shape == stored,
                f"packing does not turn {image} into {stored}",
            )

    def pack(self, images: ArrayLike, config: ArrayConfig) -> list[bytes]:
        """Words of the whole tensor, border and all, for each image.

        Parameters
        ----------
        images : array of int, shape (n, *shape)
            Values q in ``q_min .. q_min + 2**bits - 1``.
        config : ArrayConfig
            The array.

        Raises
        ------
        ValueError
            If the shape or a value does not fit.
        """
        array = np.asarray(images)
        if array.shape[1:] != self.shape or array.ndim != len(self.shape) + 1:
            raise ValueError(
                f"{self.name} must have shape {batch_text(self.shape)}, not {array.shape}"
            )
        if array.dtype.kind not in "iu":
            raise ValueError(f"{self.name} must hold integers, not {array.dtype}")
        q_max = self.q_min + (1 << self.bits) - 1
        if array.size and (array.min() < self.q_min or array.max() > q_max):
            raise ValueError(
                f"{self.name} must be {self.q_min}..{q_max}, not {array.min()}..{array.max()}"
            )
        stored = (self.height, self.width, self.channels)
        image = stored if self.packing is None else self.packing.image
        values = array.astype(np.int64).reshape(len(array), *image)
        if self.packing is not None:
            values = self.packing.gather(values, self.zero + self.q_min)
        return [self._pack_one(image, config) for image in values]

    def _pack_one(self, values: NDArray[np.int64], config: ArrayConfig) -> bytes:
        codes = values & (1 << self.bits) - 1 if self.is_weights else values - self.q_min
        # Beside the image all rows are zeros: products of computed tensors read them.
        region = np.full((self.pixels, self.blocks(config) * config.rows), self.zero, np.int64)
        region[self.image_pixels(), : self.channels] = codes
        region[self.image_pixels(), self.channels :] = 0
        data = pack_activations(region, self.bits, config)
        return self._regrouped(data, (self.pixels, self.blocks(config)), config)

    def unpack(self, data: bytes, config: ArrayConfig) -> NDArray[np.int64]:
        """Values q of one image from the tensor's words, shape ``shape`` (border taken off)."""
        data = self._regrouped(data, (self.blocks(config), self.pixels), config)
        codes = unpack_activations(data, self.channels, self.bits, config)[self.image_pixels()]
        if self.is_weights:
            codes = (codes & (1 << self.bits) - 1) + self.q_min ^ self.q_min
        else:
            codes = codes + self.q_min
        return codes.reshape(self.shape)

    def _regrouped(self, data: bytes, groups: tuple[int, int], config: ArrayConfig) -> bytes:
        """In weight form, words with pixels and channel blocks exchanged; else as they are."""
        if not self.is_weights:
            return data
        length = config.digits(self.bits) * config.word_bytes
        words = np.frombuffer(data, np.uint8).reshape(*groups, length)
        return words.swapaxes(0, 1).tobytes()
