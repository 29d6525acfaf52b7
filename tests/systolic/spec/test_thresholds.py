"""The search among thresholds: what it counts, against plain counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from systolic.spec.arithmetic import search_thresholds
from systolic.spec.thresholds import codes_of_nodes

THRESHOLDS = st.integers(1 - (1 << 30), 1 << 30)


def by_node(thresholds: np.ndarray) -> np.ndarray:
    """Biases of the nodes of ascending thresholds, shape (channels, nodes)."""
    bits = thresholds.shape[1].bit_length()
    return -thresholds[:, np.array(codes_of_nodes(bits)) - 1]


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_a_tree_tests_every_code_once_and_its_middle_first(bits: int) -> None:
    codes = codes_of_nodes(bits)
    assert sorted(codes) == list(range(1, 1 << bits))
    for node in range(1, 1 << bits - 1):
        left, right = codes[2 * node - 1], codes[2 * node]
        assert left < codes[node - 1] < right
        assert left + right == 2 * codes[node - 1]


@given(st.integers(1, 4), st.booleans(), st.data())
def test_the_search_counts_the_thresholds_that_a_sum_reaches(
    bits: int, falls: bool, data: st.DataObject
) -> None:
    count = (1 << bits) - 1
    thresholds = sorted(data.draw(st.lists(THRESHOLDS, min_size=count, max_size=count)))
    near = [value + step for value in thresholds for step in (-1, 0, 1)]
    acc = np.array([*near, -(1 << 30), (1 << 30) - 1])
    reached = np.array([sum(value >= step for step in thresholds) for value in acc.tolist()])
    # A falling code is at least m where at most 2**bits - 1 - m thresholds are reached.
    bias = by_node(np.array([thresholds[::-1] if falls else thresholds]))
    codes = search_thresholds(acc[:, None], bias, np.full(bias.shape, falls))
    np.testing.assert_array_equal(codes[:, 0], count - reached if falls else reached)


def test_every_channel_has_thresholds_of_its_own() -> None:
    bias = by_node(np.array([[-3, 0, 5], [7, 7, 7]]))
    inverted = np.zeros_like(bias, dtype=np.bool_)
    codes = search_thresholds([[[-3, 6]], [[5, 7]]], bias, inverted)
    assert codes.tolist() == [[[1, 0]], [[3, 3]]]


@pytest.mark.parametrize(
    ("acc", "bias", "message"),
    [
        (1 << 31, 0, r"acc must be in -2147483648\.\.2147483647"),
        (0, 1 << 30, r"bias must be in -1073741824\.\.1073741823, not 1073741824"),
        (1 << 15, -1, r"acc \+ bias must be in -32768\.\.32767, not 32768"),
    ],
)
def test_what_the_machine_cannot_hold_is_refused(acc: int, bias: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search_thresholds([[acc], [acc]], [[bias + (acc == 1 << 15)]], [[False]], 16)
