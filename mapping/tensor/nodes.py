"""The nodes of a graph in the making, each on behalf of an expression."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping import ops
from mapping.builder import Builder
from mapping.ops import ActType, GraphError
from mapping.tensor.affine import Affine, Stored, Term
from mapping.tensor.expression import Expression, ExpressionError
from mapping.tensor.movement import Shape
from mapping.tensor.recognise import Contraction, contract
from mapping.tensor.scale import TfliteScale

Recogniser = Callable[[Sequence[Term], Sequence[NDArray[Any]]], Contraction | None]


@dataclass(eq=False)
class Nodes:
    """What has been made so far.

    Parameters
    ----------
    builder : Builder
        The graph.
    made : dict of Expression to tuple of int
        Nodes that were made for an expression, in order.
    notes : dict of Expression to str
        What an expression was recognised as.
    """

    builder: Builder = field(default_factory=Builder)
    made: dict[Expression, tuple[int, ...]] = field(
        default_factory=dict[Expression, tuple[int, ...]]
    )
    notes: dict[Expression, str] = field(default_factory=dict[Expression, str])

    def append(self, expression: Expression, node: ops.Node) -> int:
        """Append a node on behalf of an expression, which errors then name."""
        try:
            node_id = self.builder.append(node).node_id
        except GraphError as error:
            raise ExpressionError(expression, str(error)) from None
        self.made[expression] = (*self.made.get(expression, ()), node_id)
        return node_id

    def shaped(self, expression: Expression, node: int, shape: Shape) -> int:
        """The node itself, or a reshape of it."""
        if self.builder.type_of(node).shape == shape:
            return node
        return self.append(expression, ops.Reshape(inputs=(node,), shape=shape))

    def contraction(
        self,
        expression: Expression,
        form: Affine,
        scales: Sequence[NDArray[Any]],
        recognise: Recogniser = contract,
    ) -> Stored:
        """Terms over one tensor: a convolution or a matmul."""
        try:
            found = recognise(form.terms, (form.constant, *scales))
        except GraphError as error:
            raise ExpressionError(expression, str(error)) from None
        if found is None:
            raise ExpressionError(
                expression,
                "its sums are no sliding window over rows, columns and channels of what is stored, "
                "and too many for a matrix: sum over windows of an image (height, width, channels)",
            )
        self.notes[expression] = found.note
        bias = found.per_channel(form.constant)
        assert bias is not None  # or it would not have been found
        source = self.shaped(expression, form.terms[0].source.node, found.source_shape)
        try:
            node = replace(found.node, inputs=(source,), bias=bias)
        except GraphError as error:
            raise ExpressionError(expression, str(error)) from None
        return Stored(self.append(expression, node), found.shape, found.address)

    def unchanged(self, expression: Expression, sums: int, source: int) -> int:
        """Sums of single activations of a node, quantized to the type that these have."""
        element = self.builder.type_of(source).element
        assert isinstance(element, ActType)
        scale = TfliteScale.of(1.0)
        arrays = [np.atleast_1d(array) for array in scale.arrays]
        return self.append(expression, scale.node(sums, element, arrays))
