"""What a value of the file can be while it is imported.

Activations and sums are kept as the graph's integers and a rule for the real numbers that the file
computes with. Where the file moves elements about, only ``places`` changes: for every element of
the file's tensor, batch axis of 1 included, its position in the graph's tensor, row-major. So
movements cost nothing until somebody needs the elements in order.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.builder import Value
from mapping.importers.errors import RefusedError
from mapping.ops import ActType
from mapping.real.steps import Step

Array = NDArray[Any]
IntArray = NDArray[np.int64]
Move = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that is known.

    Parameters
    ----------
    values : ndarray
        As the file computes them, float32 or integers.
    levels : ndarray of int64 or None
        Of quantized values, the integers; of the same shape.
    scale : ndarray of float32 or None
        The real number of one level, for every element; of the same shape.
    """

    values: Array
    levels: IntArray | None = None
    scale: Array | None = None

    def moved(self, move: Move) -> "Constant":
        """The same with its elements moved."""
        if self.levels is None or self.scale is None:
            return Constant(move(self.values))
        return Constant(move(self.values), move(self.levels), move(self.scale))


@dataclass(frozen=True, eq=False)
class RealSteps:
    """Real numbers of the model's input, perhaps with arithmetic behind them.

    Parameters
    ----------
    port : int
        Which input.
    shape : tuple of int
        The input's shape in the file.
    places : ndarray of int64
        Position of each element in the input.
    steps : tuple of (str, ndarray)
        Kinds of steps, each with its constants in the shape of ``places``.
    """

    port: int
    shape: tuple[int, ...]
    places: IntArray
    steps: tuple[tuple[str, Array], ...] = ()

    def moved(self, move: Move) -> "RealSteps":
        """The same with its elements moved."""
        steps = tuple((kind, move(constants)) for kind, constants in self.steps)
        return replace(self, places=move(self.places), steps=steps)


@dataclass(frozen=True, eq=False)
class Codes:
    """Activations, of an unsigned type: real numbers ``step * (q - centre)``.

    Parameters
    ----------
    value : Value
        The graph's integers q.
    places : ndarray of int64
        See the module.
    step : float
        Positive.
    centre : float
        The q of zero, which need not be an integer.
    low, high : int
        Smallest and largest q that can occur.
    """

    value: Value
    places: IntArray
    step: float
    centre: float
    low: int
    high: int

    @property
    def element(self) -> ActType:
        """Type of the integers."""
        element = self.value.type.element
        assert isinstance(element, ActType)  # only activations are made Codes
        return element

    @property
    def offset(self) -> float:
        """What is missing of ``q - zero_point`` to ``q - centre``; 0 where zero is an integer."""
        return self.element.zero_point - self.centre

    def moved(self, move: Move) -> "Codes":
        """The same with its elements moved."""
        return replace(self, places=move(self.places))


@dataclass(frozen=True, eq=False)
class Sums:
    """Accumulators not yet made: real numbers ``steps(float32(factor * (acc + offset)))``.

    Parameters
    ----------
    emit : function of (IntArray, IntArray, int)
        Appends the nodes that compute ``gain * acc + bias`` for a gain and a bias per channel; all
        channels so many times over as the last argument says, each time with its own gain and bias.
    can_repeat : bool
        Whether more than one copy can be had.
    max_gain : int
        Largest gain that fits the weights.
    low, high : ndarray of int64, shape (channels,)
        Bounds of ``acc``.
    factor, offset : ndarray of float64, shape (channels,)
        See above.
    places : ndarray of int64
        See the module; positions in the graph's tensor of sums.
    steps : tuple of Step
        Channels as in the graph.
    name : str
        For nodes and messages.
    """

    emit: Callable[[IntArray, IntArray, int], Value]
    can_repeat: bool
    max_gain: int
    low: IntArray
    high: IntArray
    factor: NDArray[np.float64]
    offset: NDArray[np.float64]
    places: IntArray
    name: str
    steps: tuple[Step, ...] = ()

    @property
    def channels(self) -> int:
        """Channels of the graph's tensor, its last axis."""
        return len(self.low)

    def then(self, kind: str, constants: Array) -> "Sums":
        """Sums with one more step; the constants are broadcast against the file's tensor."""
        return replace(self, steps=(*self.steps, Step(kind, self.per_channel(constants))))

    def per_channel(self, constants: Array) -> tuple[float, ...]:
        """Constants of the file's tensor as one per channel, or one for all."""
        return per_channel(spread(constants, self.places), self.places, self.channels)

    def moved(self, move: Move) -> "Sums":
        """The same with its elements moved."""
        return replace(self, places=move(self.places))


def spread(constants: Array, places: IntArray) -> Array:
    """Constants broadcast to the shape of a tensor; refused if they would make it larger."""
    try:
        return np.broadcast_to(constants, places.shape)
    except ValueError:
        raise RefusedError(
            f"a constant of shape {constants.shape} does not fit a tensor of {places.shape}"
        ) from None


def per_channel(constants: Array, places: IntArray, channels: int) -> tuple[float, ...]:
    """Constants, of the shape of ``places``, as one per channel of the graph, or one for all."""
    if constants.size and np.all(constants == constants.flat[0]):
        return (float(constants.flat[0]),)
    ordered = np.empty(places.size, np.float64)
    ordered[places.ravel()] = constants.ravel()
    rows: Array = ordered.reshape(-1, channels)
    if np.any(rows != rows[0]):
        raise RefusedError("a constant differs between pixels: only one per channel is supported")
    return tuple(float(each) for each in rows[0])


def graph_places(shape: tuple[int, ...]) -> IntArray:
    """Places of a tensor of the graph as ONNX has it: batch of 1, channels before the pixels."""
    order = np.arange(np.prod(shape)).reshape(1, *shape)
    return np.moveaxis(order, -1, 1) if len(shape) == 3 else order


def image(codes: Codes) -> Value:
    """Activations as an image of the graph, of a tensor (1, channels, height, width)."""
    if codes.places.ndim != 4:
        raise RefusedError(f"needs an image (1, channels, height, width), not {codes.places.shape}")
    pixels: IntArray = codes.places[0].transpose(1, 2, 0)
    if not np.array_equal(pixels.ravel(), np.arange(pixels.size)):
        raise RefusedError("its input's elements were moved in a way that no address can follow")
    same = codes.value.type.shape == pixels.shape
    return codes.value if same else codes.value.reshape(*pixels.shape)
