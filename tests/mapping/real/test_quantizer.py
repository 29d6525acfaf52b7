"""Levels of real numbers in every rounding mode, worked out by hand."""

import numpy as np
import pytest

from mapping.real.quantizer import SIGN, LevelQuantizer

NUMBERS = np.array([-2.5, -1.5, -1.2, -0.5, -0.2, 0, 0.2, 0.5, 1.2, 1.5, 2.5], np.float32)

LEVELS = {
    "ROUND": [-2, -2, -1, 0, 0, 0, 0, 0, 1, 2, 2],
    "HALF_EVEN": [-2, -2, -1, 0, 0, 0, 0, 0, 1, 2, 2],
    "FLOOR": [-3, -2, -2, -1, -1, 0, 0, 0, 1, 1, 2],
    "CEIL": [-2, -1, -1, 0, 0, 0, 1, 1, 2, 2, 3],
    "UP": [-3, -2, -2, -1, -1, 0, 1, 1, 2, 2, 3],
    "DOWN": [-2, -1, -1, 0, 0, 0, 0, 0, 1, 1, 2],
    "HALF_UP": [-3, -2, -1, -1, 0, 0, 0, 1, 1, 2, 3],
    "HALF_DOWN": [-2, -1, -1, 0, 0, 0, 0, 0, 1, 1, 2],
}


@pytest.mark.parametrize("rounding", LEVELS)
def test_roundings(rounding: str) -> None:
    quantizer = LevelQuantizer(1.0, 0.0, -8, 7, rounding)
    np.testing.assert_array_equal(quantizer.levels(NUMBERS), LEVELS[rounding])


def test_scale_zero_point_and_clamp_come_in_this_order() -> None:
    quantizer = LevelQuantizer(0.5, 1.0, -1, 3, "ROUND")
    np.testing.assert_array_equal(quantizer.levels(NUMBERS), [-1, -1, -1, 0, 1, 1, 1, 2, 3, 3, 3])


def test_signs_are_levels_0_and_1() -> None:
    quantizer = LevelQuantizer(1.0, 0.0, 0, 1, SIGN)
    np.testing.assert_array_equal(quantizer.levels(NUMBERS), [0] * 5 + [1] * 6)
    assert quantizer.levels(np.array([-0.0], np.float32)) == 1


def test_dropped_bits_are_rounded_after_a_first_rounding() -> None:
    quantizer = LevelQuantizer(0.25, 0.0, -100, 100, "FLOOR", drop_bits=2)
    values = np.array([-0.26, -0.1, 0.88, 1.0, 1.9], np.float32)  # quarters: -1, 0, 4, 4, 8
    np.testing.assert_array_equal(quantizer.levels(values), [-1, 0, 1, 1, 2])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": 0.0}, "scale must be"),
        ({"scale": float("nan")}, "scale must be"),
        ({"zero_point": 1e9}, "zero point must be"),
        ({"low": 3, "high": 2}, "levels must not be 3..2"),
        ({"rounding": "ODD"}, "must be one of ROUND, .*, not 'ODD'"),
        ({"drop_bits": 40}, "must be 0..31, not 40"),
    ],
)
def test_wrong_quantizers_are_refused(fields: dict[str, object], message: str) -> None:
    good = {"scale": 1.0, "zero_point": 0.0, "low": 0, "high": 3, "rounding": "ROUND"}
    with pytest.raises(ValueError, match=message):
        LevelQuantizer(**{**good, **fields})  # type: ignore[arg-type]
