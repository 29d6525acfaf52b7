"""The cycle formulas on examples counted by hand from the documentation of each instruction."""

import pytest

from systolic.spec.config import ArrayConfig
from systolic.spec.isa import (
    Diagonal,
    Drain,
    Instruction,
    Load,
    LoadTarget,
    Matmul,
    Output,
    Store,
    Sync,
)
from systolic.spec.timing import Machine, action_cycles, advance, drain_cycles, program_cycles

CONFIG = ArrayConfig()
OUTPUT = Output(digits=2, zero=0, lo=0, hi=255)
DRAIN = Drain(half=0, count=5, cols=4, window=2, parts=3)
MATMUL = Matmul(first=1, half=0, digits=2, count=10, base=0, weights=0)
OFFSETS = Load(target=LoadTarget.OFFSETS, count=9, addr=0)


@pytest.mark.parametrize(
    ("instruction", "cycles"),
    [
        (Sync(halt=0), 0),
        (OUTPUT, 0),
        (DRAIN, 0),
        # A word is read ahead, then an entry per cycle.
        (OFFSETS, 1 + 9),
        (Load(target=LoadTarget.TABLE, count=256, addr=0), 1 + 256),
        # Two words for each channel.
        (Load(target=LoadTarget.PARAMETERS, count=5, addr=0), 1 + 2 * 5),
        # One for each threshold.
        (Load(target=LoadTarget.THRESHOLDS, count=5, addr=0), 1 + 5),
        # Eight words of weights, then ten pixels of two.
        (MATMUL, 8 + 20),
        # Two words, each four times.
        (Diagonal(first=1, half=0, digits=2, count=10, band=3, base=0, weights=0), 8 + 20),
        # The table is primed and the buffer read ahead.
        (Store(digits=2, count=7, base=0), 2 + 14),
    ],
)
def test_cycles_of_an_action(instruction: Instruction, cycles: int) -> None:
    assert action_cycles(instruction, CONFIG) == cycles
    machine = advance(Machine(cycle=100), instruction, CONFIG)
    assert machine.cycle == 100 + CONFIG.fetch_cycles + cycles


def test_a_tile_of_one_word_takes_two_cycles() -> None:
    config = ArrayConfig(rows=4, cols=1, weight_bits=1, digit_bits=1)
    assert action_cycles(MATMUL, config) == 2 + 20


def test_narrow_words_take_longer_to_fetch() -> None:
    narrow = ArrayConfig(rows=4, cols=1, weight_bits=1, digit_bits=1)
    assert narrow.fetch_cycles == CONFIG.fetch_cycles + 3


def test_a_drain_takes_its_interval_for_every_accumulator() -> None:
    # Digits of a bit: of two columns' results, all but the last digit have to be out.
    config = ArrayConfig(digit_bits=1, requantize_cycles=2)
    slots = 5 * 4 * 2 * 3
    two = drain_cycles(DRAIN, 3, config)
    assert drain_cycles(DRAIN, 1, config) == two
    assert drain_cycles(DRAIN, 8, config) - two == (7 - 2) * slots
    more = Drain(half=0, count=6, cols=4, window=2, parts=3)
    assert drain_cycles(more, 4, config) - drain_cycles(DRAIN, 4, config) == 3 * 4 * 2 * 3


@pytest.mark.parametrize(("bits", "interval"), [(1, 1), (2, 3), (3, 5), (4, 7)])
def test_a_drain_with_thresholds_takes_two_cycles_less_one_for_every_bit(
    bits: int, interval: int
) -> None:
    config = ArrayConfig(threshold_bits=bits, requantize_cycles=12)
    drain, machine = Drain(half=0, count=5, cols=4), Machine()
    searching = Output(digits=1, zero=0, lo=0, hi=0, thresholds=1)
    for output, each in ((OUTPUT, 12), (searching, interval)):
        machine = advance(machine, output, config)
        after = advance(machine, drain, config)
        waits = 1 + 2 * config.drain_wait_cycles
        assert after.drain_free - after.cycle == waits + 5 * 4 * each


def test_a_drain_runs_beside_matmuls_and_holds_up_the_rest() -> None:
    machine = advance(Machine(), OUTPUT, CONFIG)
    machine = advance(machine, DRAIN, CONFIG)
    assert machine.cycle == 2 * CONFIG.fetch_cycles
    done = machine.cycle + drain_cycles(DRAIN, 2, CONFIG)
    assert machine.drain_free == done
    for beside in (MATMUL, OFFSETS):
        after = advance(machine, beside, CONFIG)
        taken = CONFIG.fetch_cycles + action_cycles(beside, CONFIG)
        assert after.cycle == machine.cycle + taken
    # Fetched meanwhile, executed in the first idle cycle.
    assert advance(machine, Sync(halt=0), CONFIG).cycle == done + 1
    late = Machine(cycle=done + 50, drain_free=done)
    assert advance(late, Sync(halt=0), CONFIG).cycle == done + 50 + CONFIG.fetch_cycles


def test_marks_are_the_counters_at_each_sync() -> None:
    code = [MATMUL, Sync(halt=0), MATMUL, MATMUL, Sync(halt=1)]
    marks = program_cycles(code, CONFIG)
    fetch = CONFIG.fetch_cycles
    assert [mark.cycle for mark in marks] == [2 * fetch + 28, 5 * fetch + 3 * 28]
    assert [mark.busy_cycles for mark in marks] == [20, 60]
