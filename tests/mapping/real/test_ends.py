"""Inputs and scores that the host computes."""

from dataclasses import replace

import numpy as np
import pytest

from mapping.real.ends import RealInput, Scores
from mapping.real.quantizer import LevelQuantizer
from mapping.real.steps import Step

QUANTIZER = LevelQuantizer(1.0, 0.0, -2, 5, "ROUND")


def test_inputs_are_ordered_stepped_and_quantized() -> None:
    """Two channels of 1 x 3 pixels, channels first in the file and last in the graph."""
    steps = (Step("multiply", (1.0, -1.0)),)
    end = RealInput((2, 1, 3), (1, 2, 0), (1, 3, 2), steps, QUANTIZER, 1)
    values = np.array([[[[0, 1, 2]], [[3, 4, -5]]]], np.float64)
    np.testing.assert_array_equal(end(values), [[[[2, 0], [3, 0], [4, 7]]]])


def test_levels_may_be_spread() -> None:
    end = RealInput((3,), (0,), (3,), (), QUANTIZER, 2)
    np.testing.assert_array_equal(end(np.array([[-2, 0, 9]])), [[0, 4, 14]])


def test_inputs_of_another_size_are_refused() -> None:
    end = RealInput((1, 3), (0, 1), (3,), (), QUANTIZER, 1)
    with pytest.raises(ValueError, match=r"must have shape \(n, 1, 3\), not \(2, 4\)"):
        end(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="not NaN"):
        end(np.full((1, 3), np.nan))


def test_windows_add_up_before_anything_else() -> None:
    scores = Scores(2, (0.5, 2.0), (-10.0, 0.0), (Step("add", (1.0,)),), (2, 1, 2))
    codes = np.array([[[[255, 255, 5, 0], [10, 7, 0, 0]]]])
    np.testing.assert_array_equal(scores(codes), [[[[126, 1]], [[511, 15]]]])
    assert scores(codes).dtype == np.float32


def test_scores_without_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one window, not 0"):
        Scores(0, (1.0,), (0.0,), (), (1,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axes": (0, 2)}, r"\(0, 2\) is no order of 2 axes"),
        ({"graph_shape": (4,)}, r"\(1, 3\) and \(4,\) must be shapes of one size"),
        ({"steps": (Step("add", (1.0, 2.0)),)}, "one or one per channel .*, not 2"),
    ],
)
def test_wrong_inputs_are_refused(change: dict[str, object], message: str) -> None:
    good = RealInput((1, 3), (0, 1), (3,), (), QUANTIZER, 1)
    with pytest.raises(ValueError, match=message):
        replace(good, **change)


def test_scores_need_constants_for_every_channel() -> None:
    with pytest.raises(ValueError, match=r"one or one per channel \(3, .*, not 2"):
        Scores(1, (1.0,), (0.0, 0.0), (), (3,))
    with pytest.raises(ValueError, match="without empty axes"):
        Scores(1, (1.0,), (0.0,), (), ())
