"""The lazy tensor: numpy's words for expressions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.compiler import SlotCount, compile_network
from mapping.graph import Graph
from mapping.ops import ActType, ElementType
from mapping.program import Program
from mapping.tensor.execute import Device, check_given, execute
from mapping.tensor.explain import explain, listing
from mapping.tensor.expression import (
    Add,
    Buffer,
    Clamp,
    Expression,
    ExpressionError,
    Input,
    Lut,
    Max,
    Mean,
    Mul,
    Requantize,
    Sum,
    in_order,
)
from mapping.tensor.interpret import evaluate
from mapping.tensor.lower import lower
from mapping.tensor.movable import Movable
from mapping.tensor.scale import FixedScale, OnnxScale, Scale, TfliteScale
from systolic.spec.config import ArrayConfig
from systolic.spec.rounding import MULTIPLIER_BITS

WEIGHT_BITS = 8


class Tensor(Movable):
    """A computation that has not run; see :mod:`mapping.tensor`.

    Parameters
    ----------
    expression : Expression
        What it stands for; :meth:`input` and :meth:`constant` are where expressions begin.

    Examples
    --------
    >>> a = Tensor.input((2, 3), name="a")
    >>> b = Tensor.constant([[1, 2], [3, 4], [5, 6]], name="b")
    >>> print((a @ b).quantize(0.5))
    %0 input a                    -> 2x3 int8 z0
    %1 reshape to (2, 1, 3) of %0 -> 2x1x3 int8 z0
    %2 expand to (2, 2, 3) of %1  -> 2x2x3 int8 z0
    %3 constant b                 -> 2x2x3 constant
    %4 mul of %2, %3              -> 2x2x3 acc32
    %5 sum along (2) of %4        -> 2x2 acc32
    %6 requantize of %5           -> 2x2 int8 z0
    >>> (a @ b).quantize(0.5).numpy([[1, 2, 3], [4, 5, 6]])
    array([[11, 14],
           [25, 32]])
    """

    __array_ufunc__ = None  # numpy's operators leave mixed expressions to this class

    @classmethod
    def input(
        cls,
        shape: Sequence[int],
        bits: int = 8,
        signed: bool = True,
        zero_point: int = 0,
        name: str = "input",
    ) -> "Tensor":
        """Tensor that the host gives: integers ``q`` that stand for ``q - zero_point``."""
        return cls(Input(name, tuple(shape), ActType(bits, signed, zero_point)))

    @classmethod
    def constant(
        cls, values: ArrayLike, bits: int = WEIGHT_BITS, name: str = "constant"
    ) -> "Tensor":
        """Constant integers; as weights they have ``bits`` bits, or more if they need them."""
        array = np.asarray(values)
        if array.dtype.kind not in "iu":
            raise ExpressionError(name, f"constants must be integers, not {array.dtype}")
        return cls(Buffer(array.astype(np.int64), bits, name))

    @property
    def element(self) -> ElementType | None:
        """Type of the elements: activations, accumulators, or None for constants."""
        return self.expression.element

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the host gives, in the order in which :meth:`numpy` and :meth:`run` take it."""
        return tuple(node for node in in_order(self.expression) if isinstance(node, Input))

    # Arithmetic

    def __mul__(self, other: "Operand") -> "Tensor":
        left, right = self._broadcast(other)
        return _folded(Mul(left, right))

    def __add__(self, other: "Operand") -> "Tensor":
        left, right = self._broadcast(other)
        return _folded(Add(left, right))

    __rmul__, __radd__ = __mul__, __add__

    def __neg__(self) -> "Tensor":
        return self * -1

    def __sub__(self, other: "Operand") -> "Tensor":
        return self + -as_tensor(other)

    def __rsub__(self, other: "Operand") -> "Tensor":
        return -self + other

    def __matmul__(self, other: "Operand") -> "Tensor":
        """Matrix product over the last axis of this tensor and the first but one of the other."""
        right = as_tensor(other)
        if right.ndim != 2 or not self.ndim or self.shape[-1] != right.shape[0]:
            raise ExpressionError(self.expression, f"{self.shape} @ {right.shape} does not fit: "
                                  "the right side must be (features, outputs)")  # fmt: skip
        rows = self.reshape(*self.shape[:-1], 1, self.shape[-1])
        return (rows * right.T).sum(axis=-1)

    def __rmatmul__(self, other: "Operand") -> "Tensor":
        return as_tensor(other) @ self

    def sum(self, axis: "Axes" = None, keepdims: bool = False) -> "Tensor":
        """Sum along axes, all by default."""
        axes = self._axes(axis)
        return self._kept(_folded(Sum(self.expression, axes)), axes, keepdims)

    def max(self, axis: "Axes" = None, keepdims: bool = False) -> "Tensor":
        """Largest value along axes, all by default; of activations."""
        self._activations("max")
        axes = self._axes(axis)
        return self._kept(Tensor(Max(self.expression, axes)), axes, keepdims)

    def mean(self, axis: "Axes" = None, keepdims: bool = False) -> "Tensor":
        """Mean along axes of activations, of the same type; q is rounded half away from zero.

        So does TensorFlow Lite's average pool. The zero point takes part: where it is not 0, the
        mean is that of the activations all the same, but rounded as q.
        """
        self._activations("mean")
        axes = self._axes(axis)
        return self._kept(Tensor(Mean(self.expression, axes)), axes, keepdims)

    def clip(self, low: int | None, high: int | None) -> "Tensor":
        """Activations limited to ``low..high``; 0 is 0 whatever the zero point."""
        element = self._activations("clip")
        lowest, highest = (q - element.zero_point for q in (element.q_min, element.q_max))
        bounds = (lowest if low is None else low, highest if high is None else high)
        if not lowest <= bounds[0] <= bounds[1] <= highest:
            raise ExpressionError(
                self.expression, f"clip: bounds must be {lowest}..{highest} in order, not {bounds}"
            )
        return Tensor(Clamp(self.expression, *bounds))

    def relu(self) -> "Tensor":
        """Activations, but 0 for negative ones."""
        return self.clip(0, None)

    def lut(
        self, table: ArrayLike, bits: int = 8, signed: bool = True, zero_point: int = 0
    ) -> "Tensor":
        """Activations looked up: entry ``q - q_min`` of the table is the result's q."""
        element, result = self._activations("lut"), ActType(bits, signed, zero_point)
        entries = np.asarray(table)
        fits = entries.dtype.kind in "iu" and entries.shape == (element.codes,)
        if not (fits and entries.min() >= result.q_min and entries.max() <= result.q_max):
            raise ExpressionError(
                self.expression, f"lut: the table must be {element.codes} integers "
                f"{result.q_min}..{result.q_max}",
            )  # fmt: skip
        return Tensor(Lut(self.expression, entries.astype(np.int64), result))

    def quantize(
        self,
        scale: ArrayLike,
        zero_point: int = 0,
        bits: int = 8,
        signed: bool = True,
        rounding: str = "tflite",
    ) -> "Tensor":
        """Activations ``q = clip(round(self * scale) + zero_point)``.

        Parameters
        ----------
        scale : float, or array of float that broadcasts against the shape
            Factor, or one per channel.
        zero_point, bits, signed
            Type of the result.
        rounding : "tflite" or "onnx"
            Fixed-point scale with double rounding, or float32 scale rounded half to even.
        """
        if rounding not in ("tflite", "onnx"):
            raise ExpressionError(self.expression, f"rounding must be 'tflite' or 'onnx', "
                                  f"not {rounding!r}")  # fmt: skip
        factors = np.asarray(scale, np.float64)
        if not np.all(factors > 0):
            raise ExpressionError(self.expression, f"a scale must be above 0, not {scale}")
        if rounding == "onnx":
            return self._scaled(
                OnnxScale(factors.astype(np.float32)), ActType(bits, signed, zero_point)
            )
        return self._scaled(TfliteScale.of(factors), ActType(bits, signed, zero_point))

    def requantize(
        self,
        multiplier: ArrayLike,
        shift: ArrayLike,
        zero_point: int = 0,
        bits: int = 8,
        signed: bool = True,
    ) -> "Tensor":
        """As :meth:`quantize` with TensorFlow Lite's ``multiplier * 2**(shift - 31)`` as it is."""
        pair = np.broadcast_arrays(np.asarray(multiplier), np.asarray(shift))
        scale = TfliteScale(pair[0].astype(np.int64), pair[1].astype(np.int64))
        return self._scaled(scale, ActType(bits, signed, zero_point))

    def requantize_fixed(
        self, multiplier: int, zero_point: int = 0, bits: int = 8, signed: bool = True
    ) -> "Tensor":
        """As :meth:`quantize` with the scale ``multiplier * 2**-47``, halves rounded up."""
        if not 0 <= multiplier < 1 << MULTIPLIER_BITS:
            raise ExpressionError(self.expression, f"multiplier must be 0..2**{MULTIPLIER_BITS}-1, "
                                  f"not {multiplier}")  # fmt: skip
        return self._scaled(FixedScale(multiplier), ActType(bits, signed, zero_point))

    def _scaled(self, scale: Scale, element: ActType) -> "Tensor":
        try:
            fits = np.broadcast_shapes(scale.arrays[0].shape, self.shape) == self.shape
        except ValueError:
            fits = False
        if not fits:
            raise ExpressionError(self.expression, f"scales of shape {scale.arrays[0].shape} do "
                                  f"not broadcast to {self.shape}")  # fmt: skip
        return Tensor(Requantize(self.expression, scale, element))

    # Running

    def numpy(self, *given: ArrayLike) -> NDArray[np.int64]:
        """Value by numpy's interpreter: q of activations, for q of each input in order."""
        arrays = check_given(self.inputs, given)
        return evaluate(self.expression, dict(zip(self.inputs, arrays, strict=True)))

    def graph(self) -> Graph:
        """The network that is compiled."""
        return lower(self.expression).graph

    def compile(
        self, config: ArrayConfig, name: str = "tensor", *, slots: SlotCount = "auto"
    ) -> Program:
        """Program for an array; see :func:`mapping.compiler.compile_network`.

        Its output holds what the last layer stores; :meth:`run` follows the movements behind it.
        For several outputs there is :func:`mapping.tensor.compile_tensors`.
        """
        return compile_network(self.graph(), config, name=name, slots=slots)

    def run(self, device: Device, *given: ArrayLike) -> NDArray[np.int64]:
        """Compile for a device or simulator, run once, and give q of each element."""
        arrays = check_given(self.inputs, given)
        lowered = lower(self.expression)
        program = compile_network(lowered.graph, device.config)
        return execute(device, program, arrays, lowered)[0]

    def explain(self, config: ArrayConfig) -> str:
        """What fused into what on an array, and why what did not, did not."""
        return explain(self.expression, config)

    def __str__(self) -> str:
        return listing(self.expression)

    def __repr__(self) -> str:
        return f"Tensor(shape={self.shape}, {self.element})"

    def __bool__(self) -> bool:
        raise ExpressionError(self.expression, "has no truth value before it runs")

    # Checks

    def _activations(self, what: str) -> ActType:
        if not isinstance(self.element, ActType):
            raise ExpressionError(self.expression, f"{what} needs activations: quantize first")
        return self.element

    def _axes(self, axis: "Axes") -> tuple[int, ...]:
        if axis is None:
            return tuple(range(self.ndim))
        every = (axis,) if isinstance(axis, int) else axis
        return tuple(sorted({self.axis_number(one) for one in every}))

    def _kept(self, reduced: "Tensor", axes: tuple[int, ...], keepdims: bool) -> "Tensor":
        if not keepdims:
            return reduced
        return reduced.reshape(*(1 if i in axes else n for i, n in enumerate(self.shape)))

    def _broadcast(self, other: "Operand") -> tuple[Expression, Expression]:
        right = as_tensor(other)
        try:
            shape = np.broadcast_shapes(self.shape, right.shape)
        except ValueError:
            raise ExpressionError(
                self.expression, f"shapes {self.shape} and {right.shape} do not broadcast"
            ) from None
        sides = (
            side.reshape(*(1,) * (len(shape) - side.ndim), *side.shape).expand(*shape)
            for side in (self, right)
        )
        left, right = sides
        return left.expression, right.expression


Operand = Tensor | ArrayLike
Axes = int | Sequence[int] | None


def as_tensor(value: Operand) -> Tensor:
    """A tensor as it is, and anything else as a constant."""
    return value if isinstance(value, Tensor) else Tensor.constant(value)


def _folded(expression: Expression) -> Tensor:
    """The expression, computed if all of it is constant."""
    if not all(isinstance(source, Buffer) for source in expression.sources):
        return Tensor(expression)
    bits = max(source.bits for source in expression.sources if isinstance(source, Buffer))
    return Tensor(Buffer(evaluate(expression, {}), bits))
