"""Multipliers for the requantizer: exact where it is claimed, refused where it cannot be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.quantize import (
    hardware_parameters_average,
    hardware_parameters_onnx,
    hardware_parameters_tflite,
    quantize_scale,
)
from systolic.spec.arithmetic import requantize_hardware, requantize_onnx, requantize_tflite
from systolic.spec.rounding import Rounding

# Results of this magnitude or more are the same code.
SATURATED = 255


def saturate(result):
    return np.clip(result, -SATURATED, SATURATED)


def every(bound):
    return np.arange(-bound, bound + 1)


@pytest.mark.parametrize("shift", range(-16, 2))
def test_every_tflite_shift_that_fits_is_exact_for_every_accumulator(shift):
    rng = np.random.default_rng(100 + shift)
    multiplier = rng.integers(1 << 30, 1 << 31, 8)
    acc = rng.integers(-(1 << 30), 1 << 30, 20_000)[:, np.newaxis] >> rng.integers(0, 25, 8)

    factor, constant = hardware_parameters_tflite(multiplier, shift, (1 << 30) - 1)

    result = requantize_hardware(acc, 0, factor, constant, Rounding.TFLITE)
    np.testing.assert_array_equal(result, requantize_tflite(acc, multiplier, shift))


@given(st.integers(1 << 30, (1 << 31) - 1), st.integers(-31, -17), st.integers(1, 1 << 17))
def test_small_tflite_scales_are_exact_up_to_the_bound_or_refused(multiplier, shift, bound):
    try:
        factor, constant = hardware_parameters_tflite(multiplier, shift, bound)
    except ValueError:
        return  # the messages have a test of their own
    acc = every(bound)
    result = requantize_hardware(acc, 0, factor, constant, Rounding.TFLITE)
    np.testing.assert_array_equal(result, requantize_tflite(acc, multiplier, shift))


def test_scales_too_small_to_leave_zero_are_never_refused():
    for shift in range(-31, -16):
        bound = (1 << -shift - 1) - 1
        factor, constant = hardware_parameters_tflite((1 << 31) - 1, shift, bound)

        acc = np.array([-bound, -bound // 3, 0, 1, bound])
        assert not requantize_hardware(acc, 0, factor, constant, Rounding.TFLITE).any()


@given(
    st.lists(st.floats(2**-26, 2**-4, width=32), min_size=1, max_size=4),
    st.integers(1, 1 << 16),
)
def test_onnx_scales_are_exact_up_to_the_bound(scales, bound):
    scale = np.array(scales, np.float32)

    factor = hardware_parameters_onnx(scale, bound)

    acc = every(bound)[:, np.newaxis]
    result = requantize_hardware(acc, 0, factor, 0, Rounding.ONNX)
    np.testing.assert_array_equal(saturate(result), saturate(requantize_onnx(acc, scale)))


@given(st.integers(1, 255), st.integers(4, 24), st.integers(0, 200))
def test_onnx_scales_with_many_ties_are_exact_up_to_16_bit_sums(mantissa, exponent, seed):
    scale = np.float32(np.ldexp(mantissa, -exponent))
    if scale >= 2:
        return
    factor = hardware_parameters_onnx(scale, 1 << 16)

    acc = np.random.default_rng(seed).integers(-(1 << 16), 1 << 16, 5000)
    result = requantize_hardware(acc, 0, factor, 0, Rounding.ONNX)
    np.testing.assert_array_equal(saturate(result), saturate(requantize_onnx(acc, scale)))


def test_a_product_half_an_ulp_from_a_tie_is_met_by_another_multiplier():
    # 233 * 120665 has 25 bits: float32 draws it to the tie, the hardware's window ends just there
    scale, bound = np.float32(233 / 2**17), 121_000
    exact = 233 << 30

    factor = hardware_parameters_onnx(scale, bound)

    assert requantize_hardware(120_665, 0, exact, 0, Rounding.ONNX) == 215
    assert factor != exact
    result = requantize_hardware(every(bound), 0, factor, 0, Rounding.ONNX)
    np.testing.assert_array_equal(result, requantize_onnx(every(bound), scale))


@pytest.mark.parametrize("window", [1, 2, 3, 4, 7, 9, 25, 48, 49, 64, 125, 1000, 4097, 16384])
def test_average_is_tflites_for_every_sum_below_2_to_the_20(window):
    sums = every(1 << 20)

    factor, constant = hardware_parameters_average(window)

    result = requantize_hardware(sums, 0, factor, constant, Rounding.TFLITE)
    expected = np.sign(sums) * ((np.abs(sums) + window // 2) // window)
    np.testing.assert_array_equal(result, expected)


@given(st.integers(1, 16384), st.integers(-(1 << 31) + 1, (1 << 31) - 1))
def test_average_is_tflites_for_any_window_and_sum(window, total):
    factor, constant = hardware_parameters_average(window)

    result = requantize_hardware(total, 0, factor, constant, Rounding.TFLITE)

    assert abs(result) == (abs(total) + window // 2) // window
    assert result * total >= 0


@given(st.floats(2**-31, 2**29))
def test_quantized_scales_are_within_half_a_step(real):
    multiplier, shift = quantize_scale(real)

    assert 1 << 30 <= multiplier < 1 << 31
    assert abs(multiplier - np.ldexp(real, 31 - shift)) <= 0.5


def test_scales_below_the_smallest_shift_are_zero():
    assert quantize_scale(0.0) == (0, 0)
    assert quantize_scale(2.0**-33) == (0, 0)
    assert quantize_scale(2.0**-32) == (1 << 30, -31)
    assert quantize_scale(1 - 2.0**-40) == (1 << 30, 1)


def test_zero_scales_give_zero_results():
    factor, constant = hardware_parameters_tflite(0, 0, 1000)
    assert (factor, constant) == (0, 0)
    assert hardware_parameters_onnx(np.float32(0), 1000) == 0


def test_parameters_are_per_channel():
    factor, constant = hardware_parameters_tflite([1 << 30, 1 << 30], [0, -3], [10, 20])

    np.testing.assert_array_equal(factor, [1 << 46, 1 << 43])
    np.testing.assert_array_equal(constant, [0, 1 << 13])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: hardware_parameters_tflite([1 << 30] * 2, [0, 2], 1000),
            "channel 1: multiplier 1073741824, shift 2: .* accumulator 1, and 1000 may occur",
        ),
        (
            lambda: hardware_parameters_tflite(1 << 30, 1, 1 << 30),
            "channel 0: an accumulator of 1073741824 shifted left by 1 leaves int32",
        ),
        (
            lambda: hardware_parameters_tflite(2_018_863_541, -18, 268_435_455),
            "channel 0: .* use a slightly different scale or fewer inputs",
        ),
        (
            lambda: hardware_parameters_onnx(np.float32([0.5, 2.5]), 100),
            "channel 1: scale 2.5: the hardware rounds differently",
        ),
        (lambda: hardware_parameters_onnx(np.float32(1), 1 << 31), "acc_bound must be in"),
        (lambda: hardware_parameters_onnx(np.float32(-1), 1), "scale must be finite"),
        (lambda: hardware_parameters_average(0), "must have 1..16384 elements, not 0"),
        (lambda: hardware_parameters_average(16385), "must have 1..16384 elements, not 16385"),
        (lambda: quantize_scale(-1.0), "scale must be in"),
        (lambda: quantize_scale(float(1 << 30)), "scale must be in"),
    ],
)
def test_what_the_hardware_cannot_do_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_double_is_no_onnx_scale():
    with pytest.raises(TypeError, match="scale must be float32, not float64"):
        hardware_parameters_onnx(0.5, 100)
