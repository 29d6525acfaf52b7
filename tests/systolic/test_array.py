"""The grid: skewed digits in, column sums out, groups one cycle apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from systolic.array import Array
from tests.systolic.cycles import converts, trace


def psum_bits(rows: int, weight_bits: int) -> tuple[int, ...]:
    """Enough for the sums below each row."""
    return tuple(weight_bits + row.bit_length() for row in range(rows))


def skewed(words: np.ndarray, cycle: int) -> list[int]:
    """Row r's digit of the word that row 0 saw r cycles ago."""
    rows = words.shape[1]
    return [
        int(words[cycle - row, row]) if 0 <= cycle - row < len(words) else 0 for row in range(rows)
    ]


def run_array(dut: Array, words: np.ndarray, loads: np.ndarray, cycles: int) -> list:
    """Feed words and their load tokens (by group), collect the sums of every cycle."""
    groups = loads.shape[1]
    stimuli = []
    for cycle in range(cycles):
        tokens = 0
        for group in range(groups):
            if 0 <= cycle - group < len(loads):
                tokens |= int(loads[cycle - group, group]) << group
        stimuli.append({"act_i": skewed(words, cycle), "load_i": tokens})
    return [sums for (sums,) in trace(dut, stimuli, "psum_o")]


@settings(max_examples=30)
@given(
    st.integers(2, 6),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
)
def test_columns_add_the_weights_of_set_bits(
    rows: int, groups: int, pe_cols: int, weight_bits: int, digit_bits: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dut = Array(
        groups=groups,
        pe_cols=pe_cols,
        weight_bits=weight_bits,
        digit_bits=digit_bits,
        psum_bits=psum_bits(rows, weight_bits),
    )
    count, limit = -(-weight_bits // digit_bits), 1 << weight_bits - 1
    tiles = rng.integers(-limit, limit, (2, rows, groups * pe_cols))
    words, loads, expected = [], [], {}
    for tile in tiles:
        for col in range(groups * pe_cols):
            for index in reversed(range(count)):
                words.append(tile[:, col] >> digit_bits * index & (1 << digit_bits) - 1)
                loads.append([group == col // pe_cols for group in range(groups)])
        for _ in range(3):
            word = rng.integers(0, 1 << digit_bits, rows)
            bits = word[:, None] >> np.arange(digit_bits) & 1
            # Column by lane.
            expected[len(words)] = (tile.T @ bits).reshape(groups, pe_cols, digit_bits)
            words.append(word)
            loads.append([0] * groups)
    cycles = len(words) + dut.latency + groups
    rows_out = run_array(dut, np.array(words), np.array(loads), cycles)
    assert dut.latency == rows
    for cycle, sums in expected.items():
        for group in range(groups):
            assert rows_out[cycle + dut.latency + group][group] == sums[group].tolist()


@pytest.mark.parametrize("pe_cols", [1, 2])
def test_it_converts_to_rtlil(pe_cols: int) -> None:
    assert converts(
        Array(groups=2, pe_cols=pe_cols, weight_bits=3, digit_bits=2, psum_bits=(3, 4, 5))
    )
