"""The numpy interpreter of expressions: what each node means, without any view or graph."""

from collections.abc import Mapping
from math import prod

import numpy as np

from mapping.ops import ActType
from mapping.ops.types import ACC_MAX, ACC_MIN
from mapping.tensor.expression import (
    Add,
    Buffer,
    Clamp,
    Concat,
    Expression,
    ExpressionError,
    Input,
    Lut,
    Max,
    Mean,
    Moved,
    Mul,
    Requantize,
    Sum,
    in_order,
)
from mapping.tensor.movement import Values


def evaluate(root: Expression, given: Mapping[Input, Values]) -> Values:
    """Compute an expression with numpy.

    Parameters
    ----------
    root : Expression
        What to compute.
    given : mapping of Input to ndarray of int64
        Values q of every input.

    Returns
    -------
    ndarray of int64
        Values q of activations, plain integers of everything else.

    Raises
    ------
    ExpressionError
        If a sum that is requantized leaves 32 bits.
    """
    values: dict[Expression, Values] = {}
    for expression in in_order(root):
        operands = tuple(values[source] for source in expression.sources)
        values[expression] = _evaluate(expression, operands, given)
    return values[root] + zero_point(root)


def zero_point(expression: Expression) -> int:
    """The q that stands for 0; 0 for what has no zero point."""
    element = expression.element
    return element.zero_point if isinstance(element, ActType) else 0


def _evaluate(
    node: Expression, operands: tuple[Values, ...], given: Mapping[Input, Values]
) -> Values:
    """Value of one node from those of its sources."""
    match node:
        case Buffer():
            return node.values
        case Input():
            return given[node] - node.type.zero_point
        case Moved():
            return node.movement.array(operands[0])
        case Mul():
            return operands[0] * operands[1]
        case Add():
            return operands[0] + operands[1]
        case Sum() | Max() | Mean():
            return _reduce(node, operands[0])
        case Concat():
            return np.concatenate(operands, axis=node.axis)
        case Requantize():
            return _requantize(node, operands[0])
        case Clamp():
            low, high = node.bounds
            return np.clip(operands[0], low - zero_point(node), high - zero_point(node))
        case Lut():
            source = node.source.element
            assert isinstance(source, ActType)
            return node.table[operands[0] + source.zero_point - source.q_min] - zero_point(node)
        case _:
            raise TypeError(f"no meaning for {node}")


def _reduce(node: Sum | Max | Mean, values: Values) -> Values:
    """Sum, largest value, or mean of q rounded half away from zero."""
    if isinstance(node, Max):
        return values.max(axis=node.axes)
    if isinstance(node, Sum):
        return values.sum(axis=node.axes, dtype=np.int64)
    zero, count = zero_point(node), prod(values.shape[axis] for axis in node.axes)
    sums = (values + zero).sum(axis=node.axes, dtype=np.int64)
    return np.sign(sums) * ((np.abs(sums) + count // 2) // count) - zero


def _requantize(node: Requantize, acc: Values) -> Values:
    if acc.size and (acc.min() < ACC_MIN or acc.max() > ACC_MAX):
        worst = max(int(acc.min()), int(acc.max()), key=abs)
        raise ExpressionError(
            node, f"a sum of {worst} does not fit a 32-bit accumulator; use smaller weights"
        )
    zero = node.type.zero_point
    return np.clip(node.scale.round(acc) + zero, node.type.q_min, node.type.q_max) - zero
