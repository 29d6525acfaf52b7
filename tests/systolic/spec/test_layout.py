"""How things lie in words: against plain loops over bits, and there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from systolic.spec.config import ArrayConfig
from systolic.spec.isa import InstructionError, Load, LoadTarget, Store, Sync
from systolic.spec.layout import (
    address_behind_sync,
    join_digits,
    load_words,
    pack_activations,
    pack_instructions,
    pack_parameters,
    pack_thresholds,
    pack_units,
    pack_weights,
    pack_words,
    split_digits,
    unpack_activations,
    unpack_parameters,
    unpack_thresholds,
    unpack_weights,
    unpack_words,
)

CONFIGS = st.builds(
    ArrayConfig,
    rows=st.just(12),
    cols=st.sampled_from([1, 2, 3, 4, 6, 12, 24]),
    weight_bits=st.integers(1, 8),
    digit_bits=st.integers(1, 8),
)
SEEDS = st.integers(0, 2**32 - 1)


def words_of(data: bytes, config: ArrayConfig) -> list[int]:
    """Words as integers."""
    starts = range(0, len(data), config.word_bytes)
    return [int.from_bytes(data[at : at + config.word_bytes], "little") for at in starts]


def digit_of(word: int, row: int, config: ArrayConfig) -> int:
    """The digit of a row."""
    return word >> row * config.digit_bits & (1 << config.digit_bits) - 1


@given(CONFIGS, SEEDS, st.integers(1, 5))
def test_a_word_holds_a_digit_for_each_row(config: ArrayConfig, seed: int, count: int) -> None:
    digits = np.random.default_rng(seed).integers(0, 1 << config.digit_bits, (count, config.rows))
    data = pack_words(digits, config)
    for word, row_digits in zip(words_of(data, config), digits.tolist(), strict=True):
        shifts = range(0, config.rows * config.digit_bits, config.digit_bits)
        assert word == sum(digit << at for digit, at in zip(row_digits, shifts, strict=True))
    np.testing.assert_array_equal(unpack_words(data, config), digits)


@given(st.integers(1, 8), st.integers(1, 8), SEEDS)
def test_digits_join_to_their_codes(digits: int, digit_bits: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 1 << digits * digit_bits, (3, 4))
    split = split_digits(codes, digits, digit_bits)
    assert split.shape == (digits, 3, 4)
    np.testing.assert_array_equal(join_digits(split, digit_bits), codes)
    np.testing.assert_array_equal(split[-1], codes % (1 << digit_bits))


@given(CONFIGS, SEEDS, st.integers(1, 8), st.integers(1, 30), st.integers(1, 4))
def test_activations_lie_by_pixel_block_and_digit(
    config: ArrayConfig, seed: int, act_bits: int, channels: int, pixels: int
) -> None:
    codes = np.random.default_rng(seed).integers(0, 1 << act_bits, (pixels, channels))
    data = pack_activations(codes, act_bits, config)
    words, digits = words_of(data, config), config.digits(act_bits)
    blocks = -(-channels // config.rows)
    assert len(words) == pixels * blocks * digits
    for pixel in range(pixels):
        for channel in range(blocks * config.rows):
            block, row = divmod(channel, config.rows)
            first = (pixel * blocks + block) * digits
            code = 0
            for word in words[first : first + digits]:
                code = code << config.digit_bits | digit_of(word, row, config)
            assert code == (codes[pixel, channel] if channel < channels else 0)
    np.testing.assert_array_equal(unpack_activations(data, channels, act_bits, config), codes)


@given(CONFIGS, SEEDS)
def test_weights_lie_by_column_and_digit(config: ArrayConfig, seed: int) -> None:
    limit = 1 << config.weight_bits - 1
    tile = np.random.default_rng(seed).integers(-limit, limit, (config.rows, config.cols))
    data = pack_weights(tile, config)
    words = words_of(data, config)
    assert len(words) == config.weight_words
    for col in range(config.cols):
        first = col * config.weight_digits
        for row in range(config.rows):
            shifted = 0
            for word in words[first : first + config.weight_digits]:
                shifted = shifted << config.digit_bits | digit_of(word, row, config)
            # A place keeps the last weight_bits bits it saw; the others are the sign.
            wide = config.weight_digits * config.digit_bits
            assert shifted == int(tile[row, col]) % (1 << wide)
    np.testing.assert_array_equal(unpack_weights(data, config), tile)


def test_weights_that_do_not_fit_are_refused() -> None:
    config = ArrayConfig(weight_bits=4)
    for tile in (np.full((16, 4), 8), np.full((16, 4), -9)):
        with pytest.raises(ValueError, match=r"weights must be between -8 and 7, not -?\d"):
            pack_weights(tile, config)


@pytest.mark.parametrize("digit_bits", [1, 4, 8])
def test_a_channel_has_bias_multiplier_and_round_from_bit_0(digit_bits: int) -> None:
    config = ArrayConfig(rows=8, digit_bits=digit_bits)
    channels = [(-5, (1 << 48) - 3, 1 << 15), (1 << 30, 7, 0)]
    data = pack_parameters(channels, config)
    length = config.parameter_words * config.word_bytes
    assert len(data) == 2 * length
    for index, (bias, multiplier, rounding) in enumerate(channels):
        value = int.from_bytes(data[index * length :][:length], "little")
        assert value & 0xFFFF_FFFF == bias % (1 << 32)
        assert value >> 32 & 0xFFFF_FFFF == rounding
        limbs = [value >> 64 + 16 * limb & 0xFFFF for limb in range(4)]
        assert sum(limb << 12 * index for index, limb in enumerate(limbs)) == multiplier
        assert max(limbs) < 1 << 12
    assert unpack_parameters(data, config).tolist() == [list(channel) for channel in channels]


@given(CONFIGS, st.lists(st.tuples(st.integers(-(1 << 30), (1 << 30) - 1), st.booleans())))
def test_an_entry_among_thresholds_has_31_bits_and_a_flag(
    config: ArrayConfig, entries: list[tuple[int, bool]]
) -> None:
    data = pack_thresholds(entries, config)
    length = config.threshold_words * config.word_bytes
    assert len(data) == len(entries) * length
    for index, (bias, is_inverted) in enumerate(entries):
        value = int.from_bytes(data[index * length :][:length], "little")
        assert (value % (1 << 31), value >> 31) == (bias % (1 << 31), is_inverted)
    assert unpack_thresholds(data, config).tolist() == [[b, int(i)] for b, i in entries]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (LoadTarget.PARAMETERS, 7 * 4),
        (LoadTarget.THRESHOLDS, 7),
        (LoadTarget.TABLE, 4),
        (LoadTarget.OFFSETS, 4),
    ],
)
def test_a_load_reads_whole_words(target: LoadTarget, words: int) -> None:
    config = ArrayConfig(digit_bits=2)
    assert load_words(Load(target=target, count=7, addr=0), config) == words


def test_units_and_instructions_fill_up_to_whole_words() -> None:
    config = ArrayConfig(rows=5, cols=1, digit_bits=8)
    assert config.word_bytes == 6
    assert pack_units([1, 2, 0xFFFF, 4], config).hex(" ", 2) == ("0100 0200 ffff 0400 0000 0000")
    code = pack_instructions([0x0807060504030201, 1], config)
    assert code.hex(" ", 6) == "010203040506 070800000000 010000000000 000000000000"


@pytest.mark.parametrize("rows", [4, 16])
def test_the_next_sync_is_found_word_by_word(rows: int) -> None:
    config = ArrayConfig(rows=rows)
    codes = [
        op.encode()
        for op in (Store(digits=1, count=1, block=0, base=0), Sync(halt=0), Sync(halt=1))
    ]
    data, size = pack_instructions(codes, config), config.word_bytes
    words = {9 + i: data[i * size : (i + 1) * size] for i in range(len(data) // size)}
    behind = address_behind_sync(words, 9, config)
    assert behind == 9 + 2 * config.instruction_words
    assert address_behind_sync(words, behind, config) == behind + config.instruction_words
    with pytest.raises(InstructionError, match="nothing was written at word"):
        address_behind_sync(words, behind + config.instruction_words, config)
