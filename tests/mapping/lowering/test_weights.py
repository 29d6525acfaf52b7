"""Weight parts and groups: exact for every weight, refused beyond eight parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.errors import UnsupportedError
from mapping.lowering.weights import group_columns, part_range, parts_needed, split_parts
from systolic.spec.config import ArrayConfig


@pytest.mark.parametrize("weight_bits", range(1, 9))
@pytest.mark.parametrize("parts", range(1, 9))
def test_parts_add_up_to_the_weight_and_fit_a_pe(weight_bits: int, parts: int) -> None:
    low, high = np.clip(part_range(parts, weight_bits), -(1 << 40), 1 << 40)
    weights = np.unique(np.linspace(low, high, 999).round().astype(np.int64))
    split = split_parts(weights, parts, weight_bits)
    half = 1 << weight_bits - 1
    assert split.min() >= -half
    assert split.max() < half
    places = 2 ** (weight_bits * np.arange(parts - 1, -1, -1))  # modulo 2**64, which is enough
    if weight_bits == 1:
        places[1:] *= -1  # the drain subtracts them
    np.testing.assert_array_equal(places @ split, weights)


@given(st.integers(2, 8), st.integers(-(1 << 15), (1 << 15) - 1))
def test_no_fewer_parts_would_do(weight_bits: int, weight: int) -> None:
    config = ArrayConfig(weight_bits=weight_bits)
    try:
        parts = parts_needed(weight, weight, config)
    except UnsupportedError:
        assert weight > part_range(8, weight_bits)[1]
        return
    assert part_range(parts, weight_bits)[0] <= weight <= part_range(parts, weight_bits)[1]
    if parts > 1:
        low, high = part_range(parts - 1, weight_bits)
        assert not low <= weight <= high


def test_one_bit_parts_make_twos_complement_weights_of_8_bits_at_most() -> None:
    config = ArrayConfig(weight_bits=1)
    ranges = [(-1, 0), (-1, 1), (-128, 127)]
    assert [parts_needed(*limits, config) for limits in ranges] == [1, 2, 8]
    with pytest.raises(UnsupportedError, match=r"weights must be -128\.\.127 with weight_bits 1"):
        parts_needed(0, 128, config)


@given(
    groups=st.integers(1, 4),
    depth=st.integers(1, 3),
    per_group=st.integers(1, 4),
    data=st.data(),
)
def test_group_columns_equal_the_block_diagonal_matrix(
    groups: int, depth: int, per_group: int, data: st.DataObject
) -> None:
    channels = groups * per_group
    weights = np.arange(1, 2 * depth * channels + 1).reshape(2, depth, channels)
    dense = np.zeros((2, groups * depth, channels), np.int64)
    for group in range(groups):
        rows = slice(group * depth, (group + 1) * depth)
        cols = slice(group * per_group, (group + 1) * per_group)
        dense[:, rows, cols] = weights[:, :, cols]
    first = data.draw(st.integers(0, channels - 1))
    last = data.draw(st.integers(first + 1, channels))
    start, columns = group_columns(weights, groups, first, last)
    seen = dense[:, start : start + columns.shape[1], first:last]
    np.testing.assert_array_equal(columns, seen)
    assert dense[:, :, first:last].sum() == seen.sum()  # nothing outside is left out
