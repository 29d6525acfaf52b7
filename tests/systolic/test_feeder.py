"""The feeder: addresses and counters, as the sequencer's strobes move them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from systolic.feeder import Feeder
from systolic.spec.isa import Load, LoadTarget, Matmul, Store
from tests.systolic.cycles import converts, trace

ADDR_BITS = 12
STROBES = (
    "decode_i",
    "jump_i",
    "follow_i",
    "fetch_i",
    "step_i",
    "prime_i",
    "gather_i",
    "count_i",
    "entry_i",
    "host_step_i",
    "hold_pixel_i",
    "offset_en_i",
    "header_en_i",
)


def make() -> Feeder:
    """A feeder of 4,096 words and halves of 64 accumulators."""
    return Feeder(addr_bits=ADDR_BITS, index_bits=8, half_bits=7)


def cycle(*strobes: str, **values: int) -> dict[str, int]:
    """A cycle with these strobes and no others."""
    return {**{name: f"{name[:-2]}" in strobes for name in STROBES}, **values}


def load_offsets(start: int, offsets: list[int]) -> list[dict]:
    """Cycles that fill the offset table."""
    load = Load(target=LoadTarget.OFFSETS, count=len(offsets), start=start, addr=0)
    entries = [cycle("offset_en", "entry", unit_i=offset) for offset in offsets]
    return [cycle("decode", instruction_i=load.encode()), *entries]


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_gathered_addresses_are_base_plus_offset(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 12))
    start = int(rng.integers(0, 256 - count))
    offsets = rng.integers(0, 1 << 16, count).tolist()
    base, digits = int(rng.integers(0, 1 << 16)), int(rng.integers(1, 4))
    matmul = Matmul(first=1, half=0, digits=digits, count=count, start=start, base=base, weights=77)
    stimuli = load_offsets(start, offsets)
    stimuli += [cycle("decode", "jump", instruction_i=matmul.encode()), cycle("prime", "step")]
    stimuli += [cycle("step")] * int(rng.integers(0, 3)) + [cycle("gather")]
    first = len(stimuli)
    for _ in range(count):
        stimuli += [cycle("step")] * (digits - 1) + [cycle("gather")]
    addrs = [addr for (addr,) in trace(make(), stimuli, "addr_o")]
    expected = [base + offset + digit for offset in offsets for digit in range(digits)]
    assert addrs[first:] == [addr % (1 << ADDR_BITS) for addr in expected]


HEADER = [cycle("header_en", header_i=byte) for byte in (0x56, 0x04, 0x58)]


def test_the_address_goes_to_host_and_weights_and_back() -> None:
    matmul = Matmul(first=1, half=0, digits=1, count=1, base=0, weights=0x1234)
    stimuli = [
        *HEADER,
        cycle("follow"),
        cycle("step"),
        # While a program runs, the host's address is shown between decoding and doing.
        cycle("follow"),
        cycle("decode", "jump", "fetch", "host_step", instruction_i=matmul.encode()),
        cycle("step"),
        cycle(),
        cycle("fetch"),
        cycle("step"),
        cycle("follow"),
        cycle("fetch", "host_step"),
        cycle("follow"),
        cycle(),
    ]
    addrs = [addr for (addr,) in trace(make(), stimuli, "addr_o")]
    program = [0x456, 0x457, 0x456, 0x234, 0x235, 0x235, 0x457, 0x458, 0x457, 0x458, 0x458]
    assert addrs[4:] == program


def test_the_last_word_of_a_request_is_told_by_its_low_byte() -> None:
    header = [cycle("header_en", header_i=byte) for byte in (0xFE, 0x02, 0x01)]
    words = [cycle("follow"), cycle("host_step")] * 5
    rows = trace(make(), [*header, *words], "addr_o", "is_last_o")
    assert rows[4::2] == [(0x2FE, 0), (0x2FF, 0), (0x300, 0), (0x301, 1), (0x302, 0)]


@settings(max_examples=25)
@given(
    st.integers(1, 5), st.integers(1, 8), st.integers(0, 7), st.integers(1, 8), st.integers(0, 3)
)
def test_words_of_a_matmul_are_counted_by_digit_and_pixel(
    count: int, digits: int, part: int, parts: int, flags: int
) -> None:
    matmul = Matmul(
        first=flags & 1,
        half=flags >> 1,
        digits=digits,
        count=count,
        part=part,
        parts=parts,
        base=0,
        weights=0,
    )
    stimuli = [cycle("decode", instruction_i=matmul.encode())]
    stimuli += [cycle("count", instruction_i=(1 << 64) - 1)] * (count * digits)
    outputs = ("digit_o", "pixel_o", "flags_o", "is_pixel_end_o", "is_end_o", "token_o")
    for index, row in enumerate(trace(make(), stimuli, *outputs)[1:]):
        pixel, digit = divmod(index, digits)
        where, is_end = pixel * parts + part, digit == digits - 1
        assert row[:5] == (digit, where, flags, is_end, is_end and pixel == count - 1)
        token = row[5]
        assert (token.first_digit, token.commit, token.first) == (digit == 0, is_end, flags & 1)
        assert token.addr == where % 64 + 64 * (flags >> 1)


@pytest.mark.parametrize("is_held", [False, True])
def test_a_store_starts_at_pixel_0_of_its_block(is_held: bool) -> None:
    store = Store(repeat=is_held, digits=2, count=3, block=5, base=0)
    count = cycle("count", *["hold_pixel"] * is_held)
    stimuli = [cycle("decode", instruction_i=store.encode()), *[count] * 6]
    rows = trace(make(), stimuli, "block_o", "pixel_o", "digit_o", "is_end_o")
    pixels = [0] * 6 if is_held else [0, 0, 1, 1, 2, 2]
    assert rows[1:] == [(5, pixel, index % 2, index == 5) for index, pixel in enumerate(pixels)]


def test_entries_of_a_load_are_counted() -> None:
    load = Load(target=LoadTarget.PARAMETERS, count=3, start=254, addr=0)
    entry, pause = cycle("entry"), cycle()
    stimuli = [cycle("decode", instruction_i=load.encode()), entry, pause, entry, entry, pause]
    rows = trace(make(), stimuli, "index_o", "is_end_o", "flags_o")
    assert [row[0] for row in rows[1:]] == [254, 255, 255, 0, 1]
    assert [row[1] for index, row in enumerate(rows) if stimuli[index] is entry] == [0, 0, 1]
    assert {row[2] for row in rows[1:]} == {LoadTarget.PARAMETERS}


def test_it_converts_to_rtlil() -> None:
    assert converts(make())
