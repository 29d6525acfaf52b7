"""Configurations: what is refused and how, identity, and what follows from the fields."""

import hashlib
import json
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systolic.spec.config import REQUANTIZE_CYCLES, ArrayConfig, ConfigError


@st.composite
def configs(draw: st.DrawFn) -> ArrayConfig:
    """Any configuration that can be built."""
    powers = [16, 32, 64, 128, 256]
    rows = draw(st.integers(4, 64))
    fitting = [n for n in range(1, 33) if (rows % n == 0 or n % rows == 0) and n <= 8 * rows]
    cols = draw(st.sampled_from(fitting))
    weight_bits, digit_bits = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    sum_bits = weight_bits + (rows - 1).bit_length() + -(-8 // digit_bits) * digit_bits
    multiplier = draw(st.sampled_from(["dsp", "fabric"]))
    least = 4 if multiplier == "fabric" else 1
    can_diagonal = rows % cols == 0 and -(-weight_bits // digit_bits) in (1, 2, 4, 8)
    return ArrayConfig(
        rows=rows,
        cols=cols,
        weight_bits=weight_bits,
        digit_bits=digit_bits,
        pe_cols=draw(st.sampled_from([n for n in (1, 2, 4, 8) if cols % n == 0])),
        acc_bits=draw(st.integers(max(16, sum_bits), 32)),
        acc_depth=draw(st.sampled_from(powers)),
        scratchpad_words=draw(st.integers(64, 65536)),
        out_pixels=draw(st.sampled_from(powers)),
        requantize_cycles=draw(st.sampled_from([n for n in REQUANTIZE_CYCLES if n >= least])),
        multiplier=multiplier,
        skew=draw(st.sampled_from(["memory", "registers"])),
        onnx=draw(st.booleans()),
        table=draw(st.booleans()),
        diagonal=can_diagonal and draw(st.booleans()),
        threshold_bits=draw(st.integers(0, 4 if cols <= 16 else 3)),
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": 3}, r"rows must be between 4 and 64, not 3"),
        ({"rows": 65}, r"rows must be between 4 and 64, not 65"),
        ({"cols": 0}, r"cols must be between 1 and 32, not 0"),
        ({"cols": 33}, r"cols must be between 1 and 32, not 33"),
        ({"weight_bits": 0}, r"weight_bits must be between 1 and 8, not 0"),
        ({"weight_bits": 9}, r"weight_bits must be between 1 and 8, not 9"),
        ({"digit_bits": 0}, r"digit_bits must be between 1 and 8, not 0"),
        ({"digit_bits": 9}, r"digit_bits must be between 1 and 8, not 9"),
        ({"pe_cols": 0}, r"pe_cols must be between 1 and 8, not 0"),
        ({"pe_cols": 8}, r"pe_cols must divide cols \(4\), not 8"),
        ({"pe_cols": 3}, r"pe_cols must be a power of two, not 3"),
        ({"acc_bits": 15}, r"acc_bits must be between 16 and 32, not 15"),
        ({"acc_bits": 33}, r"acc_bits must be between 16 and 32, not 33"),
        ({"acc_bits": 19}, r"acc_bits must hold one full column sum \(20 bits\), not 19"),
        ({"acc_depth": 8}, r"acc_depth must be between 16 and 256, not 8"),
        ({"acc_depth": 48}, r"acc_depth must be a power of two, not 48"),
        ({"scratchpad_words": 63}, r"scratchpad_words must be between 64 and 65536, not 63"),
        ({"scratchpad_words": 65537}, r"scratchpad_words must be between 64 and 65536, not 65537"),
        ({"out_pixels": 512}, r"out_pixels must be between 16 and 256, not 512"),
        ({"out_pixels": 24}, r"out_pixels must be a power of two, not 24"),
        ({"requantize_cycles": 5}, r"requantize_cycles must be one of 1, 2, 3, .*, 48, not 5"),
        ({"multiplier": "lut"}, r"multiplier must be one of dsp, fabric, not 'lut'"),
        ({"skew": "none"}, r"skew must be one of memory, registers, not 'none'"),
        ({"multiplier": "fabric"}, r"requantize_cycles must be at least 4 with .*'fabric', not 2"),
        ({"cols": 6}, r"cols must divide rows or be a multiple of it, not 6 cols with 16 rows"),
        ({"rows": 4.0}, r"rows must be of type int, not 4.0"),
        ({"rows": True}, r"rows must be of type int, not True"),
        ({"threshold_bits": 5}, r"threshold_bits must be between 0 and 4, not 5"),
        (
            {"cols": 32, "threshold_bits": 4},
            r"threshold_bits must leave 32 channels of 256 entries for 32 cols, not 4",
        ),
        ({"onnx": 1}, r"onnx must be of type bool, not 1"),
        ({"diagonal": True, "cols": 32}, r"diagonal must be False .*not 2 with 32 cols and 16"),
        ({"diagonal": True, "digit_bits": 3}, r"diagonal must be False .*not 3 with 4 cols"),
        ({"skew": None}, r"skew must be of type str, not None"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ArrayConfig(**values)


def test_limits_themselves_can_be_built() -> None:
    low = ArrayConfig(
        rows=4, cols=1, weight_bits=1, digit_bits=1, acc_bits=16, acc_depth=16, scratchpad_words=64
    )
    high = ArrayConfig(
        rows=64,
        cols=32,
        digit_bits=8,
        pe_cols=8,
        acc_depth=256,
        scratchpad_words=65536,
        requantize_cycles=48,
    )
    assert (low.word_bits, high.word_bits) == (16, 512)
    assert ArrayConfig(rows=4, cols=32).col_blocks == 8


@given(configs())
def test_json_carries_every_field(config: ArrayConfig) -> None:
    values = asdict(config)
    for name in ("diagonal", "threshold_bits"):
        if not values[name]:
            del values[name]
    assert json.loads(config.to_json()) == values
    assert ArrayConfig.from_json(config.to_json()) == config


def test_fields_missing_in_json_take_their_defaults() -> None:
    assert ArrayConfig.from_json('{"rows": 8}') == ArrayConfig(rows=8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "configuration is not valid JSON"),
        ("[" * 100_000, "configuration is not valid JSON"),
        ("[1]", "configuration must be a JSON object, not list"),
        ('{"row": 4}', "configuration has no field 'row'; it has acc_bits, acc_depth, "),
        ('{"rows": "4"}', "rows must be of type int, not '4'"),
        ('{"rows": 2}', "rows must be between 4 and 64, not 2"),
    ],
)
def test_other_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ArrayConfig.from_json(text)


def test_an_array_without_thresholds_has_the_digest_it_had_before_them() -> None:
    assert ArrayConfig().digest.hex() == "c4445dbb3dc1dac4"
    assert ArrayConfig(threshold_bits=1).digest != ArrayConfig().digest


def test_digest_is_that_of_sorted_json() -> None:
    config = ArrayConfig(diagonal=True, threshold_bits=2)
    text = json.dumps(asdict(config), sort_keys=True)
    assert config.digest == hashlib.sha256(text.encode()).digest()[:8]


def test_a_field_that_came_later_leaves_older_digests_alone() -> None:
    # Of bitstreams and programs that are out there.
    assert ArrayConfig().digest.hex() == "c4445dbb3dc1dac4"
    assert ArrayConfig(diagonal=True).digest != ArrayConfig().digest


def test_every_field_changes_the_digest() -> None:
    config = ArrayConfig(cols=8)
    other = ArrayConfig(
        rows=32,
        cols=4,
        weight_bits=7,
        digit_bits=2,
        pe_cols=2,
        acc_bits=31,
        acc_depth=64,
        scratchpad_words=4096,
        out_pixels=64,
        requantize_cycles=4,
        multiplier="fabric",
        skew="registers",
        onnx=False,
        table=False,
        diagonal=True,
        threshold_bits=3,
    )
    four = replace(config, requantize_cycles=4)
    digests = {config.digest, four.digest}
    for field in fields(config):
        if field.name != "requantize_cycles":
            digests.add(replace(four, **{field.name: getattr(other, field.name)}).digest)
    assert len(digests) == len(fields(config)) + 1


@given(configs())
def test_widths_hold_the_largest_sums(config: ArrayConfig) -> None:
    least = -(1 << config.weight_bits - 1)
    for row in range(config.rows):
        assert (row + 1) * least >= -(1 << config.psum_bits(row) - 1)
    digit = (1 << config.digit_bits) - 1
    assert config.rows * least * digit >= -(1 << config.merged_bits - 1)
    code = (1 << config.max_digits * config.digit_bits) - 1
    assert config.rows * least * code >= -(1 << config.column_sum_bits - 1)
    assert code >= 255


@given(configs())
def test_words_hold_what_they_must(config: ArrayConfig) -> None:
    assert config.word_bits >= config.rows * config.digit_bits > config.word_bits - 16
    assert (config.word_bytes * 8, config.word_units * 16) == (config.word_bits, config.word_bits)
    assert (config.instruction_words - 1) * config.word_bits < 64
    assert config.instruction_words * config.word_bits >= 64
    assert (config.parameter_words - 1) * config.word_bits < 128
    assert config.parameter_words * config.word_bits >= 96
    assert (config.threshold_words - 1) * config.word_bits < 32
    assert config.threshold_words * config.word_bits >= 32
    assert config.threshold_channels << config.threshold_bits == 256
    assert config.weight_digits * config.digit_bits >= config.weight_bits
    assert config.weight_words == config.cols * config.weight_digits
    assert config.groups * config.pe_cols == config.cols
    assert 1 << config.addr_bits >= config.scratchpad_words > 1 << config.addr_bits - 1


def test_the_default_array_in_numbers() -> None:
    config = ArrayConfig()
    assert (config.word_bits, config.instruction_words, config.parameter_words) == (64, 1, 2)
    assert (config.weight_words, config.max_digits, config.merged_bits) == (8, 2, 16)
    assert [config.psum_bits(row) for row in (0, 1, 2, 3, 4, 15)] == [8, 9, 10, 10, 11, 12]
    assert [config.digits(bits) for bits in (1, 4, 5, 8)] == [1, 1, 2, 2]
    assert (config.out_pixels, config.drain_pixels) == (128, 127)
    assert str(config) == "16x4 w8 d4"
