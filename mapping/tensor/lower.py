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
from mapping.builder import Value
from mapping.graph import Graph
from mapping.ops import ActType, TensorType
from mapping.tensor.affine import Affine, Stored, Term, normal_form
from mapping.tensor.expression import (
    Clamp,
    Concat,
    Expression,
    ExpressionError,
    Input,
    Lut,
    Max,
    Mean,
    Moved,
    Requantize,
    in_order,
)
from mapping.tensor.matrix import as_matrix, is_whole
from mapping.tensor.movement import Permute, Reshape, Shape, Values
from mapping.tensor.nodes import Nodes
from mapping.tensor.pooling import has_border, pool
from mapping.tensor.product import pair_up
from mapping.tensor.recognise import per_channel
from mapping.tensor.view import Address


@dataclass(frozen=True, eq=False)
class Lowered:
    """Expressions as a network.

    Parameters
    ----------
    graph : Graph
        The network, with the expressions' inputs in order and one output for each of them.
    results : tuple of Stored
        Where each expression's elements lie in its output.
    made : dict of Expression to tuple of int
        Nodes that were made for an expression, in order.
    notes : dict of Expression to str
        What an expression was recognised as.
    """

    graph: Graph
    results: tuple[Stored, ...]
    made: dict[Expression, tuple[int, ...]]
    notes: dict[Expression, str]

    def values(self, stored: Values, number: int = 0) -> Values:
        """Values q of an expression's elements, from those that its output holds."""
        result = self.results[number]
        element = self.graph.types[result.node].element
        assert isinstance(element, ActType)  # or it would not have been lowered
        return result.address.take(stored - element.zero_point) + element.zero_point


def lower(*roots: Expression) -> Lowered:
    """Lower one or more expressions.

    Raises
    ------
    ExpressionError
        If a result is no tensor of activations, or the array cannot compute a part of it.
    """
    for root in roots:
        if not isinstance(root.element, ActType):
            raise ExpressionError(
                root, "sums stay in the accumulators, so they cannot be a result: quantize them"
            )
    nodes = Nodes()
    lowering = _Lowering(nodes)
    for expression in in_order(*roots):
        if isinstance(expression, Input):
            lowering.read(expression)
    results = tuple(lowering.read(root) for root in roots)
    graph = nodes.builder.graph(*(Value(nodes.builder, result.node) for result in results))
    return Lowered(graph, results, nodes.made, nodes.notes)


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
    """One walk over expressions; every part of them is lowered once."""

    nodes: Nodes
    stored: dict[Expression, Stored] = field(default_factory=dict[Expression, Stored])

    def read(self, expression: Expression) -> Stored:
        """Where an expression of activations is stored."""
        if expression not in self.stored:
            self.stored[expression] = self._store(expression)
        return self.stored[expression]

    def _store(self, expression: Expression) -> Stored:
        match expression:
            case Input():
                kind = TensorType(graph_shape(expression.shape), expression.type)
                node = self.nodes.append(expression, ops.Input(type=kind, name=expression.name))
                return Stored(node, kind.shape, Address.identity(expression.shape))
            case Moved():
                source = self.read(expression.source)
                return replace(source, address=source.address.move(expression.movement))
            case Clamp() | Lut():
                return self._pointwise(expression)
            case Max() | Mean():
                return self._pool(expression)
            case Concat():
                return self._concat(expression)
            case Requantize():
                return self._requantize(expression)
            case _:
                raise ExpressionError(expression, "is no tensor of activations: quantize it")

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
        return replace(source, node=self.nodes.append(expression, node))

    def _bordered(self, expression: Expression, source: Stored) -> Stored:
        """The same elements with their border of zeros stored."""
        border = pool(source.address, len(source.address.shape), source.shape)
        if border is None or not border.is_border:
            raise ExpressionError(
                expression,
                "its zeros are no border around an image: apply the function before they are added",
            )
        node = self.nodes.shaped(expression, source.node, border.source_shape)
        node = self.nodes.append(expression, ops.Pad(inputs=(node,), pad=border.pad))
        return Stored(node, border.shape, border.address)

    def _pool(self, expression: Max | Mean) -> Stored:
        """Windows of elements are pooled; zeros around the image are stored for it."""
        source = self.read(expression.source)
        order = (*expression.kept, *expression.axes)
        address = source.address.move(Permute(order))
        found = pool(address, len(expression.kept), source.shape)
        what = "maximum" if isinstance(expression, Max) else "mean"
        if found is None:
            raise ExpressionError(
                expression,
                f"is no {what} over dense windows of rows and columns, one channel at a time",
            )
        node = self.nodes.shaped(expression, source.node, found.source_shape)
        if any(found.pad):
            node = self.nodes.append(expression, ops.Pad(inputs=(node,), pad=found.pad))
        kind = ops.MaxPool2d if isinstance(expression, Max) else ops.AvgPool2d
        pooled = kind(inputs=(node,), kernel=found.kernel, stride=found.stride)
        size = "x".join(map(str, found.kernel))
        name = "max-pool" if isinstance(expression, Max) else "average-pool"
        self.nodes.notes[expression] = f"{name} of {size} windows"
        return Stored(self.nodes.append(expression, pooled), found.shape, found.address)

    def _concat(self, expression: Concat) -> Stored:
        """Tensors are joined along channels: the axis becomes the last one of each."""
        rank, axis = len(expression.shape), expression.axis
        others = tuple(each for each in range(rank) if each != axis)
        shape = tuple(expression.shape[each] for each in others)
        inputs: list[int] = []
        for part in expression.parts:
            address = self.read(part).address.move(Permute((*others, axis)))
            matrix = address.move(Reshape((prod(shape), part.shape[axis])))
            source = replace(self.read(part), address=matrix)
            inputs.append(as_matrix(self.nodes, expression, source))
        node = self.nodes.append(expression, ops.Concat(inputs=tuple(inputs)))
        stored = self.nodes.builder.type_of(node).shape
        joined = Address.identity((*shape, expression.shape[axis]))
        back = Permute(tuple((*others, axis).index(each) for each in range(rank)))
        self.nodes.notes[expression] = "channels side by side"
        return Stored(node, stored, joined.move(back))

    def _requantize(self, expression: Requantize) -> Stored:
        """Sums get the node that computes them, then their scale."""
        form = normal_form(expression.source, self.read)
        shape = expression.shape
        scales = tuple(np.broadcast_to(array, shape) for array in expression.scale.arrays)
        nodes = {term.source.node for term in form.terms}
        if form.is_constant:
            raise ExpressionError(expression, "depends on no input: compute it with numpy")
        if form.products:
            sums = self._product(expression, form)
        elif len(nodes) == 1:
            sums = self.nodes.contraction(expression, form, scales)
        else:
            sums = self._addition(expression, form)
        parameters = self._per_channel(expression, sums)
        node = expression.scale.node(sums.node, expression.type, parameters)
        return replace(sums, node=self.nodes.append(expression, node))

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

    def _product(self, expression: Requantize, form: Affine) -> Stored:
        """Two computed tensors: a matmul of both."""
        product, *others = form.products
        if others or form.terms or form.constant.any():
            raise ExpressionError(
                expression, "adds something to a product of two computed tensors, which takes a "
                "layer of its own: quantize the product first",
            )  # fmt: skip
        found = pair_up(product)
        if isinstance(found, str):
            raise ExpressionError(product.expression, f"both factors are computed, and {found}")
        sources = [product.left.source, product.right.source]
        if found.is_swapped:
            sources.reverse()
        left, right = (
            as_matrix(self.nodes, expression, replace(source, address=address))
            for source, address in zip(sources, (found.left, found.right), strict=True)
        )
        self.nodes.notes[expression] = "matmul of two computed tensors"
        node = self.nodes.append(expression, ops.DynamicMatMul(inputs=(left, right)))
        return Stored(node, self.nodes.builder.type_of(node).shape, found.address)

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
        if left.shape != right.shape and is_whole(left) and is_whole(right):
            node = self.nodes.shaped(expression, right.node, left.shape)
            right = Stored(node, left.shape, left.address)
        same = left.shape == right.shape and np.array_equal(
            np.broadcast_to(left.address.index(), left.address.shape),
            np.broadcast_to(right.address.index(), right.address.shape),
        )
        if not same:
            raise ExpressionError(
                expression, "adds tensors whose elements are not stored in the same order"
            )
        self.nodes.notes[expression] = "sum of two tensors"
        inputs = (left.node, right.node)
        node = self.nodes.append(
            expression, ops.Add(inputs=inputs, weights=(weights[0], weights[1]))
        )
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


def _keeps_zero(expression: Clamp | Lut) -> bool:
    """Whether a function of one activation gives 0 for 0."""
    if isinstance(expression, Clamp):
        return expression.low <= 0 <= expression.high
    source = expression.source.element
    assert isinstance(source, ActType)
    return int(expression.table[source.zero_point - source.q_min]) == expression.type.zero_point
