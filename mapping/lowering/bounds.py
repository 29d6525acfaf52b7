"""The proof that no accumulator overflows, from the actual weights and the codes that can occur.

Codes are never negative, so whatever has been added so far, a sum lies between the sum of all
negative products and the sum of all positive ones: the bound holds at every point of the
accumulation, in every order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapping.errors import OverflowProofError
from mapping.lowering.operand import Operand
from mapping.lowering.weights import split_parts
from systolic.spec.config import ArrayConfig

BIAS_BITS = 32


@dataclass(frozen=True)
class Bounds:
    """What the requantizer's input (sum and bias) can be.

    Parameters
    ----------
    low, high : ndarray of int64, shape (channels,)
        Smallest and largest value.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @property
    def magnitude(self) -> NDArray[np.int64]:
        """Largest absolute value per channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


def prove_bounds(
    name: str,
    operands: Sequence[Operand],
    ranges: Sequence[tuple[int, int]],
    bias: NDArray[np.int64],
    parts: int,
    config: ArrayConfig,
) -> Bounds:
    """Bounds of a layer's results, once it is proved that nothing overflows.

    Parameters
    ----------
    name : str
        The layer, for the message.
    operands : sequence of Operand
        What is summed.
    ranges : sequence of (int, int)
        Smallest and largest code of each operand.
    bias : ndarray of int64, shape (channels,)
        Folded bias.
    parts : int
        Parts per weight; each has accumulators of its own.
    config : ArrayConfig
        Gives ``acc_bits``.

    Raises
    ------
    OverflowProofError
        If a bias, a part's accumulator or the joined sum does not fit.
    """
    _check(name, bias, bias, BIAS_BITS, "the bias with offsets folded in")
    low, high = bias.copy(), bias.copy()
    least, most = np.zeros_like(bias), np.zeros_like(bias)
    part_low = np.zeros((parts, len(bias)), np.int64)
    part_high = np.zeros((parts, len(bias)), np.int64)
    for operand, (code_low, code_high) in zip(operands, ranges, strict=True):
        negative, positive = _sums(operand)
        if operand.computed is None:
            low += positive * code_low + negative * code_high
            high += positive * code_high + negative * code_low
        else:
            added = operand.computed.bounds((code_low, code_high))
            low, high = low + added[0], high + added[1]
        least += negative * code_high
        most += positive * code_high
        part_negative, part_positive = _part_sums(operand, parts, config.weight_bits)
        part_low += part_negative * code_high
        part_high += part_positive * code_high
    for part in range(parts):
        what = "the accumulator" if parts == 1 else f"the accumulator of weight part {part}"
        _check(name, part_low[part], part_high[part], config.acc_bits, what)
    _check(name, least, most, config.acc_bits, "the sum of all weight parts")
    _check(name, low, high, config.acc_bits, "the sum with bias")
    return Bounds(low, high)


def _sums(operand: Operand) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sum of the negative and of the positive weights of each channel; at worst, if computed."""
    computed, weights = operand.computed, operand.weights
    if computed is not None:
        ends = (min(computed.low, 0), max(computed.high, 0))
        negative, positive = (np.full(weights.shape[2], end * computed.depth) for end in ends)
        return negative, positive
    return np.minimum(weights, 0).sum(axis=(0, 1)), np.maximum(weights, 0).sum(axis=(0, 1))


def _part_sums(
    operand: Operand, parts: int, weight_bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As :func:`_sums` for each part, shape (parts, channels)."""
    computed, weights = operand.computed, operand.weights
    if computed is not None:
        split = split_parts(np.arange(computed.low, computed.high + 1), parts, weight_bits)
        ends = (np.minimum(split.min(axis=1), 0), np.maximum(split.max(axis=1), 0))
        negative, positive = (
            np.repeat(end[:, None] * computed.depth, weights.shape[2], axis=1) for end in ends
        )
        return negative, positive
    split = split_parts(weights, parts, weight_bits)
    return np.minimum(split, 0).sum(axis=(1, 2)), np.maximum(split, 0).sum(axis=(1, 2))


def _check(
    name: str, low: NDArray[np.int64], high: NDArray[np.int64], bits: int, what: str
) -> None:
    limit = (1 << bits - 1) - 1
    magnitude = np.maximum(np.abs(low), np.abs(high))
    worst = int(magnitude.argmax())
    if magnitude[worst] > limit:
        raise OverflowProofError(name, worst, int(magnitude[worst]), limit, what)
