"""Below the array: the lanes' adder tree, shift-and-add, accumulators."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from systolic.column import ColumnGroup, Merge
from tests.systolic.cycles import converts, trace

ADDR_BITS = 4
SEEDS = st.integers(0, 2**32 - 1)


@given(st.integers(1, 8), st.integers(1, 9), SEEDS)
def test_lanes_join_by_their_weights(lanes: int, psum_bits: int, seed: int) -> None:
    limit = 1 << psum_bits - 1
    sums = np.random.default_rng(seed).integers(-limit, limit, (12, lanes))
    # The ends of the range, where an adder too narrow would wrap.
    sums[:2] = [[-limit], [limit - 1]]
    dut = Merge(psum_bits=psum_bits, lanes=lanes)
    assert dut.latency == {1: 0, 2: 1, 3: 2, 4: 2}.get(lanes, 3)
    stimuli = [{"i": row} for row in sums.tolist()] + [{}] * dut.latency
    joined = [value for (value,) in trace(dut, stimuli, "o")]
    assert joined[dut.latency :] == (sums << np.arange(lanes)).sum(axis=1).tolist()


def make(*, cols: int, digit_bits: int = 2, sum_bits: int = 12, acc_bits: int = 16) -> ColumnGroup:
    """Columns whose digits' sums are 6 bits wide."""
    return ColumnGroup(
        cols=cols,
        digit_bits=digit_bits,
        merged_bits=6,
        sum_bits=sum_bits,
        acc_bits=acc_bits,
        addr_bits=ADDR_BITS,
    )


def token(*, first_digit: bool, commit: bool, first: bool, addr: int) -> dict:
    """A token as the simulator takes it."""
    return {"first_digit": first_digit, "commit": commit, "first": first, "addr": addr}


NO_TOKEN = token(first_digit=False, commit=False, first=False, addr=0)


def random_pixels(rng: np.random.Generator, cols: int) -> tuple[list[dict], dict]:
    """Pixels of one to three digits, now and then idle cycles, and the accumulators they leave."""
    stimuli, acc, busy = [], defaultdict(int), []
    for _ in range(40):
        free = [addr for addr in range(1 << ADDR_BITS) if addr not in busy[-4:]]
        addr, digits = int(rng.choice(free)), int(rng.integers(1, 4))
        first = bool(rng.integers(0, 2)) or (addr, 0) not in acc
        sums = rng.integers(-32, 32, (digits, cols)).tolist()
        for index, row in enumerate(sums):
            last = index == digits - 1
            with_it = token(first_digit=index == 0, commit=last, first=first, addr=addr)
            stimuli.append({"digit_i": row, "token_i": with_it})
        for col in range(cols):
            value = 0
            for row in sums:
                value = value * 4 + row[col]
            acc[addr, col] = value if first else acc[addr, col] + value
        busy.append(addr)
        if rng.integers(0, 4) == 0:
            stimuli.append({"digit_i": [9] * cols, "token_i": NO_TOKEN})
            busy.append(-1)
    return stimuli, acc


@settings(max_examples=25)
@given(st.sampled_from([1, 2, 4]), SEEDS)
def test_pixels_replace_or_join_what_earlier_tiles_left(cols: int, seed: int) -> None:
    stimuli, acc = random_pixels(np.random.default_rng(seed), cols)
    stimuli += [{"token_i": NO_TOKEN}] * 3
    reads = [{"drain_addr_i": addr, "drain_col_i": col} for addr, col in acc]
    rows = trace(make(cols=cols), [*stimuli, *reads, {}], "drain_o")
    assert [value for (value,) in rows[len(stimuli) + 1 :]] == list(acc.values())


def test_an_address_may_be_used_again_after_three_cycles() -> None:
    again = {
        "digit_i": [5],
        "token_i": token(first_digit=True, commit=True, first=False, addr=3),
    }
    begin = {**again, "token_i": {**again["token_i"], "first": True}}
    idle = {"token_i": NO_TOKEN, "drain_addr_i": 3}
    rows = trace(make(cols=1), [begin, idle, idle, again, idle, idle, idle, idle], "drain_o")
    assert rows[-1] == (10,)


def test_a_sum_can_be_read_three_cycles_after_its_token() -> None:
    write = {
        "digit_i": [7],
        "token_i": token(first_digit=True, commit=True, first=True, addr=1),
    }
    idle = {"token_i": NO_TOKEN, "drain_addr_i": 1}
    rows = trace(make(cols=1), [{**write, "drain_addr_i": 1}, *[idle] * 5], "drain_o")
    # Read in cycle 3, seen in cycle 4.
    assert [value for (value,) in rows[3:5]] == [0, 7]


def test_tokens_reach_the_next_group_a_cycle_later() -> None:
    tokens = [token(first_digit=True, commit=False, first=True, addr=addr) for addr in (3, 9, 1)]
    rows = trace(make(cols=1), [*({"token_i": each} for each in tokens), {}], "token_o")
    seen = [(value.first_digit, value.commit, value.first, value.addr) for (value,) in rows[1:]]
    assert seen == [tuple(each.values()) for each in tokens]


@pytest.mark.parametrize("cols", [1, 4])
def test_they_convert_to_rtlil(cols: int) -> None:
    assert converts(make(cols=cols))
    assert converts(Merge(psum_bits=4, lanes=3))
