"""The input skew: each row later than the one above, wherever the delays lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from systolic.skew import Skew
from tests.systolic.cycles import converts, trace


@settings(max_examples=40)
@given(
    st.integers(2, 24),
    st.integers(1, 8),
    st.booleans(),
    st.integers(0, 31),
    st.integers(0, 2**32 - 1),
)
def test_row_r_is_r_cycles_late(
    rows: int, digit_bits: int, in_memory: bool, start: int, seed: int
) -> None:
    time_bits = (rows - 1).bit_length()
    dut = Skew(rows=rows, digit_bits=digit_bits, in_memory=in_memory, time_bits=time_bits)
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << digit_bits, (2 * rows + 5, rows)).tolist()
    stimuli = [
        {"i": word, "time_i": (start + time) % (1 << time_bits)} for time, word in enumerate(words)
    ]
    out = [word for (word,) in trace(dut, stimuli, "o")]
    for row in range(rows):
        assert [word[row] for word in out[row:]] == [
            word[row] for word in words[: len(words) - row]
        ]


@pytest.mark.parametrize("in_memory", [False, True])
def test_it_converts_to_rtlil(in_memory: bool) -> None:
    assert converts(Skew(rows=20, digit_bits=2, in_memory=in_memory, time_bits=5))
