"""The output buffer: windows' maxima, cut into digits, collected into words."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from systolic.out_buffer import OutBuffer
from systolic.spec.isa import Drain, Output
from tests.systolic.cycles import converts, trace

PIXELS = 16


@dataclass(frozen=True)
class Shape:
    """An array's shape as far as the buffer sees it."""

    rows: int
    cols: int
    digit_bits: int

    @property
    def max_digits(self) -> int:
        return -(-8 // self.digit_bits)

    @property
    def group_cols(self) -> int:
        return 2 if self.max_digits > 1 and self.rows % 2 == self.cols % 2 == 0 else 1

    def build(self) -> OutBuffer:
        return OutBuffer(
            rows=self.rows,
            digit_bits=self.digit_bits,
            cols=self.cols,
            group_cols=self.group_cols,
            word_bits=-(-self.rows * self.digit_bits // 16) * 16,
            max_digits=self.max_digits,
            pixels=PIXELS,
        )


SHAPES = st.sampled_from(
    [
        Shape(4, 4, 4),
        Shape(8, 2, 3),
        Shape(4, 8, 8),
        Shape(5, 5, 1),
        Shape(4, 16, 2),
        Shape(6, 1, 5),
    ]
)


def drain_cycles(
    rng, shape: Shape, drain: Drain, digits: int, top: int
) -> tuple[list[dict], np.ndarray]:
    """Stimuli of a DRAIN and the largest code of each pixel's columns."""
    output = Output(digits=digits, zero=0, lo=0, hi=0)
    cycles = [
        {"instruction_i": output.encode(), "output_en_i": 1},
        {"instruction_i": drain.encode(), "output_en_i": 0, "start_i": 1},
        {"start_i": 0},
    ]
    codes = rng.integers(0, top, (drain.count, drain.cols, drain.window))
    for index, code in enumerate(codes.ravel().tolist()):
        ends = (index + 1) % drain.window == 0
        cycles.append({"code_i": code, "valid_i": 1, "window_end_i": ends})
        pause = max(0, digits - shape.group_cols) + (
            int(rng.integers(0, 3)) if rng.integers(0, 3) == 0 else 0
        )
        cycles += [{"code_i": 0xFF, "valid_i": 0, "window_end_i": 1}] * pause
    return cycles + [{"valid_i": 0}] * (digits + 1), codes.max(axis=2)


def read(pixel: int, digit: int, block: int) -> dict:
    """Stimulus that reads a word."""
    return {
        "read_en_i": 1,
        "read_pixel_i": pixel,
        "read_digit_i": digit,
        "read_block_i": block,
        "read_host_i": 0,
    }


@settings(max_examples=30)
@given(SHAPES, st.integers(0, 2**32 - 1), st.data())
def test_each_channel_lies_in_its_row_of_its_block(shape: Shape, seed: int, draw) -> None:
    digits = draw.draw(st.integers(1, shape.max_digits))
    groups = max(0, shape.rows - shape.cols) // shape.group_cols
    row = draw.draw(st.integers(0, groups)) * shape.group_cols
    drain = Drain(
        half=0,
        count=draw.draw(st.integers(1, 5)),
        cols=shape.cols,
        row=row,
        window=draw.draw(st.integers(1, 4)),
        pixel=draw.draw(st.integers(0, PIXELS - 5)),
    )
    rng = np.random.default_rng(seed)
    # A drain before leaves its traces everywhere.
    before, _ = drain_cycles(rng, shape, drain, shape.max_digits, 256)
    cycles, codes = drain_cycles(
        rng, shape, drain, digits, min(256, 1 << digits * shape.digit_bits)
    )
    blocks = max(1, shape.cols // shape.rows)
    places = [
        (drain.pixel + pixel, digit, block)
        for pixel in range(drain.count)
        for block in range(blocks)
        for digit in range(digits)
    ]
    stimuli = [*before, *cycles, *(read(*place) for place in places), {"read_en_i": 0}]
    rows = trace(shape.build(), stimuli, "word_o")
    words = [word for (word,) in rows[-len(places) :]]
    mask = (1 << shape.digit_bits) - 1
    for (pixel, digit, block), word in zip(places, words, strict=True):
        for col in range(shape.cols):
            if (row + col) // shape.rows == block:
                got = word >> (row + col) % shape.rows * shape.digit_bits & mask
                shift = (digits - 1 - digit) * shape.digit_bits
                assert got == int(codes[pixel - drain.pixel, col]) >> shift & mask


def test_the_last_digit_can_be_read_digits_cycles_after_its_code() -> None:
    shape = Shape(4, 4, 2)
    output = Output(digits=3, zero=0, lo=0, hi=0)
    drain = Drain(half=0, count=1, cols=2, row=0)
    stimuli = [
        {"instruction_i": output.encode(), "output_en_i": 1},
        {"instruction_i": drain.encode(), "output_en_i": 0, "start_i": 1},
        {"start_i": 0, "code_i": 0b01_10_11, "valid_i": 1, "window_end_i": 1},
        {"valid_i": 0},
        {"code_i": 0b11_01_10, "valid_i": 1},
        {"valid_i": 0},
        {},
        {},
        read(0, 2, 0),
        {"read_en_i": 0},
    ]
    assert trace(shape.build(), stimuli, "word_o")[-1][0] & 0xF == 0b10_11


@pytest.mark.parametrize("shape", [Shape(4, 4, 4), Shape(5, 1, 3)], ids=str)
def test_bytes_of_the_host_make_up_a_word_of_their_own(shape: Shape) -> None:
    dut = shape.build()
    count = len(dut.word_o) // 8
    data = bytes(range(0x81, 0x81 + count))
    stimuli = [{"byte_i": byte, "byte_index_i": at, "byte_en_i": 1} for at, byte in enumerate(data)]
    host = {"byte_en_i": 0, "read_en_i": 1, "read_host_i": 1}
    rows = trace(dut, [*stimuli, host, {"read_en_i": 0}], "word_o")
    assert rows[-1][0] == int.from_bytes(data, "little")


@settings(max_examples=30)
@given(SHAPES, st.integers(0, 2**32 - 1))
def test_bytes_get_in_between_digits_and_disturb_none(shape: Shape, seed: int) -> None:
    rng = np.random.default_rng(seed)
    drain = Drain(half=0, count=PIXELS - 1, cols=shape.cols, row=0)
    cycles, codes = drain_cycles(rng, shape, drain, shape.max_digits, 256)
    count = -(-shape.rows * shape.digit_bits // 16) * 2
    # The same byte again and again, as long as it takes.
    want = {"byte_i": 0x5A, "byte_index_i": int(rng.integers(0, count)), "byte_en_i": 1}
    top = {"read_pixel_i": PIXELS - 2, "read_digit_i": 0, "read_block_i": 0}
    stimuli = [
        *({**cycle, **want} for cycle in cycles),
        {"byte_en_i": 0, "read_en_i": 1, "read_host_i": 1},
        {"read_host_i": 0, **top},
        {"read_en_i": 0},
    ]
    rows = trace(shape.build(), stimuli, "word_o", "byte_ready_o")
    assert any(ready for _, ready in rows[3 : len(cycles)])
    host, word = rows[-2][0], rows[-1][0]
    assert host >> 8 * want["byte_index_i"] & 0xFF == 0x5A
    shift = (shape.max_digits - 1) * shape.digit_bits
    assert word & (1 << shape.digit_bits) - 1 == int(codes[-1, 0]) >> shift


def test_words_stay_until_the_next_read() -> None:
    dut = Shape(4, 4, 4).build()
    write = {"byte_i": 0x5A, "byte_index_i": 0, "byte_en_i": 1}
    host = {"byte_en_i": 0, "read_en_i": 1, "read_host_i": 1}
    idle = {"read_en_i": 0, "read_host_i": 0, "read_pixel_i": 7}
    rows = trace(dut, [write, host, idle, {}], "word_o")
    assert rows[-1][0] == rows[-2][0]
    assert rows[-1][0] & 0xFF == 0x5A


def test_it_converts_to_rtlil() -> None:
    assert converts(Shape(4, 8, 3).build())
