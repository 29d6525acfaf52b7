"""Lower thresholds: onto the requantizer's multiplier where they are evenly spaced, else a search.

The multiplier is there in every array, and its way needs a single entry per channel; most
thresholds come from a batch norm and a uniform quantizer, which it counts exactly
(:mod:`mapping.threshold_fit`). What is left, and what a slow multiplier would hold up, goes to the
search, where the configuration has one wide enough.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mapping.errors import UnsupportedError
from mapping.lowering.bounds import BIAS_BITS, Bounds
from mapping.lowering.fuse import Epilogue
from mapping.lowering.requantization import Requantization, ThresholdSearch
from mapping.ops import RequantizeThresholds
from mapping.threshold_fit import CODES, FittedSteps, Steps, fit_steps
from systolic.spec.config import ArrayConfig
from systolic.spec.rounding import Rounding
from systolic.spec.thresholds import BIAS_BITS as NODE_BIAS_BITS
from systolic.spec.thresholds import codes_of_nodes

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class _Layer:
    """A layer's thresholds, one row per channel, with what its epilogue makes of the results."""

    name: str
    thresholds: IntArray
    is_descending: NDArray[np.bool_]
    epilogue: Epilogue
    bias: IntArray
    bounds: Bounds
    config: ArrayConfig

    @property
    def count(self) -> int:
        """Thresholds per channel; results are 0 up to this."""
        return self.thresholds.shape[1]


def lower_thresholds(
    name: str,
    node: RequantizeThresholds,
    epilogue: Epilogue,
    bias: IntArray,
    bounds: Bounds,
    config: ArrayConfig,
) -> tuple[Requantization | ThresholdSearch, Epilogue]:
    """Parameters of the requantizer, and the epilogue behind it.

    Parameters
    ----------
    name : str
        The layer, for the message.
    node : RequantizeThresholds
        The thresholds, of sums with their bias.
    epilogue : Epilogue
        What becomes of their codes.
    bias : ndarray of int64, shape (channels,)
        To be added to the accumulators.
    bounds : Bounds
        Sums that can occur, with the bias.
    config : ArrayConfig
        What there is.

    Raises
    ------
    UnsupportedError
        If neither way gives the same codes for every sum.
    """
    shape = (len(bias), node.thresholds.shape[1])
    layer = _Layer(
        name,
        np.broadcast_to(node.thresholds, shape),
        np.broadcast_to(node.is_descending, shape[:1]),
        epilogue,
        bias,
        bounds,
        config,
    )
    scaled = _by_multiplier(layer)
    bits = node.element.bits
    if bits <= config.threshold_bits:
        is_faster = config.drain_interval(1, thresholds=True) < config.drain_interval(1)
        if scaled is None or is_faster:
            return _by_search(layer)
    if scaled is None:
        raise UnsupportedError(f"{name}: {_missing(layer, bits)}")
    return scaled


def _missing(layer: _Layer, bits: int) -> str:
    """What a configuration lacks for thresholds that the multiplier cannot count."""
    why = "thresholds at uneven distances"
    if layer.is_descending.any() and not layer.config.table:
        why = "thresholds at uneven distances or of falling channels, without a lookup table"
    if bits > 4:
        return f"has {why} and activations of {bits} bits; a search among them has 4 at most"
    return f"has {why}, which need a configuration with threshold_bits={bits} or more"


def _by_multiplier(layer: _Layer) -> tuple[Requantization, Epilogue] | None:
    """Evenly spaced steps, if all that the epilogue does not hide are."""
    steps, lowest, highest = _visible_steps(layer)
    fitted = fit_steps(
        steps,
        acc_bits=layer.config.acc_bits,
        with_table=layer.config.table,
        max_zero=CODES - 1 - lowest,
    )
    if fitted is None:
        return None
    bias = layer.bias + fitted.bias
    if np.abs(bias).max() >= 1 << BIAS_BITS - 1:
        return None
    return _with_table(layer, fitted, bias, lowest, highest)


def _with_table(
    layer: _Layer, fitted: FittedSteps, bias: IntArray, lowest: int, highest: int
) -> tuple[Requantization, Epilogue]:
    epilogue, zero = layer.epilogue, fitted.zero
    if fitted.table is None:
        zero += lowest
        epilogue = replace(epilogue, lo=lowest, hi=highest)
    else:
        codes = fitted.table + lowest
        table = codes if epilogue.table is None else epilogue.table[codes]
        epilogue = replace(epilogue, lo=0, hi=CODES - 1, table=table)
    constant = np.zeros_like(bias)
    return Requantization(bias, fitted.multiplier, constant, Rounding.TFLITE, zero), epilogue


def _visible_steps(layer: _Layer) -> tuple[Steps, int, int]:
    """Steps between the lowest and the highest result of the layer, and these two."""
    low, high, falls = layer.bounds.low, layer.bounds.high, layer.is_descending
    sums = np.stack([low, high])[:, :, None]
    counts: IntArray = (layer.thresholds <= sums).sum(axis=2)
    ends = np.where(falls, layer.count - counts, counts)
    ends = np.clip(ends, layer.epilogue.lo, layer.epilogue.hi)
    lowest, highest = int(ends.min()), int(ends.max())
    rising = layer.thresholds[:, lowest:highest]
    falling = layer.thresholds[:, layer.count - highest : layer.count - lowest]
    thresholds = np.where(falls[:, None], falling, rising)
    return Steps(thresholds, falls, low, high), lowest, highest


def _by_search(layer: _Layer) -> tuple[ThresholdSearch, Epilogue]:
    """A tree for every channel; clamps are thresholds that are always or never reached."""
    config, epilogue, count = layer.config, layer.epilogue, layer.count
    low, high = layer.bounds.low[:, None], layer.bounds.high[:, None]
    falls = layer.is_descending[:, None]
    codes = np.array(codes_of_nodes(config.threshold_bits))
    # A rising code is at least m where the sum reaches threshold m - 1, a falling one where it does
    # not reach threshold count - m.
    rank = np.clip(codes, 1, count)
    cuts = np.where(falls, layer.thresholds[:, count - rank], layer.thresholds[:, rank - 1])
    cuts = np.where(codes <= epilogue.lo, np.where(falls, high + 1, low), cuts)
    cuts = np.where(codes > epilogue.hi, np.where(falls, low, high + 1), cuts)
    cuts = np.clip(cuts, low, high + 1)
    bias = layer.bias[:, None] - cuts
    _check_width(layer.name, bias, NODE_BIAS_BITS, "the bias of a threshold")
    for end in (low, high):
        _check_width(layer.name, end - cuts, config.acc_bits, "a sum less its threshold")
    if epilogue.table is not None:
        reached = np.clip(np.arange(1 << config.threshold_bits), epilogue.lo, epilogue.hi)
        epilogue = replace(epilogue, lo=0, hi=len(reached) - 1, table=epilogue.table[reached])
    return ThresholdSearch(bias, np.broadcast_to(falls, bias.shape)), epilogue


def _check_width(name: str, values: IntArray, bits: int, what: str) -> None:
    limit = 1 << bits - 1
    if values.min() < -limit or values.max() >= limit:
        worst = int(values.min()) if values.min() < -limit else int(values.max())
        raise UnsupportedError(
            f"{name}: {what} must fit {bits} bits, not {worst}: use smaller weights or fewer inputs"
        )
