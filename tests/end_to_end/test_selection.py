"""How soon after a load another one may take other rows' weights: neither sooner nor later."""

from typing import Any

import numpy as np
import pytest

from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Diagonal, Drain, Load, LoadTarget, Matmul, Output, Store, Sync
from systolic.spec.layout import (
    pack_diagonal,
    pack_instructions,
    pack_parameters,
    pack_units,
    pack_weights,
)
from systolic.spec.rounding import FRACTION_BITS


def array(**parameters: Any) -> ArrayConfig:
    return ArrayConfig(diagonal=True, scratchpad_words=2048, acc_bits=28, **parameters)


CONFIGS = (
    array(pe_cols=4),
    array(pe_cols=2, skew="registers"),
    array(pe_cols=1, weight_bits=5),
    array(rows=32, cols=4, weight_bits=4, digit_bits=2, skew="registers"),
    array(rows=32, cols=8, weight_bits=4, digit_bits=4, pe_cols=2),
    array(rows=64, cols=4, weight_bits=2, digit_bits=2, pe_cols=2),
)
CODES, RESULTS, CONSTANTS = 0, 128, 1024
SEEDS = 8


def program(config: ArrayConfig, cycles: int, *, is_whole: bool, seed: int) -> tuple[bytes, int]:
    """Scratchpad and entry of two loads, the second one so many cycles after the first.

    All accumulators of the last drain are stored; their lowest bits tell.
    """
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (config.scratchpad_words, config.word_bytes), dtype=np.uint8)
    free = CONSTANTS

    def place(data: bytes) -> int:
        nonlocal free
        free += -free % config.constant_step
        words = np.frombuffer(data, np.uint8).reshape(-1, config.word_bytes)
        image[free : free + len(words)] = words
        free += len(words)
        return free - len(words)

    pixels = cycles - config.weight_cycles - config.fetch_cycles
    assert 0 < pixels <= config.acc_depth
    limit = 1 << config.weight_bits - 1
    columns = [pack_diagonal(rng.integers(1, limit, config.rows), config) for _ in range(2)]
    tile = pack_weights(rng.integers(1, limit, (config.rows, config.cols)), config)
    channels = [(0, 1 << FRACTION_BITS, 0)] * config.cols
    stream = {"half": 0, "digits": 1, "count": pixels, "base": 0}
    # The last band has the last row, which takes its weights last of all.
    first = Diagonal(first=1, band=config.bands - 1, weights=place(columns[0]), **stream)
    if is_whole:
        second = Matmul(first=0, weights=place(tile), **stream)
    else:
        second = Diagonal(first=0, band=0, weights=place(columns[1]), **stream)
    digits, stored = config.max_digits, min(pixels, 64)
    offsets = [*(CODES + np.arange(64)), *(RESULTS + digits * np.arange(64))]
    code = [
        Load(target=LoadTarget.OFFSETS, count=128, addr=place(pack_units(offsets, config))),
        Load(target=LoadTarget.PARAMETERS, count=config.cols,
             addr=place(pack_parameters(channels, config))),
        first, second,
        Output(digits=digits, zero=128, lo=0, hi=255),
        Drain(half=0, count=stored, cols=config.cols), Sync(halt=0),
        Store(digits=digits, count=stored, start=64, base=0), Sync(halt=1),
    ]  # fmt: skip
    entry = place(pack_instructions([each.encode() for each in code], config))
    return image.tobytes(), entry


def results(simulator: FunctionalSimulator | RtlSimulator, image: bytes, entry: int) -> np.ndarray:
    config = simulator.config
    simulator.write(0, image)
    simulator.run(entry)
    words = np.frombuffer(simulator.read(RESULTS, 64), np.uint8).reshape(64, -1)
    bits = np.unpackbits(words, axis=1, bitorder="little")
    return bits[:, : config.cols * config.digit_bits]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_limit_is_that_of_the_gateware(
    config: ArrayConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rtl, limit = RtlSimulator(config), config.select_cycles
    monkeypatch.setattr(ArrayConfig, "select_cycles", 0)  # the functional simulator refuses it

    def are_equal(cycles: int, *, is_whole: bool) -> bool:
        made = [program(config, cycles, is_whole=is_whole, seed=seed) for seed in range(SEEDS)]
        functional = FunctionalSimulator(config)
        return all(np.array_equal(results(rtl, *m), results(functional, *m)) for m in made)

    assert are_equal(limit, is_whole=False)
    assert are_equal(limit, is_whole=True)
    assert not are_equal(limit - 1, is_whole=False)
