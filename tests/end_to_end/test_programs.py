"""Random programs on the functional simulator and on the gateware: every bit and every cycle."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import listing
from tests.end_to_end.random_program import RandomProgram, random_program

PROGRAMS = 20


def array(**parameters: Any) -> ArrayConfig:
    """A configuration with a scratchpad that holds what a program needs, and not much more."""
    config = ArrayConfig(**parameters)
    # Tables take more words where words are narrow, thresholds an entry per node. Not a power of 2.
    words = (1 << 18) // config.word_bits + (1 << config.threshold_bits) * 999
    return replace(config, scratchpad_words=min(words, 1 << 16))


FAST = (
    array(),
    # The narrowest words: an instruction takes four of them, parameters six.
    array(rows=4, cols=1, weight_bits=1, digit_bits=1),
    array(
        rows=4,
        cols=2,
        weight_bits=1,
        digit_bits=8,
        acc_bits=16,
        skew="registers",
        onnx=False,
        table=False,
    ),
    # Several blocks of channels per output tile.
    array(rows=4, cols=32, weight_bits=3, digit_bits=2),
    array(rows=10, cols=20, weight_bits=4, digit_bits=4, pe_cols=4, acc_bits=28),
    array(rows=64, cols=1, weight_bits=2, digit_bits=1, acc_bits=20),
    array(rows=64, cols=2, weight_bits=7, digit_bits=3, pe_cols=2, acc_depth=256),
    array(rows=5, cols=5, weight_bits=3, digit_bits=3),
    array(rows=6, cols=3, weight_bits=5, digit_bits=6, acc_bits=24, onnx=False),
    array(
        rows=12,
        cols=12,
        weight_bits=4,
        digit_bits=5,
        pe_cols=4,
        acc_bits=20,
        acc_depth=16,
        out_pixels=16,
    ),
    array(rows=8, cols=4, digit_bits=4, pe_cols=2, multiplier="fabric", requantize_cycles=4),
    array(rows=8, cols=2, digit_bits=8, requantize_cycles=48, acc_depth=64, out_pixels=256),
    array(rows=7, cols=7, digit_bits=7, requantize_cycles=1, skew="registers"),
    array(
        rows=9,
        cols=3,
        weight_bits=6,
        digit_bits=2,
        multiplier="fabric",
        requantize_cycles=6,
        table=False,
    ),
    array(rows=32, cols=16, weight_bits=4, digit_bits=1, pe_cols=8, acc_bits=20),
    array(rows=4, cols=4, digit_bits=4, requantize_cycles=8, out_pixels=256, acc_depth=16),
    array(
        rows=5,
        cols=1,
        digit_bits=5,
        acc_bits=24,
        multiplier="fabric",
        requantize_cycles=48,
        onnx=False,
    ),
    array(rows=8, cols=8, weight_bits=5, digit_bits=2, pe_cols=8, requantize_cycles=3),
    array(rows=11, cols=11, weight_bits=2, digit_bits=1, multiplier="fabric", requantize_cycles=24),
    array(rows=16, cols=16, weight_bits=4, digit_bits=4, pe_cols=2, requantize_cycles=6),
    # Tiles with one weight per row: words of two digits, four bands, then less usual ones.
    array(pe_cols=4, acc_bits=24, diagonal=True),
    array(rows=8, cols=4, weight_bits=8, digit_bits=1, pe_cols=2, diagonal=True),
    array(rows=6, cols=1, weight_bits=3, digit_bits=5, diagonal=True),
    array(rows=12, cols=12, weight_bits=7, digit_bits=2, pe_cols=4, diagonal=True),
    array(rows=32, cols=4, weight_bits=4, digit_bits=2, diagonal=True, skew="registers"),
    # A search among thresholds: beside any multiplier, in narrow words and in wide ones.
    array(weight_bits=2, digit_bits=2, acc_bits=32, threshold_bits=2),
    array(rows=4, cols=4, weight_bits=2, digit_bits=1, acc_bits=16, threshold_bits=1,
          multiplier="fabric", requantize_cycles=48),
    array(rows=8, cols=4, digit_bits=2, threshold_bits=3, acc_bits=31, table=False),
    array(rows=16, cols=16, digit_bits=8, threshold_bits=4, onnx=False, requantize_cycles=8),
    array(rows=12, cols=12, weight_bits=4, digit_bits=4, threshold_bits=4, acc_bits=24,
          multiplier="fabric", requantize_cycles=6, acc_depth=16),
)  # fmt: skip

SLOW = (
    array(rows=4, cols=32, digit_bits=8, pe_cols=8),
    array(rows=16, cols=16, digit_bits=5, acc_depth=32, out_pixels=16),
    array(rows=64, cols=32, weight_bits=1, digit_bits=1, pe_cols=4),
    array(rows=64, cols=4, digit_bits=8, acc_depth=256),
    array(rows=24, cols=24, weight_bits=6, digit_bits=3, pe_cols=8, requantize_cycles=1),
    array(rows=13, cols=26, weight_bits=7, digit_bits=6, pe_cols=2, skew="registers"),
    array(rows=32, cols=32, weight_bits=2, digit_bits=2, acc_depth=256, out_pixels=256),
    array(rows=63, cols=21, weight_bits=3, digit_bits=1, acc_bits=18),
    ArrayConfig(rows=4, cols=1, weight_bits=8, digit_bits=1, scratchpad_words=65536),
    array(rows=48, cols=1, digit_bits=7, multiplier="fabric", requantize_cycles=16),
    array(rows=8, cols=32, weight_bits=4, digit_bits=8, multiplier="fabric",
                requantize_cycles=12),
)  # fmt: skip


def check(rtl: RtlSimulator, program: RandomProgram, *, step: bool) -> None:
    """Run it on both and compare the whole scratchpad and the counters at every stop."""
    config = program.config
    functional = FunctionalSimulator(config)
    counters, memories = [], []
    for simulator in (functional, rtl):
        simulator.write(0, program.image)
        counters.append(simulator.run(program.entry, step=step))
        memory = np.frombuffer(simulator.read(0, config.scratchpad_words), np.uint8)
        memories.append(memory.reshape(-1, config.word_bytes) & program.defined)
    assert counters[0] == counters[1]
    wrong = np.flatnonzero((memories[0] != memories[1]).any(axis=1))
    shown = "\n".join(listing(list(program.code)))
    assert not len(wrong), f"words {wrong[:8]} of {config} differ after\n{shown}"


def check_config(config: ArrayConfig, programs: int) -> None:
    rtl = RtlSimulator(config)
    for seed in range(programs):
        check(rtl, random_program(config, seed), step=seed % 2 == 0)


@pytest.mark.parametrize("config", FAST, ids=str)
def test_gateware_does_what_the_instructions_mean(config: ArrayConfig) -> None:
    check_config(config, PROGRAMS)


@pytest.mark.slow
@pytest.mark.parametrize("config", FAST + SLOW, ids=str)
def test_gateware_does_what_many_instructions_mean(config: ArrayConfig) -> None:
    check_config(config, 10 * PROGRAMS)


def test_random_programs_use_all_there_is() -> None:
    config = FAST[0]
    lines = "\n".join(
        line
        for seed in range(PROGRAMS)
        for line in listing(list(random_program(config, seed).code))
    )
    for used in ("SYNC   halt=0", "onnx=1 table=1", "target=0", "target=1", "target=2"):
        assert used in lines
    searching = replace(config, threshold_bits=2)
    words = [word for each in random_program(searching, 0).code for word in str(each).split()]
    assert {"target=3", "thresholds=1"} <= set(words)
    diagonal = replace(config, diagonal=True)
    assert any("DIAGONAL" in str(each) for each in random_program(diagonal, 0).code)
    for used in ("repeat=1", "parts=5", "window=7", "first=0"):
        assert used in lines
