"""The numpy interpreter of expressions: what each node means, without any view or graph."""

from collections.abc import Mapping

import numpy as np

from mapping.ops import ActType
from mapping.ops.types import ACC_MAX, ACC_MIN
from mapping.tensor.expression import (
    Add,
    Buffer,
    Clamp,
    Expression,
    ExpressionError,
    Input,
    Lut,
    Max,
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
        case Sum():
            return operands[0].sum(axis=node.axes, dtype=np.int64)
        case Max():
            return operands[0].max(axis=node.axes)
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


def _requantize(node: Requantize, acc: Values) -> Values:
    if acc.size and (acc.min() < ACC_MIN or acc.max() > ACC_MAX):
        worst = max(int(acc.min()), int(acc.max()), key=abs)
        raise ExpressionError(
            node, f"a sum of {worst} does not fit a 32-bit accumulator; use smaller weights"
        )
    zero = node.type.zero_point
    return np.clip(node.scale.round(acc) + zero, node.type.q_min, node.type.q_max) - zero
