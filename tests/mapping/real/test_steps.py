"""Chains of float32 steps."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.real.steps import Step, apply_steps

KINDS = ("add", "subtract", "multiply", "divide", "maximum", "minimum")
NUMBERS = st.floats(-(2.0**20), 2.0**20, width=32).filter(lambda value: abs(value) > 2.0**-20)


@given(left=NUMBERS, right=NUMBERS)
def test_every_step_rounds_once(left: float, right: float) -> None:
    """The float32 nearest to the exact result, found by looking at both neighbours."""
    exact = {
        "add": Fraction(left) + Fraction(right),
        "subtract": Fraction(left) - Fraction(right),
        "multiply": Fraction(left) * Fraction(right),
        "divide": Fraction(left) / Fraction(right),
        "maximum": Fraction(max(left, right)),
        "minimum": Fraction(min(left, right)),
    }
    for kind in KINDS:
        (got,) = Step(kind, (right,))(np.array([left], np.float32))
        assert got.dtype == np.float32
        error = abs(Fraction(float(got)) - exact[kind])
        for towards in (-np.inf, np.inf):
            other = np.nextafter(got, np.float32(towards))
            assert error <= abs(Fraction(float(other)) - exact[kind])


def test_constants_are_per_channel_and_in_order() -> None:
    steps = (Step("multiply", (2.0, 3.0)), Step("add", (1.0,)))
    result = apply_steps(steps, np.array([[1, 1], [2, 2]], np.float32))
    np.testing.assert_array_equal(result, [[3, 4], [5, 7]])


@given(st.lists(st.tuples(st.sampled_from(KINDS), NUMBERS), max_size=6), st.lists(NUMBERS))
def test_chains_never_turn_around(chain: list[tuple[str, float]], values: list[float]) -> None:
    steps = tuple(Step(kind, (constant,)) for kind, constant in chain)
    ascending = np.sort(np.array(values, np.float32))
    differences = np.diff(apply_steps(steps, ascending).astype(np.float64))
    assert np.all(differences >= 0) or np.all(differences <= 0)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("power", (1.0,), "must be one of add, subtract"),
        ("add", (), "finite float32"),
        ("add", (float("nan"),), "finite float32"),
        ("multiply", (1e39,), "finite float32"),
        ("divide", (1.0, 0.0), "must not divide by 0"),
        ("divide", (1e-60,), "must not divide by 0"),
    ],
)
def test_wrong_steps_are_refused(kind: str, values: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Step(kind, values)
