"""The core: words and tokens in, accumulators out, everything aligned."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from systolic.core import Core
from systolic.spec.config import ArrayConfig
from tests.systolic.cycles import converts, trace

CONFIGS = (
    ArrayConfig(rows=4, cols=2, weight_bits=3, digit_bits=2, acc_depth=16),
    ArrayConfig(rows=4, cols=4, weight_bits=4, digit_bits=1, acc_depth=16, pe_cols=2),
    ArrayConfig(rows=8, cols=8, weight_bits=2, digit_bits=3, acc_depth=16, pe_cols=8),
    ArrayConfig(rows=5, cols=1, weight_bits=5, digit_bits=8, acc_depth=16, skew="registers"),
    ArrayConfig(rows=4, cols=8, weight_bits=8, digit_bits=4, acc_depth=16, pe_cols=4),
)


class Feed:
    """What the feeder would send, and the accumulators that it makes."""

    def __init__(self, config: ArrayConfig, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        self.cycles: list[dict] = []
        self.acc: dict[tuple[int, int], int] = defaultdict(int)

    def add(self, word: list[int], *, load: int = 0, commit: bool = False, **token: int) -> None:
        """Append a word; its load and token go a cycle ahead of it."""
        if not self.cycles:
            self.cycles.append({"word_i": [0] * self.config.rows})
        fields = {"first_digit": 0, "first": 0, "addr": 0, **token, "commit": commit}
        self.cycles[-1].update(load_i=load, token_i=fields)
        idle = {"load_i": 0, "token_i": {**fields, "commit": 0}}
        self.cycles.append({"word_i": word, **idle})

    def add_tile(self) -> np.ndarray:
        config = self.config
        limit = 1 << config.weight_bits - 1
        tile = self.rng.integers(-limit, limit, (config.rows, config.cols))
        for col in range(config.cols):
            for index in reversed(range(config.weight_digits)):
                digits = tile[:, col] >> config.digit_bits * index & (1 << config.digit_bits) - 1
                self.add(digits.tolist(), load=1 << col // config.pe_cols)
        return tile

    def add_pixel(self, tile: np.ndarray, addr: int, *, first: bool) -> None:
        config = self.config
        digits = int(self.rng.integers(1, config.max_digits + 1))
        words = self.rng.integers(0, 1 << config.digit_bits, (digits, config.rows))
        codes = np.zeros(config.rows, np.int64)
        for index, word in enumerate(words):
            codes = (codes << config.digit_bits) + word
            is_last = index == digits - 1
            self.add(word.tolist(), first_digit=index == 0, commit=is_last, first=first, addr=addr)
        for col, value in enumerate((codes @ tile).tolist()):
            self.acc[addr, col] = value if first else self.acc[addr, col] + value


@settings(max_examples=8)
@given(st.sampled_from(CONFIGS), st.integers(0, 2**32 - 1))
def test_tiles_follow_each_other_without_a_gap(config: ArrayConfig, seed: int) -> None:
    rng = np.random.default_rng(seed)
    feed = Feed(config, rng)
    addrs = rng.choice(2 * config.acc_depth, 6, replace=False).tolist()
    for first in (True, False, False):
        tile = feed.add_tile()
        for addr in addrs:
            feed.add_pixel(tile, addr, first=first)
    idle = config.column_latency + config.groups + 3
    cycles = feed.cycles + [{}] * idle
    reads = [{"drain_addr_i": addr, "drain_col_i": col} for addr, col in feed.acc]
    dut = Core(config)
    rows = trace(dut, [*cycles, *reads, *[{}] * dut.drain_cycles], "drain_o")
    assert [value for (value,) in rows[len(cycles) + dut.drain_cycles :]] == list(feed.acc.values())


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_groups_take_tokens_when_they_say(config: ArrayConfig) -> None:
    col = config.cols - 1
    group = col // config.pe_cols
    feed = Feed(config, np.random.default_rng(1))
    tile = feed.add_tile()
    feed.add_pixel(tile, 5, first=True)
    token_cycle = len(feed.cycles) - 2
    dut = Core(config)
    # Written in the third cycle of the group's work, read in the next.
    seen = token_cycle + config.column_latency + group + 3 + dut.drain_cycles
    cycles = [{**cycle, "drain_addr_i": 5, "drain_col_i": col} for cycle in feed.cycles]
    rows = trace(dut, cycles + [{}] * 40, "drain_o")
    assert feed.acc[5, col] != 0
    assert [value for (value,) in rows[seen - 1 : seen + 1]] == [0, feed.acc[5, col]]


def test_it_converts_to_rtlil() -> None:
    assert converts(Core(CONFIGS[1]))
