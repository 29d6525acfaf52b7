"""The model's outputs: real numbers that the host computes from codes, or from whole sums."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mapping.host_ends import OutputEnd
from mapping.importers.errors import RefusedError
from mapping.importers.qonnx.values import Codes, Sums, graph_places
from mapping.importers.qonnx.walk import Held
from mapping.ops import ActType
from mapping.real.ends import WINDOW, Scores

MAX_WINDOWS: Final = 64
ONE: Final = (1 << 30, 1)
"""Multiplier and shift of 1."""


def output(held: Held) -> tuple[int, OutputEnd]:
    """Node of an output and what the host does with its integers.

    Raises
    ------
    RefusedError
        If the output is not computed by the array, or its sums take too many codes.
    """
    match held:
        case Codes():
            _check_order(held)
            shape = held.places.shape[1:]
            scores = Scores(1, (held.step,), (-held.centre,), (), shape)
            return held.value.node_id, OutputEnd(scores=scores)
        case Sums():
            return _sums(held)
        case _:
            raise RefusedError("it is not computed by the array: there is no quantized layer")


def _sums(sums: Sums) -> tuple[int, OutputEnd]:
    """Codes of windows of the sums, side by side as channels."""
    _check_order(sums)
    span = int((sums.high - sums.low).max())
    windows = max(-(-span // WINDOW), 1)
    if windows > (MAX_WINDOWS if sums.can_repeat else 1):
        raise RefusedError(
            f"its sums span {span:,}, which takes {windows} codes of 8 bits for each, and only "
            f"{MAX_WINDOWS if sums.can_repeat else 1} are supported: quantize the output"
        )
    bits = max(min(span, WINDOW).bit_length(), 1)
    bias = np.concatenate([-sums.low - WINDOW * number for number in range(windows)])
    acc = sums.emit(np.ones_like(bias), bias, windows)
    top = min(span, WINDOW)
    value = acc.requantize(*ONE, ActType(bits, signed=False), clamp=(0, top), name="scores")
    offset = sums.offset + sums.low
    scores = Scores(
        windows, _constants(sums.factor), _constants(offset), sums.steps, sums.places.shape[1:]
    )
    return value.node_id, OutputEnd(scores=scores)


def _constants(values: NDArray[np.float64]) -> tuple[float, ...]:
    """One per channel, or one for all where they are the same."""
    kept = values[:1] if np.all(values == values[0]) else values
    return tuple(float(value) for value in kept)


def _check_order(held: Codes | Sums) -> None:
    """Refuse an output whose elements were moved; channels before pixels are the host's matter."""
    places = held.places
    channels = held.channels if isinstance(held, Sums) else held.value.type.channels
    pixels = places.size // channels
    wanted = graph_places((1, pixels, channels)).ravel()
    if not np.array_equal(places.ravel(), wanted):
        raise RefusedError("its elements are moved after they are computed: leave that to the host")
