"""Nodes that work on every element by itself: requantize, clamp and table lookup."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from mapping.ops.node import Node
from mapping.ops.types import AccType, ActType, TensorType
from systolic.spec.rounding import MULTIPLIER_BITS, ROUND_BITS

MULTIPLIER_MIN: Final = 1 << 30
MULTIPLIER_MAX: Final = (1 << 31) - 1
SHIFT_MIN: Final = -31
SHIFT_MAX: Final = 30
SCALE_MAX: Final = float(1 << 30)


@dataclass(frozen=True, eq=False, kw_only=True)
class Requantize(Node):
    """Accumulators to activations: ``q = clamp(round(acc * scale) + zero_point)``.

    The subclasses differ in how the scale is given and the product rounded.

    Parameters
    ----------
    element : ActType
        Type of the result, with its zero point.
    clamp_min, clamp_max : int
        Bounds of the result, within the type's: a fused ReLU or ReLU6.
    """

    KIND: ClassVar[str] = "requantize"

    element: ActType
    clamp_min: int
    clamp_max: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_clamp(self, self.element, self.clamp_min, self.clamp_max)

    @property
    @abstractmethod
    def channels(self) -> int:
        """Number of scales: one for the whole tensor or one per channel."""

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give the accumulators' shape with the declared element."""
        if not isinstance(types[0].element, AccType):
            raise self.error(f"needs accumulators (of conv2d, matmul or add), not {types[0]}")
        if self.channels not in (1, types[0].channels):
            raise self.error(
                f"needs one scale or one per channel ({types[0].channels}), not {self.channels}"
            )
        return TensorType(types[0].shape, self.element)


@dataclass(frozen=True, eq=False, kw_only=True)
class RequantizeTflite(Requantize):
    """Requantization with TensorFlow Lite's fixed-point scale and double rounding.

    The scale is ``multiplier * 2**(shift - 31)``; rounding is
    :func:`systolic.spec.arithmetic.requantize_tflite`.

    Parameters
    ----------
    multiplier : ndarray of int64, shape (1,) or (channels,)
        0 or in 2**30..2**31-1.
    shift : ndarray of int64, shape as ``multiplier``
        In -31..30; positive is to the left, as in TensorFlow Lite.
    """

    KIND: ClassVar[str] = "requantize_tflite"

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.freeze("multiplier", np.int64, 1, 0, MULTIPLIER_MAX)
        self.freeze("shift", np.int64, 1, SHIFT_MIN, SHIFT_MAX)
        small = self.multiplier[(self.multiplier != 0) & (self.multiplier < MULTIPLIER_MIN)]
        if small.size:
            raise self.error(
                f"multiplier must be 0 or {MULTIPLIER_MIN}..{MULTIPLIER_MAX}, not {small[0]}"
            )
        if self.multiplier.shape != self.shift.shape:
            raise self.error(
                f"needs as many shifts as multipliers ({self.multiplier.size}), "
                f"not {self.shift.size}"
            )

    @property
    def channels(self) -> int:
        """Number of scales."""
        return self.multiplier.size


@dataclass(frozen=True, eq=False, kw_only=True)
class RequantizeOnnx(Requantize):
    """Requantization with ONNX Runtime's float32 scale and rounding half to even.

    Rounding is :func:`systolic.spec.arithmetic.requantize_onnx`.

    Parameters
    ----------
    scale : ndarray of float32, shape (1,) or (channels,)
        In 2**-126..2**30.
    """

    KIND: ClassVar[str] = "requantize_onnx"

    scale: NDArray[np.float32]

    def __post_init__(self) -> None:
        super().__post_init__()
        # The lower bound keeps subnormal scales out: not every float unit treats them alike.
        self.freeze("scale", np.float32, 1, float(np.finfo(np.float32).tiny), SCALE_MAX)

    @property
    def channels(self) -> int:
        """Number of scales."""
        return self.scale.size


@dataclass(frozen=True, eq=False, kw_only=True)
class RequantizeFixed(Requantize):
    """Requantization in the requantizer's own form, with more bits than other tools' have.

    The scale is ``multiplier * 2**-47``. Rounding is that of
    :func:`systolic.spec.arithmetic.requantize_hardware`: to nearest, halves up, or in two steps
    with ``round_constant``. An importer takes it for sums that a tool rounds in a way of its own.

    Parameters
    ----------
    multiplier : int
        In 0..2**48-1; one for the whole tensor.
    round_constant : int
        0, or a power of two up to 2**15: the first of two roundings is to ``2**-16`` times it.
    """

    KIND: ClassVar[str] = "requantize_fixed"

    multiplier: int
    round_constant: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("multiplier", self.multiplier, 0, (1 << MULTIPLIER_BITS) - 1)
        self.check_range("round_constant", self.round_constant, 0, 1 << (ROUND_BITS - 1))
        if self.round_constant & (self.round_constant - 1):
            raise self.error(
                f"round_constant must be 0 or a power of two, not {self.round_constant}"
            )

    @property
    def channels(self) -> int:
        """Number of scales: one."""
        return 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Clamp(Node):
    """Activations limited to ``clamp_min..clamp_max``, the type unchanged: ReLU, ReLU6.

    Parameters
    ----------
    clamp_min, clamp_max : int
        Bounds, within the input type's; a ReLU's ``clamp_min`` is the zero point.
    """

    KIND: ClassVar[str] = "clamp"

    clamp_min: int
    clamp_max: int

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give the input's type."""
        _check_clamp(self, self.activations(types[0]), self.clamp_min, self.clamp_max)
        return types[0]


@dataclass(frozen=True, eq=False, kw_only=True)
class Lut(Node):
    """Table lookup, for sigmoid, tanh, hard-swish and any other function of one activation.

    Parameters
    ----------
    table : ndarray of int16, shape (2**input_bits,)
        The result for each input code ``q - q_min``, in the result's own ``q_min..q_max``.
    element : ActType
        Type of the result.
    """

    KIND: ClassVar[str] = "lut"

    table: NDArray[np.int16]
    element: ActType

    def __post_init__(self) -> None:
        super().__post_init__()
        self.freeze("table", np.int16, 1, self.element.q_min, self.element.q_max)

    def output_type(self, types: tuple[TensorType, ...]) -> TensorType:
        """Give the input's shape with the declared element."""
        codes = self.activations(types[0]).codes
        if self.table.size != codes:
            raise self.error(f"table must have one entry per code ({codes}), not {self.table.size}")
        return TensorType(types[0].shape, self.element)


def _check_clamp(node: Node, element: ActType, clamp_min: int, clamp_max: int) -> None:
    node.check_range("clamp_min", clamp_min, element.q_min, element.q_max)
    node.check_range("clamp_max", clamp_max, clamp_min, element.q_max)
