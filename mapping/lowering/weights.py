"""Weights wider than a PE: split into signed digits that are passes of their own.

A weight is ``sum(part[i] * 2**(weight_bits * (parts - 1 - i)))``, each part a two's complement
number of ``weight_bits`` bits. The drain joins the parts' sums again. Parts of one bit are -1 or 0;
there the drain subtracts all but the first, which makes the weight an ordinary two's complement
number.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mapping.errors import UnsupportedError
from mapping.lowering.weight_nodes import WeightFormMatMul
from mapping.ops import Add, Node, Weighted
from systolic.spec.config import ArrayConfig

MAX_PARTS = 8


def part_range(parts: int, weight_bits: int) -> tuple[int, int]:
    """Smallest and largest weight that ``parts`` parts of ``weight_bits`` bits can express.

    Examples
    --------
    >>> part_range(1, 8), part_range(2, 4), part_range(8, 1)
    ((-128, 127), (-136, 119), (-128, 127))
    """
    if weight_bits == 1:
        return -(1 << parts - 1), (1 << parts - 1) - 1
    ones = ((1 << weight_bits * parts) - 1) // ((1 << weight_bits) - 1)
    half = 1 << weight_bits - 1
    return -half * ones, (half - 1) * ones


def parts_needed(low: int, high: int, config: ArrayConfig) -> int:
    """Smallest number of parts for weights ``low..high``.

    Raises
    ------
    UnsupportedError
        If eight parts are not enough.
    """
    for parts in range(1, MAX_PARTS + 1):
        least, most = part_range(parts, config.weight_bits)
        if least <= low and high <= most:
            return parts
    least, most = part_range(MAX_PARTS, config.weight_bits)
    raise UnsupportedError(
        f"weights must be {least}..{most} with weight_bits {config.weight_bits}, "
        f"not {low}..{high}: use more weight_bits"
    )


def identity_parts(config: ArrayConfig) -> int:
    """Parts of a weight of 1, which copies and pools: :func:`parts_needed` of 1."""
    return parts_needed(0, 1, config)


def node_parts(node: Node, config: ArrayConfig) -> int:
    """Parts of a layer's weights, given the node that the array works on."""
    if isinstance(node, Weighted):
        return parts_needed(int(node.weights.min()), int(node.weights.max()), config)
    if isinstance(node, WeightFormMatMul):
        return node.parts
    if isinstance(node, Add):
        return parts_needed(min(node.weights), max(node.weights), config)
    return identity_parts(config)


def split_parts(weights: NDArray[np.int64], parts: int, weight_bits: int) -> NDArray[np.int64]:
    """Parts of weights, most significant first.

    Parameters
    ----------
    weights : ndarray of int64, any shape
        Within :func:`part_range`.
    parts : int
        Number of parts.
    weight_bits : int
        Bits of a part.

    Returns
    -------
    ndarray of int64, shape (parts, *weights.shape)
        Each in ``-2**(weight_bits - 1) .. 2**(weight_bits - 1) - 1``.

    Examples
    --------
    >>> split_parts(np.array([100, -100, 7]), 2, 4).tolist()
    [[6, -6, 0], [4, -4, 7]]
    """
    if weight_bits == 1:
        places = np.arange(parts - 1, -1, -1).reshape(-1, *[1] * weights.ndim)
        return -(weights.astype(np.int64) >> places & 1)
    half = 1 << weight_bits - 1
    rest, split = weights.astype(np.int64), list[NDArray[np.int64]]()
    for _ in range(parts):
        part = (rest + half & (1 << weight_bits) - 1) - half
        rest = rest - part >> weight_bits
        split.append(part)
    assert not rest.any()  # parts_needed has chosen enough of them
    return np.stack(split[::-1])


def group_columns(
    weights: NDArray[np.int64], groups: int, first: int, last: int
) -> tuple[int, NDArray[np.int64]]:
    """Dense weights of the output channels ``first .. last - 1``.

    Parameters
    ----------
    weights : ndarray of int64, shape (taps, in_channels / groups, out_channels)
        Grouped weights.
    groups : int
        Number of groups; output channels of different groups see different input channels.
    first, last : int
        Range of output channels.

    Returns
    -------
    int
        First input channel that these output channels see.
    ndarray of int64, shape (taps, input channels seen, last - first)
        With zeros where an output channel does not see an input channel.
    """
    if groups == 1:
        return 0, weights[:, :, first:last]
    taps, depth, channels = weights.shape
    per_group = channels // groups
    first_group, last_group = first // per_group, (last - 1) // per_group
    dense = np.zeros((taps, (last_group - first_group + 1) * depth, last - first), np.int64)
    for group, (start, stop) in _overlaps(first, last, per_group):
        rows = slice((group - first_group) * depth, (group - first_group + 1) * depth)
        dense[:, rows, start - first : stop - first] = weights[:, :, start:stop]
    return first_group * depth, dense


def _overlaps(first: int, last: int, per_group: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Groups that ``first .. last - 1`` touches, each with its part of the range."""
    for group in range(first // per_group, (last - 1) // per_group + 1):
        yield group, (max(first, group * per_group), min(last, (group + 1) * per_group))
