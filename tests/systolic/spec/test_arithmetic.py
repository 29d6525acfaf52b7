"""The datapath's arithmetic against exact fractions, tflite-micro and ONNX Runtime."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.quantize import quantize_scale
from systolic.spec.arithmetic import (
    matmul_by_digits,
    output_code,
    requantize_hardware,
    requantize_onnx,
    requantize_tflite,
)
from systolic.spec.rounding import Rounding
from tests.systolic.spec.oracles import onnxruntime_codes, tflite_micro_codes

INT32 = np.iinfo(np.int32)
PIXELS, CHANNELS = 250, 4000  # a million accumulators


def accumulators_near_steps(rng, scale):
    """Biases and weights such that sums lie around steps, mostly inside int8, some far outside."""
    channels = len(scale)
    value = rng.integers(-140, 140, channels) + 0.5
    spread = rng.integers(0, 6, channels) == 0
    wide = rng.integers(INT32.min + 20_000, INT32.max - 20_000, channels)
    wide >>= rng.integers(0, 20, channels)
    near = np.clip(np.rint(value / scale), INT32.min + 20_000, INT32.max - 20_000)
    bias = np.where(spread, wide, near).astype(np.int32)
    bias[:2] = INT32.max - 128 * 127, INT32.min + 128 * 128
    weight = rng.integers(-1, 2, channels).astype(np.int8)
    weight[rng.integers(0, 3, channels) == 0] = rng.integers(-128, 128)
    act = rng.permutation(np.arange(-128, 128))[:PIXELS].astype(np.int8)
    return act, weight, bias


def sums(act, weight, bias):
    return bias + act.astype(np.int64)[:, np.newaxis] * weight


def test_tflite_rounding_is_that_of_a_million_tflite_micro_results():
    rng = np.random.default_rng(20)
    input_scale = np.float32(0.7310586)
    filter_scale = (2.0 ** rng.uniform(-31, 1, CHANNELS)).astype(np.float32)
    real = filter_scale.astype(np.float64) * np.float64(input_scale)
    act, weight, bias = accumulators_near_steps(rng, real)
    bias[real >= 1] >>= 1  # the kernel shifts left by one in 32 bits
    parameters = np.array([quantize_scale(scale) for scale in real])

    codes = tflite_micro_codes(act, weight, bias, filter_scale, input_scale)

    acc = sums(act, weight, bias)
    result = requantize_tflite(acc, parameters[:, 0], parameters[:, 1])
    np.testing.assert_array_equal(codes, np.clip(result, -128, 127))


def test_onnx_rounding_is_that_of_a_million_onnx_runtime_results():
    rng = np.random.default_rng(21)
    scale = (2.0 ** rng.uniform(-31, 3, CHANNELS)).astype(np.float32)
    simple = np.ldexp(rng.integers(1, 64, CHANNELS), -rng.integers(4, 24, CHANNELS))
    scale[::2] = simple.astype(np.float32)[::2]  # exact ties, and products half an ulp off them
    act, weight, bias = accumulators_near_steps(rng, scale.astype(np.float64))

    codes = onnxruntime_codes(act, weight, bias, scale)

    result = requantize_onnx(sums(act, weight, bias), scale)
    np.testing.assert_array_equal(codes, np.clip(result, -128, 127))


@given(st.integers(INT32.min, INT32.max), st.integers(1 << 30, INT32.max), st.integers(-31, 0))
def test_tflite_rounding_is_two_roundings_of_fractions(acc, multiplier, shift):
    half = Fraction(1, 2)
    product = Fraction(acc * multiplier, 1 << 31)
    high = floor(product + half)  # half up ...
    if acc < 0:
        high = -floor(-product + half - Fraction(1, 1 << 31))  # ... for either sign
    quotient = Fraction(high, 1 << -shift)
    expected = floor(abs(quotient) + half) * (1 if quotient >= 0 else -1)

    assert requantize_tflite(acc, multiplier, shift) == expected


@given(st.integers(INT32.min, INT32.max), st.integers(1 << 30, INT32.max), st.integers(-16, 1))
def test_hardware_form_is_tflites_rounding_for_every_shift_that_fits(acc, multiplier, shift):
    acc >>= max(shift, 0)
    exponent = 16 + shift
    constant = 1 << exponent if shift < 0 else 0

    result = requantize_hardware(acc, 0, multiplier << exponent, constant, Rounding.TFLITE)

    assert result == requantize_tflite(acc, multiplier, shift)


@given(st.integers(INT32.min, INT32.max), st.integers(0, (1 << 48) - 1), st.integers(-1, 15))
def test_hardware_form_for_tflite_is_one_floor_of_a_fraction(acc, multiplier, exponent):
    constant = 1 << exponent if exponent >= 0 else 0
    offset = Fraction(constant, 1 << 17) * (-1 if acc < 0 else 1)
    expected = floor(Fraction(acc * multiplier, 1 << 47) + Fraction(1, 2) + offset)

    assert requantize_hardware(acc, 0, multiplier, constant, Rounding.TFLITE) == expected


@given(st.integers(INT32.min, INT32.max), st.integers(0, (1 << 48) - 1))
def test_hardware_form_for_onnx_draws_half_an_ulp_to_the_tie(acc, multiplier):
    value = Fraction(acc * multiplier, 1 << 47)
    below = floor(value)
    magnitude = below if acc >= 0 else ~below
    ulp = Fraction(2) ** (min(magnitude, 255).bit_length() - 1 - 23)
    distance = value - below - Fraction(1, 2)
    if -ulp / 2 <= distance < ulp / 2:
        expected = below + below % 2
    else:
        expected = below + (distance >= 0)

    assert requantize_hardware(acc, 0, multiplier, 0, Rounding.ONNX) == expected


@given(st.integers(-(1 << 20), 1 << 20), st.integers(1 << 23, (1 << 24) - 1), st.integers(-10, -1))
def test_hardware_form_is_onnx_runtimes_rounding_for_full_mantissas(acc, mantissa, exponent):
    mantissa |= 1
    scale = np.float32(np.ldexp(mantissa, exponent - 24))
    # a product of exactly 25 significant bits would need an even mantissa or a tiny accumulator
    result = requantize_hardware(acc, 0, mantissa << (23 + exponent), 0, Rounding.ONNX)
    expected = requantize_onnx(acc, scale)

    if abs(expected) < 256:
        odd = abs(acc * mantissa) or 1
        odd //= odd & -odd
        assert result == expected or odd.bit_length() == 25


def test_tie_window_contains_its_lower_bound_and_not_its_upper_one():
    # 233 * 120665 / 2**17 is half a float32 ulp above 214.5; its negative lies as far below -214.5.
    parameters = (0, 233 << 30, 0, Rounding.ONNX)

    np.testing.assert_array_equal(requantize_hardware([120665, -120665], *parameters), [215, -214])
    np.testing.assert_array_equal(
        requantize_onnx([120665, -120665], np.float32(233 / 2**17)), [214, -214]
    )


def test_bias_is_added_before_everything_else():
    acc, bias = np.array([5, -5, 100]), np.array([-5, 5, -300])
    parameters = (1 << 46, 0, Rounding.ONNX)

    result = requantize_hardware(acc, bias, *parameters)

    np.testing.assert_array_equal(result, requantize_hardware(acc + bias, 0, *parameters))
    np.testing.assert_array_equal(result, [0, 0, -100])


def test_output_code_clamps_after_the_zero_point():
    result = np.array([-300, -11, -10, 0, 200, 300, 1 << 33])
    np.testing.assert_array_equal(output_code(result, 10, 3, 250), [3, 3, 3, 10, 210, 250, 250])


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32))
def test_matmul_by_digits_is_matmul(act_bits, digit_bits, seed):
    rng = np.random.default_rng(seed)
    act = rng.integers(0, 1 << act_bits, (3, 7))
    weight = rng.integers(-128, 128, (7, 4))

    result = matmul_by_digits(act, weight, act_bits=act_bits, digit_bits=digit_bits)

    np.testing.assert_array_equal(result, act @ weight)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: requantize_tflite(1 << 31, 1 << 30, 0), "acc must be in .*, not 2147483648"),
        (lambda: requantize_tflite(1, 5, 0), "multiplier must be 0 or at least"),
        (lambda: requantize_tflite(1, 1 << 30, 31), "shift must be in -31..30, not 31"),
        (lambda: requantize_tflite(1 << 30, 1 << 30, 1), "shifted left by shift must be in"),
        (lambda: requantize_onnx(1, np.float32(-1)), "scale must be finite and not negative"),
        (lambda: requantize_onnx(1, np.float32("inf")), "scale must be finite"),
        (
            lambda: requantize_hardware(INT32.max, 1, 0, 0, Rounding.ONNX),
            r"acc \+ bias must be in .*, not 2147483648",
        ),
        (
            lambda: requantize_hardware(0, 0, 1 << 48, 0, Rounding.ONNX),
            "multiplier must be in 0..281474976710655",
        ),
        (
            lambda: requantize_hardware(0, 0, 0, 3, Rounding.TFLITE),
            "round_constant must be 0 or a power of two",
        ),
        (lambda: output_code(0, 256, 0, 255), "zero_code must be in 0..255, not 256"),
        (lambda: output_code(0, 0, 2, 1), "clamp_min must not exceed clamp_max"),
        (
            lambda: matmul_by_digits([[4]], [[1]], act_bits=2, digit_bits=1),
            "act must be in 0..3, not 4",
        ),
        (
            lambda: matmul_by_digits([[1]], [[1]], act_bits=9, digit_bits=1),
            "act_bits must be in 1..8, not 9",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_float_arguments_are_refused():
    with pytest.raises(TypeError, match="acc must be integers, not float64"):
        requantize_tflite(1.0, 1 << 30, 0)
    with pytest.raises(TypeError, match="scale must be float32, not float64"):
        requantize_onnx(1, np.float64(1))
