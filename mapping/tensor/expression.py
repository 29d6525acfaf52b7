"""Expressions: the nodes of a lazy computation, immutable and of known shape.

An expression's value is an array of integers. Activations stand for ``q - zero_point``, so that 0
is 0 whatever the zero point; everything else is a plain integer. Nothing here computes anything:
:mod:`mapping.tensor.interpret` says in numpy what each node means, :mod:`mapping.tensor.lower`
turns expressions into nodes of a graph.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mapping.ops import ActType, ElementType
from mapping.ops.types import AccType
from mapping.tensor.movement import Movement, Shape, Values
from mapping.tensor.scale import Scale

TEXT_DEPTH = 4


class ExpressionError(ValueError):
    """An expression that breaks a rule, or that the array cannot compute.

    Parameters
    ----------
    expression : Expression or str
        What the message is about.
    message : str
        What is wrong, and the way out.
    """

    def __init__(self, expression: "Expression | str", message: str) -> None:
        super().__init__(f"{expression}: {message}")


@dataclass(frozen=True, eq=False)
class Expression(ABC):
    """A node of a lazy computation; equal only to itself."""

    @property
    @abstractmethod
    def sources(self) -> tuple["Expression", ...]:
        """Expressions it is computed from."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """Shape of the value."""

    @property
    @abstractmethod
    def element(self) -> ElementType | None:
        """Type of the elements: activations, accumulators, or None for constants."""

    @abstractmethod
    def text(self, depth: int) -> str:
        """The expression in one line, ``depth`` levels of it."""

    def inner(self, depth: int) -> str:
        """Its sources in one line, each as :meth:`text`."""
        return ", ".join(source.text(depth - 1) if depth else "..." for source in self.sources)

    def __str__(self) -> str:
        return self.text(TEXT_DEPTH)


@dataclass(frozen=True, eq=False)
class Buffer(Expression):
    """Constants.

    Parameters
    ----------
    values : ndarray of int64
        The constants; a view where movements made it one.
    bits : int
        Width they have as weights, if their values need no more.
    name : str
        For messages.
    """

    values: Values
    bits: int
    name: str = "constant"

    @property
    def sources(self) -> tuple[Expression, ...]:
        """None."""
        return ()

    @property
    def shape(self) -> Shape:
        """Shape of the constants."""
        return self.values.shape

    @property
    def element(self) -> None:
        """None: constants are no tensors of the machine."""
        return None

    def text(self, depth: int) -> str:
        """Give the name."""
        return self.name


@dataclass(frozen=True, eq=False)
class Input(Expression):
    """What the host gives, of type ``element``."""

    name: str
    given_shape: Shape
    type: ActType

    @property
    def sources(self) -> tuple[Expression, ...]:
        """None."""
        return ()

    @property
    def shape(self) -> Shape:
        """Shape of what is given."""
        return self.given_shape

    @property
    def element(self) -> ActType:
        """Type of what is given."""
        return self.type

    def text(self, depth: int) -> str:
        """Give the name."""
        return self.name


@dataclass(frozen=True, eq=False)
class Unary(Expression):
    """An expression of one other."""

    source: Expression

    @property
    def sources(self) -> tuple[Expression, ...]:
        """The one source."""
        return (self.source,)

    @property
    def shape(self) -> Shape:
        """Shape of the source."""
        return self.source.shape

    @property
    def element(self) -> ElementType | None:
        """Type of the source."""
        return self.source.element

    def text(self, depth: int) -> str:
        """Write a call."""
        return f"{type(self).__name__.lower()}({self.inner(depth)})"


@dataclass(frozen=True, eq=False)
class Moved(Unary):
    """The same elements elsewhere, and perhaps zeros."""

    movement: Movement
    result_shape: Shape = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "result_shape", self.movement.result(self.source.shape))

    @property
    def shape(self) -> Shape:
        """Shape after the movement."""
        return self.result_shape

    def text(self, depth: int) -> str:
        """Write the movement as a method."""
        source = self.source.text(depth - 1) if depth else "..."
        return f"({source}).{type(self.movement).__name__.lower()}"


@dataclass(frozen=True, eq=False)
class Binary(Expression):
    """An expression of two others of one shape, element by element."""

    left: Expression
    right: Expression

    @property
    def sources(self) -> tuple[Expression, ...]:
        """Left and right."""
        return (self.left, self.right)

    @property
    def shape(self) -> Shape:
        """Their common shape."""
        return self.left.shape

    @property
    def element(self) -> AccType:
        """Accumulators, whatever the sources are."""
        return AccType()

    def text(self, depth: int) -> str:
        """Write an operator."""
        sign = "*" if isinstance(self, Mul) else "+"
        left, right = (
            source.text(depth - 1) if depth else "..." for source in (self.left, self.right)
        )
        return f"({left} {sign} {right})"


@dataclass(frozen=True, eq=False)
class Mul(Binary):
    """Product of two expressions."""


@dataclass(frozen=True, eq=False)
class Add(Binary):
    """Sum of two expressions."""


@dataclass(frozen=True, eq=False)
class Reduce(Unary):
    """One element for all along ``axes``, which are gone from the shape."""

    axes: tuple[int, ...]

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """Axes that remain."""
        return tuple(axis for axis in range(len(self.source.shape)) if axis not in self.axes)

    @property
    def shape(self) -> Shape:
        """Lengths of the axes that remain."""
        return tuple(self.source.shape[axis] for axis in self.kept)

    def text(self, depth: int) -> str:
        """Write a call with its axes."""
        axes = ", ".join(map(str, self.axes))
        return f"{type(self).__name__.lower()}({self.inner(depth)}, axis=({axes}))"


@dataclass(frozen=True, eq=False)
class Sum(Reduce):
    """Sum along axes."""

    @property
    def element(self) -> AccType:
        """Accumulators."""
        return AccType()


@dataclass(frozen=True, eq=False)
class Max(Reduce):
    """Largest value along axes."""


@dataclass(frozen=True, eq=False)
class Mean(Reduce):
    """Mean of q along axes, rounded half away from zero; of the source's type."""


@dataclass(frozen=True, eq=False)
class Concat(Expression):
    """Activations of one type joined along an axis."""

    parts: tuple[Expression, ...]
    axis: int

    @property
    def sources(self) -> tuple[Expression, ...]:
        """The parts."""
        return self.parts

    @property
    def shape(self) -> Shape:
        """Shape of the parts, the axis as long as all of them."""
        length = sum(part.shape[self.axis] for part in self.parts)
        first = self.parts[0].shape
        return (*first[: self.axis], length, *first[self.axis + 1 :])

    @property
    def element(self) -> ElementType | None:
        """Type of the parts."""
        return self.parts[0].element

    def text(self, depth: int) -> str:
        """Write a call with its axis."""
        return f"concat({self.inner(depth)}, axis={self.axis})"


@dataclass(frozen=True, eq=False)
class Requantize(Unary):
    """Accumulators to activations: ``q = clip(round(acc * scale) + zero_point, q_min, q_max)``."""

    scale: Scale
    type: ActType

    @property
    def element(self) -> ActType:
        """Type of the result."""
        return self.type


@dataclass(frozen=True, eq=False)
class Clamp(Unary):
    """Activations limited to ``low..high``, in values (0 is 0)."""

    low: int
    high: int

    @property
    def bounds(self) -> tuple[int, int]:
        """The limits as q, within the type's."""
        element = self.source.element
        assert isinstance(element, ActType)
        low, high = np.clip(
            np.array([self.low, self.high]) + element.zero_point, element.q_min, element.q_max
        )
        return int(low), int(high)


@dataclass(frozen=True, eq=False)
class Lut(Unary):
    """Activations looked up in a table: entry ``q - q_min`` is the result's q."""

    table: NDArray[np.int64]
    type: ActType

    @property
    def element(self) -> ActType:
        """Type of the result."""
        return self.type


def in_order(*roots: Expression) -> tuple[Expression, ...]:
    """All expressions that ``roots`` need, each once, after those it is computed from."""
    found: dict[Expression, None] = {}
    pending = [(root, False) for root in reversed(roots)]
    while pending:
        expression, is_ready = pending.pop()
        if expression in found:
            continue
        if is_ready:
            found[expression] = None
        else:
            pending.append((expression, True))
            pending.extend((source, False) for source in reversed(expression.sources))
    return tuple(found)
