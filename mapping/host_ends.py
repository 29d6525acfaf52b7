"""What the host does to a network's inputs and outputs, beyond the array's integers.

A file may begin with a quantization of real numbers and end with a softmax or the way back to real
numbers. These are a few operations per inference, so the host does them; the results are those of
TensorFlow Lite Micro's kernels bit for bit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

    def quantize(self, values: ArrayLike, q_min: int, q_max: int) -> NDArray[np.int64]:
        """Nearest integers of real numbers, halves away from zero, within ``q_min..q_max``."""
        steps = np.asarray(values, np.float32) / np.float32(self.scale)
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
    """

    softmax: Softmax | None = None
    real: Affine | None = None
    scores: Scores | None = None

    def __call__(self, values: NDArray[np.int64]) -> NDArray[Any]:
        """Final output of the array's integers."""
        if self.scores is not None:
            return self.scores(values)
        done = values if self.softmax is None else self.softmax(values)
        return done if self.real is None else self.real.dequantize(done)


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
    """

    inputs: tuple[Affine | None, ...] = ()
    outputs: tuple[OutputEnd, ...] = ()
    real_inputs: tuple[RealInput, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the host has nothing to do."""
        is_all_integers = not any(self.inputs) and self.real_inputs is None
        return is_all_integers and all(end == OutputEnd() for end in self.outputs)

    def __str__(self) -> str:
        parts = [f"quantizes input {i}" for i, end in enumerate(self.inputs) if end is not None]
        parts += [f"quantizes input {i}" for i in range(len(self.real_inputs or ()))]
        for index, end in enumerate(self.outputs):
            if end.softmax is not None:
                parts.append(f"softmax of output {index}")
            if end.real is not None or end.scores is not None:
                parts.append(f"makes output {index} real")
        return ", ".join(parts) or "-"

    def finish(self, outputs: tuple[NDArray[np.int64], ...]) -> tuple[NDArray[Any], ...]:
        """Final outputs of the array's."""
        if not self.outputs:
            return outputs
        return tuple(end(values) for end, values in zip(self.outputs, outputs, strict=True))
