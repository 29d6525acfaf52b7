"""The drain engine: which accumulator when, against the loops of the instruction's description."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from systolic.drain import Drain
from systolic.spec.isa import Drain as DrainInstruction
from systolic.spec.isa import Output
from tests.systolic.cycles import converts, trace

OUTPUTS = (
    "will_be_busy_o",
    "slot_o",
    "addr_o",
    "col_o",
    "channel_o",
    "is_first_part_o",
    "is_last_part_o",
    "is_window_end_o",
)
WAIT_CYCLES = 9


INTERVALS = (2, 1, 5)


def make(
    cols: int, intervals: tuple[int, ...] = INTERVALS, searching: tuple[int, ...] = ()
) -> Drain:
    """An engine for halves of 32 accumulators."""
    return Drain(
        addr_bits=5,
        cols=cols,
        intervals=intervals,
        wait_cycles=WAIT_CYCLES,
        threshold_intervals=searching,
    )


def slots_of(drain: DrainInstruction) -> list[tuple[int, ...]]:
    """Address, column, channel, first and last part, window's end of each slot."""
    return [
        (
            drain.half * 32 + (pixel * drain.window + element) * drain.parts + part,
            col,
            (drain.start + col) % 256,
            part == 0,
            part == drain.parts - 1,
            (element, part) == (drain.window - 1, drain.parts - 1),
        )
        for pixel in range(drain.count)
        for col in range(drain.cols)
        for element in range(drain.window)
        for part in range(drain.parts)
    ]


def start(drain: DrainInstruction, digits: int, thresholds: int = 0) -> list[dict]:
    """Cycles of an OUTPUT and a DRAIN, and noise where an instruction is no longer."""
    output = Output(digits=digits, zero=0, lo=0, hi=0, thresholds=thresholds)
    return [
        {"instruction_i": output.encode(), "output_en_i": 1},
        {"instruction_i": drain.encode(), "output_en_i": 0, "start_i": 1},
        {"instruction_i": (1 << 64) - 1, "start_i": 0},
    ]


@st.composite
def drains(draw: st.DrawFn) -> DrainInstruction:
    parts, window = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    return DrainInstruction(
        half=draw(st.integers(0, 1)),
        count=draw(st.integers(1, 32 // (parts * window))),
        start=draw(st.integers(0, 31)) * 8,
        parts=parts,
        cols=draw(st.integers(1, 6)),
        window=window,
    )


@settings(max_examples=40)
@given(
    drains(),
    st.sampled_from([INTERVALS, (3, 3, 3)]),
    st.sampled_from([(), (7, 3, 9), (3, 3, 3)]),
    st.integers(1, 3),
    st.integers(0, 2),
)
def test_slots_come_in_order_and_on_time(
    drain: DrainInstruction,
    intervals: tuple[int, ...],
    searching: tuple[int, ...],
    digits: int,
    more: int,
) -> None:
    thresholds = int(bool(searching) and more > 0)
    interval = (searching if thresholds else intervals)[digits - 1]
    slots = slots_of(drain)
    cycles = 2 * WAIT_CYCLES + len(slots) * interval
    stimuli = start(drain, digits, thresholds) + [{}] * cycles
    rows = trace(make(drain.cols + more, intervals, searching), stimuli, *OUTPUTS)
    busy = [row[0] for row in rows]
    assert busy == [0, *[1] * cycles, 0, 0]  # from the start strobe on, of the next cycle
    first = 2 + WAIT_CYCLES
    for cycle, row in enumerate(rows):
        index, phase = divmod(cycle - first, interval)
        if 0 <= index < len(slots):
            assert row[1:] == (phase == 0, *slots[index])
        else:
            assert row[1] == 0


def test_a_second_drain_starts_from_the_beginning() -> None:
    one = DrainInstruction(half=1, count=2, cols=2, start=8, parts=2, window=2)
    two = DrainInstruction(half=0, count=1, cols=1, start=248)
    length = 2 * WAIT_CYCLES + 2 * len(slots_of(one))
    stimuli = start(one, 1) + [{}] * length + start(two, 3) + [{}] * (2 * WAIT_CYCLES + 5)
    rows = trace(make(2), stimuli, *OUTPUTS)
    assert [row[2:] for row in rows if row[1]] == slots_of(one) + slots_of(two)


@pytest.mark.parametrize("cols", [1, 3, 32])
def test_it_converts_to_rtlil(cols: int) -> None:
    assert converts(make(cols))
