"""What a name stands for while a model is walked over: integers, reals behind them, open results.

A float operator between DequantizeLinear and QuantizeLinear has no place on the array, but what
they enclose has: a function of one activation is a table, a function of two a table of pairs, a
convolution its accumulators. So reals are kept as what they are made of until a QuantizeLinear
tells the grid of the result.

Where an element lies is an array of ONNX's shape, batch axis included, that holds each element's
position in the row-major activations of the graph. Reshape, Transpose and their like work on it,
and nothing is moved: NCHW outside and (height, width, channels) inside are two orders of one store.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.builder import Value
from mapping.fixed_point import IntArray
from mapping.host_ends import Affine, AffineByAxis, OutputEnd
from mapping.importers.onnx.records import Port
from mapping.ops import ActType

FloatArray = NDArray[np.float32]

BITS: Final = {"int8": 8, "uint8": 8, "int4": 4, "uint4": 4, "int2": 2, "uint2": 2}
"""Types of activations, and their widths."""


class Grid(NamedTuple):
    """Integers that reals are rounded to: ``scale * (q - zero_point)``.

    Parameters
    ----------
    scale : float
        Positive, exactly a float32.
    zero_point : int
        Within the type.
    kind : str
        One of :data:`BITS`.
    """

    scale: float
    zero_point: int
    kind: str

    @property
    def element(self) -> ActType:
        """Type of activations on this grid."""
        return ActType(BITS[self.kind], not self.kind.startswith("u"), self.zero_point)

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest integer."""
        return self.element.q_min, self.element.q_max

    @property
    def affine(self) -> Affine:
        """Without the type."""
        return Affine(self.scale, self.zero_point)

    def reals(self) -> FloatArray:
        """Real numbers of all integers, in order: what DequantizeLinear gives."""
        low, high = self.bounds
        steps = np.arange(low, high + 1, dtype=np.float32) - np.float32(self.zero_point)
        return steps * np.float32(self.scale)

    def quantize(self, reals: NDArray[Any]) -> IntArray:
        """Integers of float32 numbers, halves to even: what QuantizeLinear gives."""
        low, high = self.bounds
        with np.errstate(over="ignore"):
            steps = reals.astype(np.float32) / np.float32(self.scale)
        held = np.clip(np.rint(steps), low - self.zero_point, high - self.zero_point)
        return held.astype(np.int64) + self.zero_point


class AxisGrid(NamedTuple):
    """Integers on several scales, as only the host has them: the array holds them as they are.

    Parameters
    ----------
    affine : AffineByAxis
        What they stand for.
    kind : str
        One of :data:`BITS`.
    """

    affine: AffineByAxis
    kind: str

    @property
    def element(self) -> ActType:
        """Type of the integers themselves."""
        return ActType(BITS[self.kind], not self.kind.startswith("u"), 0)


@dataclass(frozen=True, eq=False)
class Given:
    """An input of the model that no node of the graph holds yet.

    Parameters
    ----------
    port : Port
        The input.
    index : ndarray of int64
        For each element in the present shape, its position in the input's.
    """

    port: Port
    index: IntArray


@dataclass(frozen=True, eq=False)
class Codes:
    """Quantized activations; their zero point is their type's.

    Parameters
    ----------
    value : Value
        In the graph.
    index : ndarray of int64
        Where each element lies.
    """

    value: Value
    index: IntArray

    @property
    def element(self) -> ActType:
        """Type of one activation."""
        element = self.value.type.element
        assert isinstance(element, ActType)  # accumulators are Sums
        return element

    def centred(self) -> IntArray:
        """All integers of the type, in order, less the zero point."""
        element = self.element
        return np.arange(element.q_min, element.q_max + 1, dtype=np.int64) - element.zero_point


@dataclass(frozen=True, eq=False)
class Real:
    """A function of each activation.

    Parameters
    ----------
    codes : Codes
        The activations.
    table : ndarray of float32, shape (codes,)
        Real number of each integer, in order.
    grid : Grid or None
        If the function is just DequantizeLinear.
    error : float
        By how much ONNX Runtime's results may differ from the table's; 0 if they are known.
    """

    codes: Codes
    table: FloatArray
    grid: Grid | None = None
    error: float = 0.0


@dataclass(frozen=True, eq=False)
class Pairs:
    """A function of two activations at the same place.

    Parameters
    ----------
    left, right : Real
        The operands; both are DequantizeLinear's.
    table : ndarray of float32, shape (codes, codes)
        Real number of each pair.
    """

    left: Real
    right: Real
    table: FloatArray


@dataclass(frozen=True, eq=False)
class Parts:
    """Reals that are joined along an axis.

    Parameters
    ----------
    parts : tuple of Real
        In order.
    axis : int
        Of ONNX's shape, not negative.
    """

    parts: tuple[Real, ...]
    axis: int


@dataclass(frozen=True, eq=False)
class Sums:
    """Accumulators that a scale makes real.

    Parameters
    ----------
    acc : Value
        In the graph.
    index : ndarray of int64
        Where each element lies.
    scales : ndarray of float32, shape (1,) or (channels,)
        As the float operator has them: input times weight scale.
    divisor : int
        Elements that are averaged; 1 elsewhere.
    bounds : ndarray of int64, shape (1,) or (channels,)
        Sum of the magnitudes of all terms, at most.
    error : float
        By how much float32 may change a sum on its way, as a share of ``bounds``, whatever the
        order it adds in; 0 where it rounds nothing.
    low, high : float
        Clamp of the real result.
    """

    acc: Value
    index: IntArray
    scales: FloatArray
    divisor: int
    bounds: IntArray
    error: float
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, eq=False)
class Weights:
    """Quantized constants.

    Parameters
    ----------
    values : ndarray of int64
        Zero points taken off.
    scales : ndarray of float32, shape (1,) or (n,)
        One for all, or one per index of ``axis``.
    axis : int
        Axis the scales belong to; of one scale without meaning.
    """

    values: IntArray
    scales: FloatArray
    axis: int = 0

    def reals(self) -> FloatArray:
        """Real numbers: what DequantizeLinear gives."""
        shape = [1] * self.values.ndim
        if self.scales.size > 1:
            shape[self.axis] = -1
        return self.values.astype(np.float32) * self.scales.reshape(shape)


@dataclass(frozen=True, eq=False)
class Steps:
    """Constants that are quantized and wait to be dequantized.

    Parameters
    ----------
    values : ndarray of int64
        With their zero points.
    """

    values: IntArray


@dataclass(frozen=True, eq=False)
class Ended:
    """What the host makes of an output.

    Parameters
    ----------
    codes : Codes
        What the array computes.
    end : OutputEnd
        The host's part.
    grid : Grid or None
        If the host's results are integers.
    """

    codes: Codes
    end: OutputEnd
    grid: Grid | None = None


Thing = Given | Codes | Real | Pairs | Parts | Sums | Weights | Steps | Ended


def natural(shape: tuple[int, ...]) -> IntArray:
    """Positions of elements that lie in row-major order."""
    return np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)


def channels_last(height: int, width: int, channels: int) -> IntArray:
    """Positions of an image (1, channels, height, width) that lies as (height, width, channels)."""
    return natural((1, height, width, channels)).transpose(0, 3, 1, 2)
