"""Normal form of sums and products: affine in stored activations.

Every expression of accumulators is ``constant + sum of terms``; a :class:`Term` is, for each
element, the sum over some further axes of a weight times an activation found at an address. Beside
them stand products of two activations (:class:`Product`). The form is closed under movement, sum,
addition and multiplication by constants, and does not remember in which order these were written:
that is why equal computations give equal graphs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mapping.ops import ActType
from mapping.tensor.expression import (
    Add,
    Buffer,
    Expression,
    ExpressionError,
    Moved,
    Mul,
    Sum,
)
from mapping.tensor.movement import Movement, Permute, Shape, Values
from mapping.tensor.view import Address


@dataclass(frozen=True)
class Stored:
    """Activations with memory, seen through an address.

    Parameters
    ----------
    node : int
        Id of the graph's node that holds them.
    shape : tuple of int
        That node's shape: (height, width, channels) or (features,).
    address : Address
        Where the elements lie in it, row-major.
    """

    node: int
    shape: Shape
    address: Address


@dataclass(frozen=True, eq=False)
class Term:
    """Weighted activations, summed along the last ``summed`` axes.

    Parameters
    ----------
    source : Stored
        The activations; the address's shape is the term's, then that of the summed axes.
    weights : ndarray of int64
        One per element of the address, broadcast where they do not change.
    summed : int
        Number of axes that are summed.
    bits : int
        Width that the weights were given with; 1 if there were none.
    """

    source: Stored
    weights: Values
    summed: int
    bits: int

    @property
    def outer(self) -> Shape:
        """Lengths of the axes that remain."""
        return self.weights.shape[: self.weights.ndim - self.summed]

    @property
    def tail(self) -> Shape:
        """Lengths of the summed axes."""
        return self.weights.shape[self.weights.ndim - self.summed :]

    def move(self, movement: Movement) -> "Term":
        """Term of the moved expression."""
        whole = movement.before(self.tail)
        address = self.source.address.move(whole)
        return replace(
            self, source=replace(self.source, address=address), weights=whole.array(self.weights)
        )

    def scale(self, factor: Values, bits: int) -> "Term":
        """Term times constants."""
        factor = factor.reshape(factor.shape + (1,) * self.summed)
        return replace(self, weights=_product(self.weights, factor), bits=max(self.bits, bits))

    def sum(self, kept: tuple[int, ...], axes: tuple[int, ...]) -> "Term":
        """Term summed along more axes."""
        rank = len(kept) + len(axes)
        order = Permute((*kept, *axes, *range(rank, rank + self.summed)))
        address = self.source.address.move(order)
        return replace(
            self,
            source=replace(self.source, address=address),
            weights=order.array(self.weights),
            summed=self.summed + len(axes),
        )


@dataclass(frozen=True, eq=False)
class Product:
    """Products of two activations, summed along the last axes of both terms alike.

    Parameters
    ----------
    expression : Expression
        Where they are multiplied.
    left, right : Term
        The factors, of one shape; the left one has the weights.
    """

    expression: Expression
    left: Term
    right: Term

    def move(self, movement: Movement) -> "Product":
        """Product of the moved expression."""
        return replace(self, left=self.left.move(movement), right=self.right.move(movement))

    def scale(self, factor: Values, bits: int) -> "Product":
        """Product times constants."""
        return replace(self, left=self.left.scale(factor, bits))

    def sum(self, kept: tuple[int, ...], axes: tuple[int, ...]) -> "Product":
        """Product summed along more axes."""
        return replace(self, left=self.left.sum(kept, axes), right=self.right.sum(kept, axes))


@dataclass(frozen=True, eq=False)
class Affine:
    """``constant + sum(terms) + sum(products)``, element by element."""

    terms: tuple[Term, ...]
    constant: Values
    products: tuple[Product, ...] = ()

    @property
    def is_constant(self) -> bool:
        """Whether nothing computed is in it."""
        return not (self.terms or self.products)

    @property
    def is_plain(self) -> bool:
        """Whether it is activations, perhaps moved, and nothing else."""
        if len(self.terms) != 1 or self.products or np.any(_once(self.constant)):
            return False
        return not self.terms[0].summed and bool(np.all(_once(self.terms[0].weights) == 1))


def normal_form(expression: Expression, read: Callable[[Expression], Stored]) -> Affine:
    """Bring an expression of accumulators, activations or constants into the normal form.

    Parameters
    ----------
    expression : Expression
        What to rewrite.
    read : callable
        Gives memory to activations that are met.

    Raises
    ------
    ExpressionError
        If two computed values are multiplied, one of which is not quantized.
    """
    if isinstance(expression, Buffer):
        return Affine((), expression.values)
    if isinstance(expression.element, ActType):
        ones = np.broadcast_to(np.int64(1), expression.shape)
        nothing = np.broadcast_to(np.int64(0), expression.shape)
        return Affine((Term(read(expression), ones, 0, 1),), nothing)
    parts = [normal_form(source, read) for source in expression.sources]
    match expression:
        case Moved():
            movement = expression.movement
            moved = tuple(term.move(movement) for term in parts[0].terms)
            products = tuple(each.move(movement) for each in parts[0].products)
            return Affine(moved, movement.array(parts[0].constant), products)
        case Sum():
            kept, axes = expression.kept, expression.axes
            summed = tuple(term.sum(kept, axes) for term in parts[0].terms)
            products = tuple(each.sum(kept, axes) for each in parts[0].products)
            constant = parts[0].constant.sum(axis=axes, dtype=np.int64)
            return Affine(summed, constant, products)
        case Add():
            left, right = parts
            constant = left.constant + right.constant
            return Affine(left.terms + right.terms, constant, left.products + right.products)
        case Mul():
            return _multiply(expression, *parts)
        case _:
            raise TypeError(f"no normal form of {expression}")


def _multiply(expression: Mul, left: Affine, right: Affine) -> Affine:
    """Product of two forms, of which one is constant or both are activations."""
    if not (left.is_constant or right.is_constant):
        if not (left.is_plain and right.is_plain):
            raise ExpressionError(
                expression,
                "both factors are computed, and one of them is no tensor of activations but a sum "
                "or a product: quantize it first",
            )
        product = Product(expression, left.terms[0], right.terms[0])
        return Affine((), np.broadcast_to(np.int64(0), expression.shape), (product,))
    varying, fixed, source = (
        (right, left, expression.left) if left.is_constant else (left, right, expression.right)
    )
    bits = width_of(source)
    scaled = tuple(term.scale(fixed.constant, bits) for term in varying.terms)
    products = tuple(each.scale(fixed.constant, bits) for each in varying.products)
    return Affine(scaled, _product(varying.constant, fixed.constant), products)


def width_of(expression: Expression) -> int:
    """Width of the widest constants in an expression of constants."""
    if isinstance(expression, Buffer):
        return expression.bits
    return max(map(width_of, expression.sources), default=1)


def _product(left: Values, right: Values) -> Values:
    """Product that is computed once, and broadcast, along axes on which neither changes."""
    shape = np.broadcast_shapes(left.shape, right.shape)
    return np.broadcast_to(_once(left) * _once(right), shape)


def _once(values: Values) -> Values:
    """One element of each axis along which an array is only repeated."""
    return values[tuple(slice(1) if step == 0 else slice(None) for step in values.strides)]
