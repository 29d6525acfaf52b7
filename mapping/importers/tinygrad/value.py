"""Values on the way from tinygrad's operations to a requantization.

tinygrad has no quantized types: a scale is written as ``(sums * factor + offset) >> shift``, a
saturation as comparisons, and a cast to 8 bits ends it. A :class:`Value` keeps these apart from the
sums, and :meth:`Value.quantized` makes one requantization of them: with the half that rounds,
``(s * f + 2**(n - 1)) >> n`` is what the requantizer does with the multiplier ``f * 2**(47 - n)``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mapping.ops import ActType
from mapping.tensor import Tensor
from mapping.tensor.expression import Buffer
from systolic.spec.rounding import FRACTION_BITS


class TinygradError(ValueError):
    """A tinygrad tensor that cannot be imported; the message names the operation."""


@dataclass(frozen=True)
class Value:
    """``clip((tensor * factor + offset) >> shift, floor, ceiling)``.

    Parameters
    ----------
    tensor : Tensor
        Activations, sums or constants.
    low, high : int
        What the value can be, at least and at most.
    factor, offset, shift : int
        Not yet applied; the factor is positive.
    floor, ceiling : int or None
        Clamps that are not yet applied.
    """

    tensor: Tensor
    low: int
    high: int
    factor: int = 1
    offset: int = 0
    shift: int = 0
    floor: int | None = None
    ceiling: int | None = None

    @classmethod
    def of(cls, tensor: Tensor, low: int | None = None, high: int | None = None) -> "Value":
        """Value of a tensor; the range of constants and activations is known."""
        if isinstance(tensor.expression, Buffer):
            values = tensor.expression.values
            return cls(tensor, int(values.min()), int(values.max()))
        if isinstance(tensor.element, ActType):
            return cls(tensor, tensor.element.q_min, tensor.element.q_max)
        assert low is not None  # sums bring their range along
        assert high is not None
        return cls(tensor, low, high)

    @property
    def is_constant(self) -> bool:
        """Whether nothing is left to compute."""
        return self.tensor.element is None

    @property
    def is_clamped(self) -> bool:
        """Whether it has to be clamped yet."""
        return self.floor is not None or self.ceiling is not None

    @property
    def is_plain(self) -> bool:
        """Whether it is its tensor."""
        is_scaled = (self.factor, self.offset, self.shift) != (1, 0, 0)
        return not (is_scaled or self.is_clamped)

    @property
    def scalar(self) -> int | None:
        """The one constant that all elements are."""
        return self.low if self.is_constant and self.low == self.high else None

    def exact(self, what: str) -> Tensor:
        """Tensor with factor and offset applied, for an operation that works on elements."""
        if self.shift or self.is_clamped:
            raise TinygradError(
                f"tinygrad {what}: works on numbers that are shifted or clamped, but not yet cast "
                "to 8 bits: cast them first"
            )
        scaled = self.tensor * self.factor if self.factor > 1 else self.tensor
        return scaled + self.offset if self.offset else scaled

    def plus(self, number: int) -> "Value":
        """The value and a number."""
        moved = self._mapped(lambda end: end + number)
        return replace(moved, offset=self.offset + (number << self.shift))

    def times(self, number: int) -> "Value":
        """The value times a positive number, before any shift."""
        scaled = self._mapped(lambda end: end * number)
        return replace(scaled, factor=self.factor * number, offset=self.offset * number)

    def shifted(self, bits: int) -> "Value":
        """The value divided by ``2**bits``, rounded down."""
        return replace(self._mapped(lambda end: end >> bits), shift=self.shift + bits)

    def _mapped(self, function: Callable[[int], int]) -> "Value":
        """Range and clamps after a function that never falls."""
        return replace(
            self,
            low=function(self.low),
            high=function(self.high),
            floor=None if self.floor is None else function(self.floor),
            ceiling=None if self.ceiling is None else function(self.ceiling),
        )

    def at_least(self, floor: int) -> "Value":
        """The larger of the value and a number; of activations, at once."""
        if floor <= self.low:
            return self
        if self.is_plain and isinstance(self.tensor.element, ActType):
            held = replace(self, tensor=self.tensor.clip(floor, None))
        else:
            held = replace(self, floor=floor)
            held = replace(held, ceiling=None if self.ceiling is None else max(floor, self.ceiling))
        return replace(held, low=floor, high=max(self.high, floor))

    def at_most(self, ceiling: int) -> "Value":
        """The smaller of the value and a number; of activations, at once."""
        if ceiling >= self.high:
            return self
        if self.is_plain and isinstance(self.tensor.element, ActType):
            held = replace(self, tensor=self.tensor.clip(None, ceiling))
        else:
            held = replace(self, ceiling=ceiling)
            held = replace(held, floor=None if self.floor is None else min(self.floor, ceiling))
        return replace(held, low=min(self.low, ceiling), high=ceiling)

    def quantized(self, element: ActType) -> "Value":
        """Activations of the value, which fits their type."""
        half = 1 << self.shift >> 1
        bias, rest = divmod(self.offset - half, self.factor)
        if rest:
            raise TinygradError(
                f"tinygrad SHR: rounds with {self.offset} for a factor of {self.factor}: add "
                f"{half}, half of what is divided by, and any multiple of the factor"
            )
        if self.shift > FRACTION_BITS or self.factor >= 2 << self.shift:
            raise TinygradError(
                f"tinygrad SHR: the scale {self.factor} / 2**{self.shift} must be below 2 and the "
                f"shift at most {FRACTION_BITS}"
            )
        sums = self.tensor + bias if bias else self.tensor
        multiplier = self.factor << FRACTION_BITS - self.shift
        result = Value.of(sums.requantize_fixed(multiplier, 0, element.bits, element.signed))
        if self.floor is not None:
            result = result.at_least(self.floor)
        if self.ceiling is not None:
            result = result.at_most(self.ceiling)
        return replace(result, low=self.low, high=self.high)
