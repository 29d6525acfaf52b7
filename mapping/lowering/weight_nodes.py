"""Nodes that the mapper itself makes for weights that are computed.

A product of computed tensors (:class:`mapping.ops.DynamicMatMul`) becomes a
:class:`WeightFormMatMul` and an :class:`AsWeights` for each store in weight form;
:mod:`mapping.lowering.weight_form` does it and says what that form is.
"""

from dataclasses import dataclass
from typing import ClassVar

from mapping.ops import ActType, DynamicMatMul, Node, TensorType
from mapping.ops.types import AccType


@dataclass(frozen=True, eq=False, kw_only=True)
class AsWeights(Node):
    """One part of a tensor's values less their zero point, in weight form.

    Parameters
    ----------
    weight_bits : int
        Of the array.
    part, parts : int
        Which part of how many.
    is_complement : bool
        Whether it holds ``~w`` in place of ``w``.
    """

    KIND: ClassVar[str] = "as_weights"

    weight_bits: int
    part: int
    parts: int
    is_complement: bool = False

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give the input's shape with the weights' type."""
        self.activations(types[0])
        return TensorType(types[0].shape, ActType(self.weight_bits, signed=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightFormMatMul(Node):
    """A :class:`mapping.ops.DynamicMatMul` whose second input is there in weight form.

    Parameters
    ----------
    inputs : tuple of int
        The activations; the weights, part by part; their complement, if the activations' code of
        zero is not 0.
    parts : int
        Parts of a weight.
    low, high : int
        Smallest and largest weight.
    block_rows : int
        Rows of all channel blocks together.
    """

    KIND: ClassVar[str] = DynamicMatMul.KIND

    parts: int
    low: int
    high: int
    block_rows: int

    def __post_init__(self) -> None:
        assert len(self.inputs) in (1 + self.parts, 1 + 2 * self.parts)

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give one accumulator per pair of pixels."""
        return TensorType((*types[0].shape[:-1], types[1].pixels), AccType())

    def macs(self, types: tuple[TensorType, ...]) -> int:
        """Count every weight once per pixel, whatever its parts."""
        return types[0].pixels * types[1].elements
