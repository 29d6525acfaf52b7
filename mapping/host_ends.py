"""What the host does to a network's inputs and outputs, beyond the array's integers.

A file may begin with a quantization of real numbers and end with a softmax or the way back to real
numbers, and it may hold images in another order. These are a few operations per inference, so the
host does them; the results are those of TensorFlow Lite Micro's kernels, or of ONNX Runtime's,
bit for bit, but for a softmax of real numbers, which is rounded correctly.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.batch_shape import reshaped
from mapping.fixed_point import (
    divide_rounding,
    exp_of_negative,
    multiply_high,
    reciprocal_of_one_plus,
)
from mapping.quantize import quantize_scale
from mapping.real.ends import RealInput, Scores

SCALED_INTEGER_BITS = 5
SUM_INTEGER_BITS = 12
SOFTMAX_MIN = -128
SOFTMAX_MAX = 127


def _nearest(
    steps: NDArray[np.float32], zeros: NDArray[np.int64] | np.int64, q_min: int, q_max: int
) -> NDArray[np.int64]:
    """Steps from the zero points to the nearest integers, halves to even, held to their range."""
    return np.clip(np.rint(steps), q_min - zeros, q_max - zeros).astype(np.int64) + zeros


@dataclass(frozen=True)
class Affine:
    """Integers that stand for real numbers: ``scale * (q - zero_point)``.

    Parameters
    ----------
    scale : float
        Positive; exactly a float32.
    zero_point : int
        The integer of 0.
    """

    scale: float
    zero_point: int

    def quantize(
        self, values: ArrayLike, q_min: int, q_max: int, *, halves_to_even: bool = False
    ) -> NDArray[np.int64]:
        """Nearest integers of real numbers, halves away from zero, within ``q_min..q_max``."""
        steps = np.asarray(values, np.float32) / np.float32(self.scale)
        if halves_to_even:
            return _nearest(steps, np.int64(self.zero_point), q_min, q_max)
        rounded = np.trunc(steps + np.copysign(np.float32(0.5), steps))
        # float32 just below a half would round up in the sum: those stay what they are
        rounded = np.where(np.abs(steps - np.trunc(steps)) < 0.5, np.trunc(steps), rounded)
        held = np.clip(rounded.astype(np.float64) + self.zero_point, q_min, q_max)
        return held.astype(np.int64)

    def dequantize(self, values: NDArray[np.int64]) -> NDArray[np.float32]:
        """Real numbers of integers."""
        steps = (values - self.zero_point).astype(np.float64)
        return (np.float64(self.scale) * steps).astype(np.float32)


@dataclass(frozen=True)
class AffineByAxis:
    """Integers that stand for real numbers, each index of some axes on a scale of its own.

    Parameters
    ----------
    scales : tuple of float
        Positive; exactly float32. At most 4,096.
    zero_points : tuple of int
        As many.
    shape : tuple of int
        Of the scales: as one image's, but 1 along axes that share one.
    axis, block : int
        Along that axis, so many indices share a scale.

    Raises
    ------
    ValueError
        If the numbers do not fill the shape, or it has no such axis.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    shape: tuple[int, ...]
    axis: int = 0
    block: int = 1

    def __post_init__(self) -> None:
        if {len(self.scales), len(self.zero_points)} != {prod(self.shape)}:
            raise ValueError(f"scales and zero points must fill the shape {self.shape}")
        if not 0 <= self.axis < len(self.shape) or self.block < 1:
            raise ValueError(f"{self.shape} has no blocks of {self.block} on axis {self.axis}")

    def _spread(self, numbers: tuple[float, ...], extents: tuple[int, ...]) -> NDArray[np.float32]:
        """A number for each element of an image, or of the axes that have several."""
        blocks = np.array(numbers, np.float32).reshape(self.shape)
        if self.block == 1:
            return blocks
        return blocks.repeat(self.block, self.axis).take(range(extents[self.axis]), self.axis)

    def quantize(self, values: ArrayLike, q_min: int, q_max: int) -> NDArray[np.int64]:
        """Nearest integers of real numbers, shape (n, ...), halves to even."""
        reals = np.asarray(values, np.float32)
        zeros = self._spread(self.zero_points, reals.shape[1:]).astype(np.int64)
        return _nearest(reals / self._spread(self.scales, reals.shape[1:]), zeros, q_min, q_max)

    def dequantize(self, values: NDArray[np.int64]) -> NDArray[np.float32]:
        """Real numbers of integers, shape (n, ...)."""
        extents = values.shape[1:]
        steps = values - self._spread(self.zero_points, extents).astype(np.int64)
        return steps.astype(np.float32) * self._spread(self.scales, extents)


@dataclass(frozen=True)
class Softmax:
    """``exp(beta * x) / sum(exp(beta * x))`` over the last axis, 8-bit result of scale 1/256.

    Parameters
    ----------
    scale : float
        Step of the input times beta; positive.
    """

    scale: float

    @property
    def real_multiplier(self) -> float:
        """Step of the scaled input, ``Q5.26``."""
        return self.scale * (1 << (31 - SCALED_INTEGER_BITS))

    def __call__(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Softmax of integers, shape (..., classes), as integers -128..127."""
        multiplier, shift = quantize_scale(self.real_multiplier)
        reach = ((1 << SCALED_INTEGER_BITS) - 1) * (1 << (31 - SCALED_INTEGER_BITS)) >> shift
        below = values - values.max(axis=-1, keepdims=True)
        counts = below >= -reach
        scaled = multiply_high(np.where(counts, below, 0) << shift, multiplier)
        powers = exp_of_negative(scaled, SCALED_INTEGER_BITS)
        terms = np.where(counts, divide_rounding(powers, SUM_INTEGER_BITS), 0)
        total = terms.sum(axis=-1, keepdims=True)
        # total is in Q12.19; 2**headroom * total is in 2**31..2**32, which means 1..2
        headroom = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
        reciprocal = reciprocal_of_one_plus((total << headroom) - (1 << 31))
        exponent = SUM_INTEGER_BITS - headroom + 31 - 8
        rounded = divide_rounding(multiply_high(reciprocal, powers), exponent)
        held = np.clip(rounded + SOFTMAX_MIN, SOFTMAX_MIN, SOFTMAX_MAX)
        return np.where(counts, held, SOFTMAX_MIN)


@dataclass(frozen=True)
class Rounded:
    """A quantization of real numbers, halves to even.

    Parameters
    ----------
    affine : Affine
        What the integers stand for.
    q_min, q_max : int
        Bounds of the integers.
    is_real : bool
        Whether they are made real again.
    """

    affine: Affine
    q_min: int
    q_max: int
    is_real: bool = False

    def __call__(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Integers, or the real numbers they stand for."""
        steps = self.affine.quantize(values, self.q_min, self.q_max, halves_to_even=True)
        return self.affine.dequantize(steps) if self.is_real else steps


@dataclass(frozen=True)
class RealSoftmax:
    """Softmax of real numbers over the last axis, as float32.

    Parameters
    ----------
    rounded : Rounded or None
        Quantization of the result.
    """

    rounded: Rounded | None = None

    def __call__(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Softmax, computed in double precision and rounded once."""
        below = values.astype(np.float64) - values.max(axis=-1, keepdims=True)
        powers = np.exp(below)
        shares = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
        return shares if self.rounded is None else self.rounded(shares)


@dataclass(frozen=True)
class OutputEnd:
    """What follows one output; by default nothing.

    Parameters
    ----------
    softmax : Softmax or None
        Done first.
    real : Affine or None
        The way back to real numbers.
    scores : Scores or None
        A way back of its own, alone.
    probabilities : RealSoftmax or None
        Done last, if there are real numbers.
    by_axis : AffineByAxis or None
        The way back to real numbers if there are several scales, alone.
    """

    softmax: Softmax | None = None
    real: Affine | None = None
    scores: Scores | None = None
    probabilities: RealSoftmax | None = None
    by_axis: AffineByAxis | None = None

    def __call__(self, values: NDArray[np.int64]) -> NDArray[Any]:
        """Final output of the array's integers."""
        if self.scores is not None:
            return self.scores(values)
        if self.by_axis is not None:
            return self.by_axis.dequantize(values)
        done = values if self.softmax is None else self.softmax(values)
        if self.real is None:
            return done
        real = self.real.dequantize(done)
        return real if self.probabilities is None else self.probabilities(real)


@dataclass(frozen=True)
class Layout:
    """Another order of a tensor's elements: seen in one shape, its axes permuted, in another shape.

    Shapes are without the batch.

    Parameters
    ----------
    before : tuple of int
        Shape to begin with.
    order : tuple of int
        Axes of it, or of ``split``, in their new order.
    after : tuple of int
        Shape to end with.
    split : tuple of int
        Shape between, if axes are taken apart or together before they are permuted.

    Raises
    ------
    ValueError
        If the order is none of the axes, or the shapes differ in size.

    Examples
    --------
    >>> Layout((3, 8, 8), (1, 2, 0), (8, 8, 3))(np.zeros((1, 3, 8, 8))).shape
    (1, 8, 8, 3)
    """

    before: tuple[int, ...]
    order: tuple[int, ...]
    after: tuple[int, ...]
    split: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        between = self.split or self.before
        if sorted(self.order) != list(range(len(between))):
            raise ValueError(f"{self.order} is no order of {len(between)} axes")
        sizes = {prod(self.before), prod(between), prod(self.after)}
        if len(sizes) > 1 or min((*self.before, *between, *self.after)) < 1:
            raise ValueError(f"shapes {self.before}, {between} and {self.after} differ in size")

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """Elements of a batch in the other order; its shape as :func:`reshaped` takes it."""
        batch = reshaped(values, self.before, "an input")
        batch = batch.reshape(len(values), *(self.split or self.before))
        moved = batch.transpose(0, *(axis + 1 for axis in self.order))
        return moved.reshape(len(values), *self.after)


@dataclass(frozen=True)
class HostEnds:
    """The host's part of a network; empty for a network that is all integers.

    Parameters
    ----------
    inputs : tuple of (Affine or None)
        For each input, what its real numbers are quantized with; None if it takes integers.
    outputs : tuple of OutputEnd
        For each output.
    real_inputs : tuple of RealInput or None
        For each input, if the quantization of all of them takes more than a scale.
    input_layouts, output_layouts : tuple of (Layout or None)
        For each input and output, the way from the file's order to the network's, and back.
    halves_to_even : bool
        Whether inputs are quantized so; else halves are rounded away from zero.
    inputs_by_axis : tuple of (AffineByAxis or None)
        For each input, what quantizes it if it takes several scales.
    """

    inputs: tuple[Affine | None, ...] = ()
    outputs: tuple[OutputEnd, ...] = ()
    real_inputs: tuple[RealInput, ...] | None = None
    input_layouts: tuple[Layout | None, ...] = ()
    output_layouts: tuple[Layout | None, ...] = ()
    halves_to_even: bool = False
    inputs_by_axis: tuple[AffineByAxis | None, ...] = ()

    def takes_reals(self, index: int) -> bool:
        """Whether the host quantizes real numbers for an input."""
        ends = (*self.inputs[index : index + 1], *self.inputs_by_axis[index : index + 1])
        return self.real_inputs is not None or any(ends)

    @property
    def is_empty(self) -> bool:
        """Whether the host has nothing to do."""
        has_layouts = any((*self.input_layouts, *self.output_layouts))
        is_plain = all(end == OutputEnd() for end in self.outputs)
        takes_integers = not any((*self.inputs, *self.inputs_by_axis)) and self.real_inputs is None
        return is_plain and takes_integers and not has_layouts

    def __str__(self) -> str:
        parts = [f"quantizes input {i}" for i, end in enumerate(self.inputs) if end is not None]
        parts += [f"quantizes input {i}" for i in range(len(self.real_inputs or ()))]
        parts += [f"quantizes input {i}" for i, end in enumerate(self.inputs_by_axis) if end]
        for index, end in enumerate(self.outputs):
            if end.softmax is not None:
                parts.append(f"softmax of output {index}")
            if any((end.real, end.scores, end.by_axis)):
                parts.append(f"makes output {index} real")
            if end.probabilities is not None:
                parts.append(f"softmax of output {index}")
        if any((*self.input_layouts, *self.output_layouts)):
            parts.append("takes and gives tensors in the order of the file")
        return ", ".join(parts) or "-"

    def begin(self, index: int, values: NDArray[Any], q_min: int, q_max: int) -> NDArray[Any]:
        """One input as the array takes it: in its order, and integers if they are to be real.

        Parameters
        ----------
        index : int
            Which input.
        values : ndarray, shape (n, ...)
            As in the file.
        q_min, q_max : int
            Bounds of the array's integers.

        Raises
        ------
        ValueError
            If the shape does not fit, or a value is not a number.
        """
        if self.real_inputs is not None and values.dtype.kind == "f":
            return self.real_inputs[index](values)
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise ValueError("an input must hold numbers, not NaN")
        layout = self.input_layouts[index] if self.input_layouts else None
        by_axis = self.inputs_by_axis[index] if self.inputs_by_axis else None
        if by_axis is not None and layout is not None and values.dtype.kind == "f":
            return layout(
                by_axis.quantize(reshaped(values, layout.before, "an input"), q_min, q_max)
            )
        placed = values if layout is None else layout(values)
        end = self.inputs[index] if self.inputs else None
        if end is None or placed.dtype.kind != "f":
            return placed
        return end.quantize(placed, q_min, q_max, halves_to_even=self.halves_to_even)

    def finish(self, outputs: tuple[NDArray[np.int64], ...]) -> tuple[NDArray[Any], ...]:
        """Final outputs of the array's, as in the file."""
        ends = self.outputs or (OutputEnd(),) * len(outputs)
        layouts = self.output_layouts or (None,) * len(outputs)
        placed = (
            values if layout is None else layout(values)
            for values, layout in zip(outputs, layouts, strict=True)
        )  # fmt: skip
        return tuple(end(values) for end, values in zip(ends, placed, strict=True))
