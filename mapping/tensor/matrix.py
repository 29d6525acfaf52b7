"""Matrices for nodes that take whole tensors: rows stored one after the other.

What is stored in another order is copied by a layer whose weights pick its elements; columns are
turned into rows by a product with a matrix of ones from the left.
"""

from dataclasses import replace
from math import prod

import numpy as np

from mapping import ops
from mapping.ops import ActType
from mapping.tensor.affine import Affine, Stored, Term
from mapping.tensor.expression import Expression, ExpressionError
from mapping.tensor.movement import Permute
from mapping.tensor.nodes import Nodes, Recogniser
from mapping.tensor.recognise import contract, dense


def is_whole(stored: Stored) -> bool:
    """Whether all stored elements are read in order."""
    return stored.address.is_identity(prod(stored.shape))


def as_matrix(nodes: Nodes, expression: Expression, source: Stored) -> int:
    """Node of shape (1, rows, depth) that holds the elements of an address (rows, depth).

    Raises
    ------
    ExpressionError
        If they are no matrix that a layer could store.
    """
    recognisers: tuple[Recogniser | None, ...] = (None, contract, dense)
    for recognise in recognisers:
        stored = source if recognise is None else _copy(nodes, expression, source, recognise)
        rows, depth = stored.address.shape
        if is_whole(stored):
            return nodes.shaped(expression, stored.node, (1, rows, depth))
        if is_whole(replace(stored, address=stored.address.move(Permute((1, 0))))):
            turned = nodes.shaped(expression, stored.node, (1, depth, rows))
            return _turned(nodes, expression, turned)
    raise ExpressionError(expression, "takes no matrix whose rows could be stored in order")


def _copy(nodes: Nodes, expression: Expression, source: Stored, recognise: Recogniser) -> Stored:
    """Elements of an address, stored by a layer of weights 1."""
    shape = source.address.shape
    term = Term(source, np.broadcast_to(np.int64(1), shape), 0, 1)
    form = Affine((term,), np.broadcast_to(np.int64(0), shape))
    sums = nodes.contraction(expression, form, (), recognise)
    return replace(sums, node=nodes.unchanged(expression, sums.node, source.node))


def _turned(nodes: Nodes, expression: Expression, node: int) -> int:
    """A matrix (1, depth, rows) as (1, rows, depth)."""
    rows = nodes.builder.type_of(node).channels
    ones = np.eye(rows, dtype=np.int16)[np.newaxis]
    constant = ops.Constant(values=ones, element=ActType(1, signed=False), name="turn")
    inputs = (nodes.append(expression, constant), node)
    sums = nodes.append(expression, ops.DynamicMatMul(inputs=inputs))
    return nodes.unchanged(expression, sums, node)
