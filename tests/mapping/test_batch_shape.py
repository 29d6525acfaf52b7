"""Batches in another shape, where no element can come to mean another."""

import re

import numpy as np
import pytest

from mapping.batch_shape import reshaped


@pytest.mark.parametrize(
    ("given", "wanted"),
    [((3, 8, 8), (3, 8, 8)), ((8, 8), (8, 8, 1)), ((64,), (8, 8)), ((1, 8, 8), (64,)), ((), (1,))],
)
def test_forms_of_one_order_are_taken(given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    values = np.arange(2 * np.prod(given, dtype=int)).reshape(2, *given)
    got = reshaped(values, wanted, "x")
    assert got.shape == (2, *wanted)
    np.testing.assert_array_equal(got.ravel(), values.ravel())


@pytest.mark.parametrize("given", [(2, 8, 8, 3), (2, 3, 64), (2, 3, 8, 7), (3, 8, 8), ()])
def test_other_axes_are_refused(given: tuple[int, ...]) -> None:
    message = re.escape(f"x must have shape (n, 3, 8, 8), not {given}")
    with pytest.raises(ValueError, match=message):
        reshaped(np.zeros(given), (3, 8, 8), "x")
