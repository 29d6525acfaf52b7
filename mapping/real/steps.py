"""Steps of float32 arithmetic with constants: what stands between sums and their quantization.

A chain of steps is evaluated in the order and the type of its file, since every step rounds. Each
step never falls, or never rises, as its operand grows: rounding keeps that, so a chain does it too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mapping.json_records import MAX_ELEMENTS

FloatArray = NDArray[np.float32]

_OPERATIONS: Final[Mapping[str, Callable[[FloatArray, FloatArray], FloatArray]]] = MappingProxyType(
    {
        "add": np.add,
        "subtract": np.subtract,
        "multiply": np.multiply,
        "divide": np.divide,
        "maximum": np.maximum,
        "minimum": np.minimum,
    }
)


@dataclass(frozen=True)
class Step:
    """One operation on every element, its second operand constant.

    Parameters
    ----------
    kind : str
        ``add``, ``subtract``, ``multiply``, ``divide``, ``maximum`` or ``minimum``.
    values : tuple of float
        One constant for all elements or one per channel, the last axis, of at most 4,096; finite
        float32 numbers, and not 0 where they divide.

    Raises
    ------
    ValueError
        If the kind is unknown or a constant out of its range.
    """

    kind: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.kind not in _OPERATIONS:
            raise ValueError(f"a step must be one of {', '.join(_OPERATIONS)}, not {self.kind!r}")
        if len(self.values) > MAX_ELEMENTS:
            raise ValueError(
                f"a step has constants for at most {MAX_ELEMENTS} channels, not {len(self.values)}"
            )
        constants = np.array(self.values, np.float64)
        limit = float(np.finfo(np.float32).max)
        if not constants.size or not np.all(np.abs(constants) <= limit):  # also refuses NaN
            raise ValueError(f"a step to {self.kind} needs constants that are finite float32")
        if self.kind == "divide" and not np.all(constants.astype(np.float32)):
            raise ValueError("a step must not divide by 0")

    def __call__(self, values: FloatArray) -> FloatArray:
        """Result for operands of shape (..., channels)."""
        return _OPERATIONS[self.kind](values, np.array(self.values, np.float32))


def apply_steps(steps: tuple[Step, ...], values: FloatArray) -> FloatArray:
    """Results of a chain of steps, one after the other.

    Parameters
    ----------
    steps : tuple of Step
        The chain.
    values : ndarray of float32, shape (..., channels)
        Its operands.

    Returns
    -------
    ndarray of float32
        Of the same shape; infinite where a step overflows.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for step in steps:
            values = step(values)
    return values
