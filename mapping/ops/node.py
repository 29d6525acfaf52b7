"""The base of all nodes, those that nothing is computed from, and the checks they share.

A node names its inputs by their position in the graph. Parameters are checked when a node is born,
its inputs' types when a :class:`mapping.graph.Graph` holds it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from mapping.ops.types import ActType, GraphError, TensorType


@dataclass(frozen=True, eq=False, kw_only=True)
class Node(ABC):
    """A computation with one result; nodes are equal if kind, fields and arrays are.

    Parameters
    ----------
    inputs : tuple of int
        Ids of the nodes whose results are used, in order.
    name : str
        Free text for listings and messages.
    """

    KIND: ClassVar[str] = "node"
    ARITY: ClassVar[int] = 1

    inputs: tuple[int, ...]
    name: str = ""

    @property
    def label(self) -> str:
        """Kind and, if there is one, name: how messages call this node."""
        return f"{self.KIND} {self.name!r}" if self.name else self.KIND

    def __post_init__(self) -> None:
        if len(self.inputs) != self.ARITY:
            raise self.error(f"needs {self.ARITY} input(s), not {len(self.inputs)}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            _same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)
        )

    def __hash__(self) -> int:
        return hash((type(self), self.inputs, self.name))

    @abstractmethod
    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Type of the result for inputs of these types; :exc:`GraphError` if they do not fit."""

    def macs(self, types: tuple[TensorType, ...]) -> int:
        """Multiply-accumulates of one image, counted as for dense weights."""
        return 0

    def error(self, message: str) -> GraphError:
        """Build an error that names this node."""
        return GraphError(f"{self.label}: {message}")

    def check_range(self, what: str, value: int, low: int, high: int) -> None:
        """Refuse a parameter outside ``low..high``."""
        if not low <= value <= high:
            raise self.error(f"{what} must be {low}..{high}, not {value}")

    def activations(self, tensor: TensorType) -> ActType:
        """Element type of an input that has to hold activations."""
        if not isinstance(tensor.element, ActType):
            raise self.error("needs activations, not accumulators: requantize the input first")
        return tensor.element

    def image(self, tensor: TensorType) -> tuple[int, int, int]:
        """Height, width and channels of an input that has to be an image of activations."""
        self.activations(tensor)
        if len(tensor.shape) != 3:
            raise self.error(f"needs a (height, width, channels) input, not {tensor.shape}")
        return tensor.shape

    def freeze(
        self, field: str, dtype: type[np.generic], axes: int, low: float, high: float
    ) -> None:
        """Replace an array field by a read-only copy of the given type, checking rank and range."""
        given = np.asarray(getattr(self, field))
        if given.ndim != axes or given.size == 0:
            raise self.error(f"{field} must have {axes} non-empty axes, not shape {given.shape}")
        # Files hold booleans as integers.
        if given.dtype.kind not in {"f": "f", "b": "biu"}.get(np.dtype(dtype).kind, "iu"):
            raise self.error(f"{field} must be {dtype.__name__}, not {given.dtype}")
        if not (given.min() >= low and given.max() <= high):  # also refuses NaN
            raise self.error(f"{field} must be {low}..{high}, not {given.min()}..{given.max()}")
        array = np.array(given, dtype=dtype, order="C")
        array.setflags(write=False)
        object.__setattr__(self, field, array)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray):
        return np.array_equal(cast("NDArray[Any]", left), right)
    return left == right


@dataclass(frozen=True, eq=False, kw_only=True)
class Input(Node):
    """The network's input image or vector, of type ``type``."""

    KIND: ClassVar[str] = "input"
    ARITY: ClassVar[int] = 0

    inputs: tuple[int, ...] = ()
    type: TensorType

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give the declared type."""
        self.activations(self.type)
        return self.type


@dataclass(frozen=True, eq=False, kw_only=True)
class Constant(Node):
    """Activations that are part of the program, the same for every image.

    Parameters
    ----------
    values : ndarray of int16, shape (height, width, channels) or (features,)
        Values q of the element's type.
    element : ActType
        Type of the activations.
    """

    KIND: ClassVar[str] = "constant"
    ARITY: ClassVar[int] = 0

    inputs: tuple[int, ...] = ()
    values: NDArray[np.int16]
    element: ActType

    def __post_init__(self) -> None:
        super().__post_init__()
        axes = np.ndim(self.values)
        self.freeze("values", np.int16, axes, self.element.q_min, self.element.q_max)

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give the values' shape with the declared element."""
        return TensorType(self.values.shape, self.element)
