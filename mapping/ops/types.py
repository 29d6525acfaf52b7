"""Types of the tensors in a network: what integers a tensor may hold, and its shape.

The bottom of the mapper: :mod:`mapping.ops` gives every node a rule from input types to an output
type, and :mod:`mapping.graph` checks a whole network with them. All values are integers; the real
numbers they stand for appear only in :mod:`mapping.quantize` and in a network file's metadata.
"""

from dataclasses import dataclass
from math import prod
from typing import Final

ACC_MIN: Final = -(1 << 31)
ACC_MAX: Final = (1 << 31) - 1
MAX_ACT_BITS: Final = 8
MAX_ELEMENTS: Final = 1 << 24  # per tensor; far beyond any chip aimed at, and safe to allocate


class GraphError(ValueError):
    """A node, or the way nodes are connected, breaks a rule of the network's types."""


@dataclass(frozen=True)
class ActType:
    """Quantized activations: integers ``q`` of which ``q - zero_point`` is the meaning.

    Parameters
    ----------
    bits : int
        Width, 1..8.
    signed : bool
        Whether ``q`` is two's complement.
    zero_point : int
        The ``q`` that stands for zero, in ``q_min..q_max``.

    Raises
    ------
    GraphError
        If a parameter is out of its range.

    Examples
    --------
    >>> element = ActType(4, signed=True, zero_point=-8)
    >>> element.q_min, element.q_max, str(element)
    (-8, 7, 'int4 z-8')
    """

    bits: int
    signed: bool
    zero_point: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_ACT_BITS:
            raise GraphError(f"activation bits must be 1..{MAX_ACT_BITS}, not {self.bits}")
        if not self.q_min <= self.zero_point <= self.q_max:
            raise GraphError(
                f"zero point must be {self.q_min}..{self.q_max} for {self.bits}-bit "
                f"{'signed' if self.signed else 'unsigned'} activations, not {self.zero_point}"
            )

    @property
    def q_min(self) -> int:
        """Smallest value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def q_max(self) -> int:
        """Largest value."""
        return self.q_min + (1 << self.bits) - 1

    @property
    def codes(self) -> int:
        """Number of values, ``2**bits``; a value's code is ``q - q_min``."""
        return 1 << self.bits

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits} z{self.zero_point}"


@dataclass(frozen=True)
class AccType:
    """Accumulators: 32-bit two's complement sums on their way to a requantization."""

    def __str__(self) -> str:
        return "acc32"


ElementType = ActType | AccType


@dataclass(frozen=True)
class TensorType:
    """Shape and element type of one tensor; a batch is a further leading axis at run time only.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, channels)`` of an image or ``(features,)`` of a vector, all at least 1.
    element : ActType or AccType
        What one element may hold.

    Raises
    ------
    GraphError
        If the shape has another rank, an axis below 1, or more than 2**24 elements.
    """

    shape: tuple[int, ...]
    element: ElementType

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 3):
            raise GraphError(
                "a shape must be (features,) or (height, width, channels), "
                f"not {len(self.shape)} axes"
            )
        if min(self.shape) < 1:
            raise GraphError(f"every axis of a shape must be at least 1, not {self.shape}")
        if self.elements > MAX_ELEMENTS:
            raise GraphError(
                f"a tensor must hold at most {MAX_ELEMENTS:,} elements, not {self.elements:,}"
            )

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def channels(self) -> int:
        """Length of the last axis."""
        return self.shape[-1]

    @property
    def pixels(self) -> int:
        """Number of positions, each with all channels; 1 for a vector."""
        return prod(self.shape[:-1])

    @property
    def is_image(self) -> bool:
        """Whether the shape is (height, width, channels)."""
        return len(self.shape) == 3

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape))} {self.element}"
