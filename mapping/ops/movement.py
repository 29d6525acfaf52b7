"""Nodes that move activations and never change them: concatenate, reshape, pad."""

from dataclasses import dataclass
from typing import ClassVar

from mapping.ops.node import Node
from mapping.ops.types import TensorType
from mapping.ops.window import Padding, check_padding


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Node):
    """Two or more tensors of one type joined along the channels, the last axis."""

    KIND: ClassVar[str] = "concat"

    def __post_init__(self) -> None:
        if len(self.inputs) < 2:
            raise self.error(f"needs at least 2 inputs, not {len(self.inputs)}")

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give the common type with all channels."""
        first = types[0]
        for tensor in types:
            self.activations(tensor)
            if tensor.element != first.element or tensor.shape[:-1] != first.shape[:-1]:
                raise self.error(
                    f"needs inputs alike but for their channels, not {first} and {tensor}"
                )
        channels = sum(tensor.channels for tensor in types)
        return TensorType((*first.shape[:-1], channels), first.element)


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Node):
    """The same elements in row-major order (height, width, channels) under another shape.

    Parameters
    ----------
    shape : tuple of int
        New shape, with as many elements as the old one.
    """

    KIND: ClassVar[str] = "reshape"

    shape: tuple[int, ...]

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give the input's type in the new shape."""
        result = TensorType(self.shape, self.activations(types[0]))
        if result.elements != types[0].elements:
            raise self.error(f"shape must hold {types[0].elements} elements, not {self.shape}")
        return result


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(Node):
    """A border of zero points around an image.

    Parameters
    ----------
    pad : Padding
        Elements added at each side.
    """

    KIND: ClassVar[str] = "pad"

    pad: Padding

    def __post_init__(self) -> None:
        super().__post_init__()
        check_padding(self, self.pad)

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give the input's type with the border around it."""
        height, width, channels = self.image(types[0])
        rows = self.pad.top + height + self.pad.bottom
        cols = self.pad.left + width + self.pad.right
        return TensorType((rows, cols, channels), types[0].element)
