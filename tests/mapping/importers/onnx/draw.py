"""What random models are drawn from: shapes, scales, weights and activations.

Scales and zero points are drawn over what quantizers produce and beyond; results use their whole
range, so that clamps and roundings both occur.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.mapping.importers.onnx.writer import Writer

Array = np.ndarray


@dataclass(frozen=True)
class Tensor:
    """A value of the model: integers on a grid."""

    name: str
    shape: tuple[int, ...]
    scale: np.float32
    zero: Any

    @property
    def reach(self) -> float:
        """Largest real number, about."""
        return 128 * float(self.scale)


class Draw:
    """One random model and a batch for each of its inputs.

    Parameters
    ----------
    seed : int
        Of everything that is drawn.
    is_dyadic : bool
        Whether scales are powers of two, of which float32 adds products exactly.
    images : int
        Size of the batches.
    """

    def __init__(self, seed: int, *, is_dyadic: bool = False, images: int = 3) -> None:
        self.rng = np.random.default_rng(seed)
        self.writer = Writer()
        self.batches: list[Array] = []
        self.is_dyadic = is_dyadic
        self.images = images
        self.dtype = np.dtype(np.int8 if self.integer(0, 1) else np.uint8)

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def scale(self, low: float = -8, high: float = 0) -> np.float32:
        exponent = self.rng.uniform(low, high)
        return np.float32(2.0 ** (np.rint(exponent) if self.is_dyadic else exponent))

    def near(self, real: float) -> np.float32:
        """Scale of a grid on which ``real`` is some hundred steps."""
        exponent = np.log2(real / 128) + self.rng.uniform(-1.5, 0.5)
        return np.float32(2.0 ** (np.rint(exponent) if self.is_dyadic else exponent))

    def zero(self) -> Any:
        low = np.iinfo(self.dtype).min
        drawn = self.rng.choice([low, low + 255, low + 128, self.integer(low, low + 255)])
        return self.dtype.type(drawn)

    def integers(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        limits = np.iinfo(dtype or self.dtype)
        return self.rng.integers(limits.min, limits.max, shape, endpoint=True).astype(
            dtype or self.dtype
        )

    def input(self, shape: tuple[int, ...]) -> Tensor:
        self.batches.append(self.integers((self.images, *shape[1:])))
        name = self.writer.input(shape, self.dtype)
        return Tensor(name, shape, self.scale(), self.zero())

    def real_input(self, shape: tuple[int, ...]) -> Tensor:
        """Real numbers that are quantized first."""
        tensor = Tensor(self.writer.input(shape, np.float32), shape, self.scale(), self.zero())
        self.batches.append(self.reals(shape[1:], tensor.scale))
        return self.quantize(tensor.name, tensor)

    def reals(self, shape: tuple[int, ...], scale: np.float32) -> Array:
        """A batch of real numbers; those of the first image are ties of the scale."""
        steps = self.rng.normal(0, 90, (self.images, *shape))
        steps[0] = np.rint(steps[0]) + 0.5
        return (steps * scale).astype(np.float32)

    def image(self, channels: int | None = None) -> tuple[int, ...]:
        return 1, channels or self.integer(1, 6), self.integer(1, 8), self.integer(1, 8)

    def frame(self) -> tuple[int, ...]:
        """Shape of an image, or of a line: one of them in four."""
        batch, channels, height, width = self.image()
        return (batch, channels, height, width) if self.integer(0, 3) else (batch, channels, width)

    def grid(self, scale: Any, zero: Any) -> list[str]:
        return [self.writer.constant(scale), self.writer.constant(zero)]

    def dequantize(self, tensor: Tensor) -> str:
        inputs = [tensor.name, *self.grid(tensor.scale, tensor.zero)]
        return self.writer.node("DequantizeLinear", inputs)

    def quantize(self, real: str, like: Tensor) -> Tensor:
        inputs = [real, *self.grid(like.scale, like.zero)]
        name = self.writer.node("QuantizeLinear", inputs)
        return Tensor(name, like.shape, like.scale, like.zero)

    def result(self, shape: tuple[int, ...], reach: float) -> Tensor:
        """Grid of a result whose real numbers reach so far."""
        return Tensor("", shape, self.near(reach), self.zero())

    def activated(self, real: str) -> str:
        """Perhaps a Relu or a Clip behind a float operator."""
        match self.integer(0, 3):
            case 0:
                return self.writer.node("Relu", [real])
            case 1:
                bounds = [self.writer.constant(np.float32(bound)) for bound in (-0.7, 1.3)]
                return self.writer.node("Clip", [real, *bounds])
            case _:
                return real

    def finish(self, tensor: Tensor) -> tuple[bytes, list[Array]]:
        """Model that returns a tensor, as integers or as reals."""
        if self.integer(0, 3):
            self.writer.output(tensor.name, self.dtype)
        else:
            self.writer.output(self.dequantize(tensor), np.float32)
        return self.writer.to_bytes(), self.batches

    def weights(self, shape: tuple[int, ...], axis: int) -> "Weights":
        """Random weights with their scales and zero points, for the channels of an axis."""
        dtype = self.dtype if self.dtype == np.uint8 and self.integer(0, 1) else np.dtype(np.int8)
        values = self.integers(shape, dtype)
        count = shape[axis] if self.integer(0, 1) else 1
        scales = np.array([self.scale(-9, -5) for _ in range(count)], np.float32)
        middle = 128 if dtype == np.uint8 else 0
        spread = 0 if self.integer(0, 1) or dtype == np.int8 else 20
        zeros = np.full(count, middle + self.integer(-spread, spread)).astype(dtype)
        if count == 1 and self.integer(0, 1):
            return Weights(values, scales[0], zeros[0], axis)
        return Weights(values, scales, zeros, axis)

    def reach(self, weights: "Weights", tensor: Tensor) -> float:
        """Size of typical sums of products."""
        terms = weights.values.size / weights.values.shape[weights.axis]
        return float(np.sqrt(terms) * 90 * 90 * tensor.scale * np.median(weights.scales))


@dataclass(frozen=True)
class Weights:
    """Constant integers with scales along an axis."""

    values: Array
    scales: Any
    zeros: Any
    axis: int


Model = Callable[[Draw], tuple[bytes, list[Array]]]
"""Draws a model of one or few operators, and a batch for each of its inputs."""
