"""From the float32 scales of ONNX Runtime's kernels to requantizations that round as they do.

Kernels on integers (QLinearConv ...) multiply a 32-bit sum with one float32 and round half to even:
:class:`mapping.ops.RequantizeOnnx` does the same. Float operators between DequantizeLinear and
QuantizeLinear round every product and every sum, in an order that depends on the machine. What
they give is a function of the integers alone only where no order of adding moves a sum across a
tie: then the requantization is compared with it for every sum that can occur. Elsewhere the result
is that of the integer kernel that ONNX Runtime itself puts in their place (unless told not to), and
the node is noted as not proven. Additions of two activations have few enough inputs to try them
all.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from math import frexp
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mapping.builder import Value
from mapping.fixed_point import IntArray
from mapping.importers.errors import RefusedError
from mapping.importers.exact_sums import (
    FixedRounding,
    nearest_weights,
    search_weights,
    weight_pairs,
)
from mapping.importers.onnx.records import Node
from mapping.importers.onnx.values import Codes, FloatArray, Grid, Pairs, Sums
from mapping.importers.onnx.walk import Walk
from systolic.spec.arithmetic import requantize_onnx

FLOAT_BITS: Final = 24
"""Precision of float32: integers of up to ``2**24`` are exact."""

OTHER_ROUNDINGS: Final = 8
"""Of a term besides those of adding: both operands, their product, the scale taken here in its
place, a mean's reciprocal and product, the quotient, and one for the products of all these."""

MAX_ACC: Final = (1 << 31) - 1
SIMPLE_RATIOS: Final = 24
MAX_TIES: Final = 32
"""Pairs near a tie, at most: one or two occur."""

NEIGHBOURS: Final = (0, 1, -1, 2, -2)
"""Factors to try, in units of the last place from the nearest."""

ROUNDED_SUMS: Final = "float32 rounds within sums: next to ties it may give one step more or less"
ROUNDED_QUOTIENTS: Final = "float32's division rounds some sums to one step more or less"

Rounder = Callable[[IntArray], IntArray]


def odd_part(scale: float) -> int:
    """Mantissa of a scale as an odd integer: 1 for a power of two."""
    mantissa = int(frexp(scale)[0] * (1 << 53))
    return mantissa // (mantissa & -mantissa)


def float32_error(terms: int, scales: FloatArray, other: float, bounds: IntArray) -> float:
    """By how much float32 may change a sum of products, in any order: a share of ``bounds``.

    Nothing, if all partial sums are whole multiples of one unit, the product of both scales' last
    bits, with at most 24 bits. Otherwise each rounding changes what went into it by at most one
    part in ``2**24``, and a term goes through one rounding per addition behind it (Higham, Accuracy
    and Stability of Numerical Algorithms, section 4.2).

    Parameters
    ----------
    terms : int
        Numbers that are added.
    scales : ndarray of float32, shape (1,) or (channels,)
        Scales of the weights.
    other : float
        Scale of the activations.
    bounds : ndarray of int64, shape (1,) or (channels,)
        Sum of the magnitudes of all terms, in steps of both scales.
    """
    units = np.array([odd_part(float(scale)) for scale in scales], np.float64) * odd_part(other)
    if np.all(units * bounds <= 1 << FLOAT_BITS):
        return 0.0
    return (terms + OTHER_ROUNDINGS) * 2.0**-FLOAT_BITS


def requantize_sums(walk: Walk, node: Node, sums: Sums, grid: Grid) -> Codes:
    """Activations of sums that a float operator gives, on the grid of a QuantizeLinear."""
    low, high = (int(q) for q in grid.quantize(np.array([sums.low, sums.high])))
    step = np.float32(grid.scale)
    factors: FloatArray = sums.scales / (step * np.float32(sums.divisor))
    found = _equal_factors(sums, grid, factors, low, high)
    if found is None:
        walk.doubt(node, ROUNDED_SUMS if sums.error else ROUNDED_QUOTIENTS)
    factors = factors if found is None else found
    return Codes(requantized(sums.acc, factors, grid, (low, high)), sums.index)


def requantized(
    acc: Value, factors: FloatArray, grid: Grid, clamp: tuple[int, int] | None = None
) -> Value:
    """Append a requantization, with one scale if all are the same."""
    unique = np.unique(factors)
    scale = (unique if unique.size == 1 else factors).astype(np.float32)
    return acc.requantize_onnx(scale, grid.element, clamp=clamp)


def _equal_factors(
    sums: Sums, grid: Grid, factors: FloatArray, low: int, high: int
) -> FloatArray | None:
    """Factors that round every possible sum as the float operators must, or None."""
    scales, bounds = np.broadcast_arrays(sums.scales, sums.bounds)
    if bounds.max() > MAX_ACC:
        return None  # the compiler looks at the sums that can really occur
    levels = np.arange(low - grid.zero_point + 1, high - grid.zero_point + 1)

    def exact(acc: IntArray) -> IntArray:
        real = acc.astype(np.float32) * scales[:, np.newaxis] / np.float32(sums.divisor)
        return _rounded(real / np.float32(grid.scale))

    def moved(acc: IntArray, share: float) -> IntArray:
        real = (acc + share * bounds[:, np.newaxis]) * scales[:, np.newaxis].astype(np.float64)
        return _rounded(real / sums.divisor / grid.scale)

    if sums.error:
        wanted = _steps(partial(moved, share=sums.error), levels, bounds)
        if not np.array_equal(wanted, _steps(partial(moved, share=-sums.error), levels, bounds)):
            return None
    else:
        wanted = _steps(exact, levels, bounds)
    result = np.broadcast_to(factors, scales.shape).copy()
    wrong = np.arange(len(scales))
    for neighbour in NEIGHBOURS:
        # The bits of positive numbers are in their order.
        trial = (factors.view(np.int32) + np.int32(neighbour)).view(np.float32)
        result[wrong] = np.broadcast_to(trial, scales.shape)[wrong]
        factor = result[wrong, np.newaxis]
        given = _steps(partial(requantize_onnx, scale=factor), levels, bounds[wrong])
        wrong = wrong[np.any(given != wanted[wrong], axis=1)]
        if not wrong.size:
            return result
    return None


def _rounded(steps: NDArray[Any]) -> IntArray:
    """Nearest integers, halves to even; far beyond every level they are held."""
    return np.clip(np.rint(steps).astype(np.float64), -MAX_ACC, MAX_ACC).astype(np.int64)


def _steps(rounder: Rounder, levels: IntArray, bounds: IntArray) -> IntArray:
    """Smallest sum of at least each level, shape (channels, levels); the bound + 1 if none is."""
    shape = (len(bounds), len(levels))
    low = np.broadcast_to(-bounds[:, np.newaxis] - 1, shape).copy()
    high = np.broadcast_to(bounds[:, np.newaxis] + 1, shape).copy()
    while np.any(high - low > 1):
        middle = (low + high) >> 1
        is_reached = rounder(middle) >= levels
        high = np.where(is_reached, middle, high)
        low = np.where(is_reached, low, middle)
    return high


def add_pairs(walk: Walk, node: Node, pairs: Pairs, grid: Grid) -> Codes:
    """Activations of a sum of two, or of a function of it."""
    left, right = pairs.left.grid, pairs.right.grid
    assert left is not None  # else it would not be a pair
    assert right is not None
    operands, scales = (pairs.left.codes, pairs.right.codes), (left.scale, right.scale)
    return add_codes(walk, node, operands, scales, grid.quantize(pairs.table), grid)


def add_codes(
    walk: Walk,
    node: Node,
    operands: tuple[Codes, Codes],
    scales: tuple[float, float],
    wanted: IntArray,
    grid: Grid,
) -> Codes:
    """Weighted sum of two activations that gives ``wanted``, for every pair if there is a way.

    In one of fifty cases there is none: float32 rounds two pairs that are next to a tie in ways
    that no linear function has. Then the sum is rounded correctly, and the node noted.

    Parameters
    ----------
    walk : Walk
        Takes the note.
    node : Node
        What is imported.
    operands : tuple of Codes
        Left and right, of one shape and order.
    scales : tuple of float
        Theirs; weights in nearly this ratio are tried.
    wanted : ndarray of int64, shape (left codes, right codes)
        Results on the grid.
    grid : Grid
        Of the result.

    Raises
    ------
    RefusedError
        If the operands lie in different orders.
    """
    left, right = operands
    if left.value.type.shape != right.value.type.shape or not np.array_equal(
        left.index, right.index
    ):
        raise RefusedError("its inputs must have one shape and lie in one order")
    columns = np.meshgrid(*(codes.centred() for codes in operands), indexing="ij")
    pairs = np.stack(columns).reshape(2, -1)
    results = wanted.ravel() - grid.zero_point
    low, high = int(results.min()), int(results.max())
    clamp = low + grid.zero_point, high + grid.zero_point
    for weights in islice(weight_pairs(*scales), SIMPLE_RATIOS):
        factor = np.float32(max(scales) / (int(weights.max()) * grid.scale))
        if np.array_equal(np.clip(requantize_onnx(weights @ pairs, factor), low, high), results):
            total = left.value.add(right.value, (int(weights[0]), int(weights[1])), name=node.label)
            return Codes(total.requantize_onnx(factor, grid.element, clamp=clamp), left.index)
    exact = (np.array(scales) @ pairs) / grid.scale
    rounding = FixedRounding(0, low, high)
    found = search_weights(pairs, results, exact, weight_pairs(*scales), (rounding,))
    if found is None:
        found = nearest_weights(*scales, grid.scale)
        count = rounding.wrong(found, pairs, results).size
        if count > MAX_TIES:
            raise RefusedError("only a sum of two activations, perhaps clamped, is supported")
        walk.doubt(
            node, f"float32 rounds {count} of {results.size:,} pairs to one step more or less"
        )
    total = left.value.add(right.value, found.weights, name=node.label)
    fixed = total.requantize_fixed(found.scale.multiplier, grid.element, clamp=clamp)
    return Codes(fixed, left.index)
