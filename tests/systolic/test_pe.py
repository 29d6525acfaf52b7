# amaranth: UnusedElaboratable=no
"""The processing element: its equation, its weights, what it passes on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from systolic.pe import PE
from tests.systolic.cycles import converts, trace


def make(*, cols: int = 1, weight_bits: int = 4, digit_bits: int = 2, extra_bits: int = 3) -> PE:
    """A PE whose sums have room for a few weights."""
    return PE(
        cols=cols,
        weight_bits=weight_bits,
        digit_bits=digit_bits,
        psum_i_bits=weight_bits + extra_bits - 1,
        psum_o_bits=weight_bits + extra_bits,
    )


def weight_digits(weight: int, weight_bits: int, digit_bits: int) -> list[int]:
    """Digits of a two's complement weight, most significant first, sign-extended."""
    count = -(-weight_bits // digit_bits)
    return [
        weight >> digit_bits * index & (1 << digit_bits) - 1 for index in reversed(range(count))
    ]


@given(st.integers(1, 4), st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_sums_grow_by_the_weight_where_the_bit_is_set(
    cols: int, weight_bits: int, digit_bits: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dut = make(cols=cols, weight_bits=weight_bits, digit_bits=digit_bits)
    limit, room = 1 << weight_bits - 1, 1 << weight_bits + 1
    weights = rng.integers(-limit, limit, cols).tolist()
    load = [
        {"load_i": 1, "act_i": digit}
        for weight in weights
        for digit in weight_digits(weight, weight_bits, digit_bits)
    ]
    acts = rng.integers(0, 1 << digit_bits, 6).tolist()
    above = rng.integers(-room, room, (6, cols, digit_bits)).tolist()
    stream = [
        {"load_i": 0, "act_i": act, "psum_i": psums} for act, psums in zip(acts, above, strict=True)
    ]
    rows = trace(dut, [*load, *stream, {}], "psum_o")
    for cycle, (act, psums) in enumerate(zip(acts, above, strict=True), len(load) + PE.LATENCY):
        expected = [
            [psum + (weight if act >> lane & 1 else 0) for lane, psum in enumerate(lanes)]
            for weight, lanes in zip(weights, psums, strict=True)
        ]
        assert rows[cycle] == (expected,)


def test_digits_and_load_tokens_pass_a_cycle_later() -> None:
    acts, loads = [3, 0, 1, 2, 3, 1], [1, 0, 0, 1, 1, 0]
    cycles = [{"act_i": act, "load_i": load} for act, load in zip(acts, loads, strict=True)]
    rows = trace(make(), [*cycles, {}], "act_o", "load_o")
    assert rows[PE.LATENCY :] == list(zip(acts, loads, strict=True))


def test_weights_stay_while_nothing_is_loaded() -> None:
    cycles = [{"load_i": 1, "act_i": 1}, {"load_i": 1, "act_i": 2}, {"load_i": 0}]
    cycles += [{"act_i": act} for act in (0, 3, 3, 0, 1, 2)]
    rows = trace(make(), [*cycles, {}], "psum_o")
    lanes = [psums[0][0] for psums in rows[-6:]]
    assert lanes == [[0, 0], [6, 6], [6, 6], [0, 0], [6, 0], [0, 6]]


def test_a_new_weight_counts_from_the_cycle_after_its_last_digit() -> None:
    cycles = [{"load_i": 1, "act_i": 3}, {"act_i": 3}, {"load_i": 0, "act_i": 1}, {}]
    rows = trace(make(), cycles, "psum_o")
    assert rows[3][0] == [[-1, 0]]


@pytest.mark.parametrize(("psum_i_bits", "psum_o_bits"), [(4, 3), (6, 5)])
def test_sums_too_narrow_are_refused(psum_i_bits: int, psum_o_bits: int) -> None:
    message = rf"at least weight_bits \(4\) and psum_i_bits \({psum_i_bits}\), not {psum_o_bits}"
    with pytest.raises(ValueError, match=message):
        PE(cols=1, weight_bits=4, digit_bits=1, psum_i_bits=psum_i_bits, psum_o_bits=psum_o_bits)


def test_it_converts_to_rtlil() -> None:
    assert converts(make(cols=2))
