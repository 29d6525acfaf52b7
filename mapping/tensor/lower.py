"""Lowering: an expression becomes a graph of nodes, and an address to read its result at.

Activations are stored where a node computes them, movements are kept as addresses until somebody
reads, and sums are brought into the normal form (:mod:`mapping.tensor.affine`) where they are
requantized. What :mod:`mapping.tensor.recognise` makes of them is noted for ``explain``.
"""

from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping import ops
from mapping.builder import Builder, Value
from mapping.graph import Graph
from mapping.ops import ActType, GraphError, TensorType
from mapping.tensor.affine import Affine, Stored, Term, normal_form
from mapping.tensor.expression import (
    Clamp,
    Expression,
    ExpressionError,
    Input,
    Lut,
    Max,
    Moved,
    Requantize,
    in_order,
)
from mapping.tensor.movement import Permute, Reshape, Shape, Values
from mapping.tensor.pooling import has_border, pool
from mapping.tensor.recognise import contract, per_channel
from mapping.tensor.view import Address


@dataclass(frozen=True, eq=False)
class Lowered:
    """An expression as a network.

    Parameters
    ----------
    graph : Graph
        The network, with the expression's inputs in order and one output.
    result : Stored
        Where the expression's elements lie in that output.
    made : dict of Expression to tuple of int
        Nodes that were made for an expression, in order.
    notes : dict of Expression to str
        What an expression was recognised as.
    """

    graph: Graph
    result: Stored
    made: dict[Expression, tuple[int, ...]]
    notes: dict[Expression, str]

    def values(self, stored: Values) -> Values:
        """Values q of the expression's elements, from those that the output holds."""
        element = self.graph.types[self.result.node].element
        assert isinstance(element, ActType)  # or it would not have been lowered
        return self.result.address.take(stored - element.zero_point) + element.zero_point


def lower(root: Expression) -> Lowered:
    """Lower an expression.

    Raises
    ------
    ExpressionError
        If the result is no tensor of activations, or the array cannot compute a part of it.
    """
    if not isinstance(root.element, ActType):
        raise ExpressionError(
            root, "sums stay in the accumulators, so they cannot be a result: quantize them"
        )
    lowering = _Lowering()
    for expression in in_order(root):
        if isinstance(expression, Input):
            lowering.read(expression)
    result = lowering.read(root)
    graph = lowering.builder.graph(Value(lowering.builder, result.node))
    return Lowered(graph, result, lowering.made, lowering.notes)


def graph_shape(shape: Shape) -> Shape:
    """Shape under which a tensor of any rank is stored: a vector, or (height, width, channels).

    Examples
    --------
    >>> graph_shape((5,)), graph_shape((4, 5)), graph_shape((2, 3, 4, 5))
    ((5,), (1, 4, 5), (6, 4, 5))
    """
    if len(shape) < 2:
        return (prod(shape),)
    return (prod(shape[:-2]), *shape[-2:])


@dataclass(eq=False)
class _Lowering:
    """One walk over an expression; every part of it is lowered once."""

    builder: Builder = field(default_factory=Builder)
    stored: dict[Expression, Stored] = field(default_factory=dict[Expression, Stored])
    made: dict[Expression, tuple[int, ...]] = field(
        default_factory=dict[Expression, tuple[int, ...]]
    )
    notes: dict[Expression, str] = field(default_factory=dict[Expression, str])

    def read(self, expression: Expression) -> Stored:
        """Where an expression of activations is stored."""
        if expression not in self.stored:
            self.stored[expression] = self._store(expression)
        return self.stored[expression]

    def _store(self, expression: Expression) -> Stored:
        match expression:
            case Input():
                kind = TensorType(graph_shape(expression.shape), expression.type)
                node = self._append(expression, ops.Input(type=kind, name=expression.name))
                return Stored(node, kind.shape, Address.identity(expression.shape))
            case Moved():
                source = self.read(expression.source)
                return replace(source, address=source.address.move(expression.movement))
            case Clamp() | Lut():
                return self._pointwise(expression)
            case Max():
                return self._max(expression)
            case Requantize():
                return self._requantize(expression)
            case _:
                raise ExpressionError(expression, "is no tensor of activations: quantize it")

    def _append(self, expression: Expression, node: ops.Node) -> int:
        """Append a node on behalf of an expression, which errors then name."""
        try:
            node_id = self.builder.append(node).node_id
        except GraphError as error:
            raise ExpressionError(expression, str(error)) from None
        self.made[expression] = (*self.made.get(expression, ()), node_id)
        return node_id

    def _shaped(self, expression: Expression, node: int, shape: Shape) -> int:
        """The node itself, or a reshape of it."""
        if self.builder.type_of(node).shape == shape:
            return node
        return self._append(expression, ops.Reshape(inputs=(node,), shape=shape))

    def _pointwise(self, expression: Clamp | Lut) -> Stored:
        """Clamps and tables work on what is stored, whatever the view; its zeros may differ."""
        source = self.read(expression.source)
        if has_border(source.address) and not _keeps_zero(expression):
            source = self._bordered(expression, source)
        if isinstance(expression, Clamp):
            low, high = expression.bounds
            node: ops.Node = ops.Clamp(inputs=(source.node,), clamp_min=low, clamp_max=high)
        else:
            node = ops.Lut(
                inputs=(source.node,),
                table=expression.table.astype(np.int16),
                element=expression.type,
            )
        return replace(source, node=self._append(expression, node))

    def _bordered(self, expression: Expression, source: Stored) -> Stored:
        """The same elements with their border of zeros stored."""
        border = pool(source.address, len(source.address.shape), source.shape)
        if border is None or not border.is_border:
            raise ExpressionError(
                expression,
                "its zeros are no border around an image: apply the function before they are added",
            )
        node = self._shaped(expression, source.node, border.source_shape)
        node = self._append(expression, ops.Pad(inputs=(node,), pad=border.pad))
        return Stored(node, border.shape, border.address)

    def _max(self, expression: Max) -> Stored:
        """A maximum over windows is a max-pool; zeros around the image are stored for it."""
        source = self.read(expression.source)
        order = (*expression.kept, *expression.axes)
        address = source.address.move(Permute(order))
        found = pool(address, len(expression.kept), source.shape)
        if found is None:
            raise ExpressionError(
                expression,
                "is no maximum over dense windows of rows and columns, one channel at a time",
            )
        node = self._shaped(expression, source.node, found.source_shape)
        if any(found.pad):
            node = self._append(expression, ops.Pad(inputs=(node,), pad=found.pad))
        pooled = ops.MaxPool2d(inputs=(node,), kernel=found.kernel, stride=found.stride)
        size = "x".join(map(str, found.kernel))
        self.notes[expression] = f"max-pool of {size} windows"
        return Stored(self._append(expression, pooled), found.shape, found.address)

    def _requantize(self, expression: Requantize) -> Stored:
        """Sums get the node that computes them, then their scale."""
        form = normal_form(expression.source, self.read)
        shape = expression.shape
        scales = tuple(np.broadcast_to(array, shape) for array in expression.scale.arrays)
        nodes = {term.source.node for term in form.terms}
        if not nodes:
            raise ExpressionError(expression, "depends on no input: compute it with numpy")
        if len(nodes) == 1:
            sums = self._contraction(expression, form, scales)
        else:
            sums = self._addition(expression, form)
        parameters = self._per_channel(expression, sums)
        node = expression.scale.node(sums.node, expression.type, parameters)
        return replace(sums, node=self._append(expression, node))

    def _per_channel(self, expression: Requantize, sums: Stored) -> list[NDArray[Any]]:
        """Parameters of the scale, one or one per channel."""
        arrays = expression.scale.arrays
        if all(array.size == 1 for array in arrays):
            return [array.reshape(1) for array in arrays]
        found = [
            per_channel(np.broadcast_to(array, expression.shape), sums.address, sums.shape)
            for array in arrays
        ]
        parameters = [array for array in found if array is not None]
        if len(parameters) < len(arrays):
            raise ExpressionError(expression, "a scale may differ between channels only")
        return parameters

    def _contraction(
        self, expression: Requantize, form: Affine, scales: tuple[NDArray[Any], ...]
    ) -> Stored:
        """Terms over one tensor: a convolution or a matmul."""
        try:
            found = contract(form.terms, (form.constant, *scales))
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
        source = self._shaped(expression, form.terms[0].source.node, found.source_shape)
        try:
            node = replace(found.node, inputs=(source,), bias=bias)
        except GraphError as error:
            raise ExpressionError(expression, str(error)) from None
        return Stored(self._append(expression, node), found.shape, found.address)

    def _addition(self, expression: Requantize, form: Affine) -> Stored:
        """Two tensors, each with one weight."""
        if len(form.terms) != 2 or form.constant.any():
            raise ExpressionError(
                expression,
                f"adds {len(form.terms)} sums over different tensors, but one layer adds two "
                "tensors with a weight each, and no constant: quantize the sums first",
            )
        weights = [_lone_weight(expression, term) for term in form.terms]
        left, right = (self._plain(expression, term) for term in form.terms)
        if left.shape != right.shape and _is_whole(left) and _is_whole(right):
            node = self._shaped(expression, right.node, left.shape)
            right = Stored(node, left.shape, left.address)
        same = left.shape == right.shape and np.array_equal(
            np.broadcast_to(left.address.index(), left.address.shape),
            np.broadcast_to(right.address.index(), right.address.shape),
        )
        if not same:
            raise ExpressionError(
                expression, "adds tensors whose elements are not stored in the same order"
            )
        self.notes[expression] = "sum of two tensors"
        inputs = (left.node, right.node)
        node = self._append(expression, ops.Add(inputs=inputs, weights=(weights[0], weights[1])))
        return replace(left, node=node)

    def _plain(self, expression: Requantize, term: Term) -> Stored:
        """A term's tensor, with its border stored if it has one."""
        address = term.source.address
        source = replace(term.source, address=address.move(Reshape(term.outer)))
        return self._bordered(expression, source) if has_border(source.address) else source


def _lone_weight(expression: Expression, term: Term) -> int:
    """The one weight of all elements of a term."""
    values = term.weights
    first = int(values.flat[0])
    if prod(term.tail) != 1 or not np.all(values == first):
        raise ExpressionError(
            expression,
            "adds sums over two tensors: quantize each of them first, then add the results",
        )
    return first


def _is_whole(stored: Stored) -> bool:
    """Whether all stored elements are read in order."""
    return stored.address.is_identity(prod(stored.shape))


def _keeps_zero(expression: Clamp | Lut) -> bool:
    """Whether a function of one activation gives 0 for 0."""
    if isinstance(expression, Clamp):
        return expression.low <= 0 <= expression.high
    source = expression.source.element
    assert isinstance(source, ActType)
    return int(expression.table[source.zero_point - source.q_min]) == expression.type.zero_point
