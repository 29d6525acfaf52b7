"""The generator of random networks in which computed tensors are multiplied."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mapping.builder import Builder, Value
from mapping.graph import Graph
from mapping.ops import ActType


@dataclass
class _Draft:
    """A network being made from random decisions."""

    rng: np.random.Generator
    builder: Builder = field(default_factory=Builder)

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def element(self) -> ActType:
        bits = (8, 8, 8, 4, 3, 1)[self.integer(0, 5)]
        signed = bool(self.integer(0, 1))
        span = ActType(bits, signed)
        zero = (0, span.q_min, self.integer(span.q_min, span.q_max))[self.integer(0, 2)]
        return ActType(bits, signed, zero)

    def input(self, channels: int) -> Value:
        kind = self.element()
        shape = (self.integer(1, 3), self.integer(1, 5), channels)
        return self.builder.input(shape, kind.bits, kind.signed, kind.zero_point)

    def constant(self, channels: int) -> Value:
        kind = self.element()
        shape = (self.integer(1, 3), self.integer(1, 5), channels)
        values = self.rng.integers(kind.q_min, kind.q_max, shape, endpoint=True)
        return self.builder.constant(values, kind.bits, kind.signed, kind.zero_point)

    def requantized(self, sums: Value, spread: float) -> Value:
        """Activations of sums that spread about so far around 0."""
        element = self.element()
        mantissa, exponent = np.frexp(min(element.codes / (2 * spread), 1.5))
        clamp = (element.q_min, element.q_max)
        if self.integer(0, 3) == 0:
            clamp = (self.integer(element.q_min, element.zero_point), element.q_max)
        elif self.integer(0, 5) == 0:
            clamp = (element.q_max, element.q_max)  # perhaps without the zero point
        multiplier = int(mantissa * (1 << 31))
        return sums.requantize(multiplier, int(exponent), element, clamp=clamp)

    def projection(self, value: Value, channels: int) -> Value:
        weights = self.rng.integers(-128, 128, (value.type.channels, channels))
        bias = self.rng.integers(-3000, 3000, channels)
        result = self.requantized(value.matmul(weights, bias), 9000 * value.type.channels**0.5)
        after: tuple[Callable[[Value], Value], ...] = (
            lambda one: one, lambda one: one, self.looked_up,
            lambda one: one.max_pool2d((1, min(2, one.type.shape[1]))),
            lambda one: one.pad(0, 1, 1, 0), lambda one: one.concat(one),
            lambda one: one.reshape(1, one.type.pixels, one.type.channels),
        )  # fmt: skip
        return after[self.integer(0, len(after) - 1)](result)

    def looked_up(self, value: Value) -> Value:
        source, element = value.type.element, self.element()
        assert isinstance(source, ActType)
        table = self.rng.integers(element.q_min, element.q_max, source.codes, endpoint=True)
        return value.lut(table, element)

    def product(self, left: Value, right: Value) -> Value:
        """Two tensors along their channels, which are made as many."""
        while left.type.channels != right.type.channels:
            if left.type.channels < right.type.channels:
                left = self.projection(left, right.type.channels)
            else:
                right = self.projection(right, left.type.channels)
        return self.requantized(left.dynamic_matmul(right), 4000 * left.type.channels**0.5)


def random_product(seed: int) -> Graph:
    """A network with one to three products of computed tensors."""
    draft = _Draft(np.random.default_rng(seed))
    values = [draft.input(draft.integer(1, 12)) for _ in range(draft.integer(1, 2))]
    values.append(draft.constant(draft.integer(1, 12)))
    for _ in range(draft.integer(1, 3)):
        left, right = (values[draft.integer(0, len(values) - 1)] for _ in range(2))
        if draft.integer(0, 3):
            left = draft.projection(left, draft.integer(1, 20))
        if draft.integer(0, 1):
            right = draft.projection(right, draft.integer(1, 20))
        values.append(draft.product(left, right))
    outputs = [values[-1]] if draft.integer(0, 1) else [values[-1], values[0]]
    return draft.builder.graph(*outputs)
