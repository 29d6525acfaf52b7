"""The offset table: a pattern is found wherever its distances already are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mapping.program.rules import ADDRESS_SPACE
from mapping.scheduling.offsets import OffsetTable


def test_a_run_of_the_same_distances_is_found() -> None:
    table = OffsetTable()
    start = table.place(np.array([0, 2, 4, 10, 12]))
    assert table.find(np.array([0, 2])) == start
    assert table.find(np.array([0, 6, 8])) == start + 2
    assert table.find(np.array([0, 2, 5])) is None
    assert table.value(start + 3) == 10


def test_nothing_is_found_where_nothing_was_loaded() -> None:
    table = OffsetTable()
    assert table.find(np.array([0])) is None
    table.place(np.array([0, 1]))
    assert table.find(np.array([0, 1, 2])) is None


@given(st.lists(st.lists(st.integers(0, 999), min_size=1, max_size=200), min_size=1, max_size=9))
def test_what_is_found_is_there_and_the_newest_pattern_always_is(rows: list[list[int]]) -> None:
    table = OffsetTable()
    contents = np.full(256, -1)
    for row in rows:
        pattern = np.array([0, *row])
        start = table.find(pattern)
        if start is None:
            start = table.place(pattern)
            contents[start : start + len(pattern)] = pattern
        entries = contents[start : start + len(pattern)]
        assert entries.min() >= 0
        np.testing.assert_array_equal((entries - entries[0]) % ADDRESS_SPACE, pattern)
