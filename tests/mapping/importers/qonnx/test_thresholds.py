"""Changes of level against a look at every accumulator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.importers.errors import RefusedError
from mapping.importers.qonnx.multipliers import find_multiplication
from mapping.importers.qonnx.thresholds import Changes, find_changes, graph_thresholds
from mapping.ops import ActType
from systolic.spec.arithmetic import requantize_tflite

SEEDS = st.integers(0, 2**32 - 1)


def every(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """All accumulators of each channel, the last one repeated, shape (n, channels)."""
    return np.minimum(low + np.arange((high - low).max() + 1)[:, np.newaxis], high)


@given(seed=SEEDS, top=st.integers(0, 15), stride=st.integers(1, 2))
def test_thresholds_give_every_level(seed: int, top: int, stride: int) -> None:
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(1, 6))
    low = rng.integers(-30, 10, channels)
    high = low + rng.integers(0, 40, channels)
    tables = np.sort(rng.integers(0, top + 1, (channels, 40)), axis=1)
    falls = rng.integers(0, 2, channels).astype(bool)
    tables[falls] = tables[falls, ::-1]

    def levels(acc: np.ndarray) -> np.ndarray:
        return tables[np.arange(channels), acc - low]

    changes = find_changes(levels, low, high, top)
    acc = every(low, high)
    wanted = levels(acc)
    assert changes.reached == (wanted.min(), wanted.max())
    element = ActType(max((stride * top).bit_length(), 1), signed=False)
    thresholds = graph_thresholds(changes, element, stride)
    # What mapping.ops.RequantizeThresholds says of itself.
    count = np.count_nonzero(acc[..., np.newaxis] >= thresholds, axis=-1)
    q = np.where(changes.is_descending, element.q_max - count, element.q_min + count)
    np.testing.assert_array_equal(q, stride * wanted)


def line(rng: np.random.Generator, top: int, span: int) -> tuple[np.ndarray, np.ndarray]:
    """Accumulators and levels of a random affine function, rounded and clamped."""
    low = int(rng.integers(-span, span))
    acc = np.arange(low, low + span)
    gain = rng.choice([-1, 1]) * np.exp(rng.uniform(np.log(0.2 * top / span), np.log(2)))
    offset = rng.uniform(-top, 2 * top) - gain * acc.mean()
    return acc, np.clip(np.rint(gain * acc + offset), 0, top).astype(np.int64)


@given(seed=SEEDS, bits=st.integers(5, 8), span=st.integers(40, 3000))
def test_multiplications_give_every_level(seed: int, bits: int, span: int) -> None:
    rng = np.random.default_rng(seed)
    top = (1 << bits) - 1
    acc, wanted = line(rng, top, span)
    low, high = acc[:1], acc[-1:]
    changes = find_changes(lambda values: wanted[values - low], low, high, top)
    origin = int(-rng.integers(0, top))
    found = find_multiplication(changes, origin, 4096)
    got = requantize_tflite(found.gain * acc + found.bias, found.multiplier, found.shift)
    np.testing.assert_array_equal(np.clip(got - origin, 0, top), wanted)


@given(level=st.integers(0, 255), low=st.integers(-1000, 1000), span=st.integers(0, 500))
def test_channels_that_stay_at_one_level_need_no_gain(level: int, low: int, span: int) -> None:
    bounds = np.array([low]), np.array([low + span])
    changes = find_changes(lambda acc: np.full_like(acc, level), *bounds, 255)
    found = find_multiplication(changes, -128, 1)
    acc = np.arange(low, low + span + 1)
    got = requantize_tflite(found.gain * acc + found.bias, found.multiplier, found.shift)
    np.testing.assert_array_equal(np.clip(got + 128, 0, 255), level)


def test_the_gain_is_the_smallest() -> None:
    """One step per accumulator, in phase with it: nothing to be finer for."""
    changes = Changes(
        np.arange(1, 32)[np.newaxis], np.array([False]), np.array([0]), np.array([31])
    )
    assert find_multiplication(changes, 0, 4096).gain == 1


def test_uneven_changes_are_refused_by_their_channel() -> None:
    at = np.stack([np.arange(1, 32), np.arange(1, 32) ** 2])
    changes = Changes(at, np.zeros(2, bool), np.zeros(2, int), np.full(2, 1000))
    with pytest.raises(RefusedError, match=r"channel 1: its 31 changes of level lie unevenly"):
        find_multiplication(changes, 0, 4096)


def test_too_wide_weights_are_refused_by_their_channel() -> None:
    """Steps that are no fraction of an accumulator, and out of phase."""
    at = np.ceil(np.arange(1, 256) * np.sqrt(2) + 0.1).astype(int)[np.newaxis]
    changes = Changes(at, np.zeros(1, bool), np.array([0]), np.array([1000]))
    assert find_multiplication(changes, 0, 4096).gain > 1
    with pytest.raises(RefusedError, match=r"channel 0: no multiplier with a gain of up to 1 "):
        find_multiplication(changes, 0, 1)
