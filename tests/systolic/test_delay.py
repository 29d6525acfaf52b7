# amaranth: UnusedElaboratable=no
"""Delay lines in registers and in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systolic.delay import DelayLine, DelayMemory
from tests.systolic.cycles import converts, trace

WORDS = st.lists(st.integers(0, 31), min_size=1, max_size=60)


@given(st.integers(0, 9), WORDS)
def test_a_line_gives_words_back_after_its_cycles(cycles: int, words: list[int]) -> None:
    stimuli = [{"i": word} for word in [*words, *[0] * cycles]]
    rows = trace(DelayLine(width=5, cycles=cycles), stimuli, "o")
    assert [word for (word,) in rows[cycles:]] == words


@given(st.integers(1, 4), st.data(), WORDS)
def test_a_ring_gives_words_back_after_its_cycles(
    time_bits: int, draw: st.DataObject, words: list[int]
) -> None:
    cycles = draw.draw(st.integers(2, 1 << time_bits))
    start = draw.draw(st.integers(0, (1 << time_bits) - 1))
    stimuli = [
        {"i": word, "time_i": (start + time) % (1 << time_bits)}
        for time, word in enumerate([*words, *[0] * cycles])
    ]
    rows = trace(DelayMemory(width=5, cycles=cycles, time_bits=time_bits), stimuli, "o")
    assert [word for (word,) in rows[cycles:]] == words


@pytest.mark.parametrize("cycles", [0, 1, 9])
def test_delays_that_do_not_fit_the_ring_are_refused(cycles: int) -> None:
    with pytest.raises(ValueError, match=f"cycles must be between 2 and 8, not {cycles}"):
        DelayMemory(width=4, cycles=cycles, time_bits=3)


def test_they_convert_to_rtlil() -> None:
    assert converts(DelayLine(width=3, cycles=2))
    assert converts(DelayMemory(width=3, cycles=2, time_bits=3))
