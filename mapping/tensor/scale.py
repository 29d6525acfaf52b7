"""Scales of a requantization: how an accumulator is multiplied and rounded."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.ops import ActType, Requantize, RequantizeFixed, RequantizeOnnx, RequantizeTflite
from mapping.quantize import quantize_scale
from mapping.tensor.movement import Values
from systolic.spec.arithmetic import requantize_hardware, requantize_onnx, requantize_tflite
from systolic.spec.rounding import Rounding


@dataclass(frozen=True, eq=False)
class Scale(ABC):
    """One factor for all elements, or one for each of some axes (broadcast as numpy does)."""

    @property
    @abstractmethod
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """The parameters, each of the same shape."""

    @abstractmethod
    def round(self, acc: Values) -> Values:
        """Scaled and rounded accumulators."""

    @abstractmethod
    def node(
        self, source: int, element: ActType, arrays: Sequence[NDArray[np.generic]]
    ) -> Requantize:
        """The graph's node with these parameters, one or one per channel."""


@dataclass(frozen=True, eq=False)
class TfliteScale(Scale):
    """``multiplier * 2**(shift - 31)``, rounded twice as TensorFlow Lite does.

    Parameters
    ----------
    multiplier, shift : ndarray of int64
        As :class:`mapping.ops.RequantizeTflite`.
    """

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]

    @classmethod
    def of(cls, real: ArrayLike) -> "TfliteScale":
        """Scale nearest to a real factor, or array of factors."""
        factors = np.asarray(real, np.float64)
        pairs = np.array([quantize_scale(float(factor)) for factor in factors.ravel()], np.int64)
        multiplier, shift = pairs.reshape(-1, 2).T
        return cls(multiplier.reshape(factors.shape), shift.reshape(factors.shape))

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """Multiplier and shift."""
        return (self.multiplier, self.shift)

    def round(self, acc: Values) -> Values:
        """Round as tflite-micro."""
        return requantize_tflite(acc, self.multiplier, self.shift)

    def node(
        self, source: int, element: ActType, arrays: Sequence[NDArray[np.generic]]
    ) -> Requantize:
        """Give the node."""
        return RequantizeTflite(
            inputs=(source,), element=element, clamp_min=element.q_min, clamp_max=element.q_max,
            multiplier=arrays[0].astype(np.int64), shift=arrays[1].astype(np.int64),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class OnnxScale(Scale):
    """A float32 factor, rounded half to even as ONNX Runtime does."""

    factor: NDArray[np.float32]

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """The factor."""
        return (self.factor,)

    def round(self, acc: Values) -> Values:
        """Round as ONNX Runtime."""
        return requantize_onnx(acc, self.factor)

    def node(
        self, source: int, element: ActType, arrays: Sequence[NDArray[np.generic]]
    ) -> Requantize:
        """Give the node."""
        return RequantizeOnnx(
            inputs=(source,), element=element, clamp_min=element.q_min, clamp_max=element.q_max,
            scale=arrays[0].astype(np.float32),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class FixedScale(Scale):
    """``multiplier * 2**-47``, rounded to nearest, halves up; one for all elements."""

    multiplier: int

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """The multiplier."""
        return (np.array(self.multiplier, np.int64),)

    def round(self, acc: Values) -> Values:
        """Round as the requantizer does."""
        return requantize_hardware(acc, 0, self.multiplier, 0, Rounding.TFLITE)

    def node(
        self, source: int, element: ActType, arrays: Sequence[NDArray[np.generic]]
    ) -> Requantize:
        """Give the node."""
        return RequantizeFixed(
            inputs=(source,), element=element, clamp_min=element.q_min, clamp_max=element.q_max,
            multiplier=self.multiplier,
        )  # fmt: skip
