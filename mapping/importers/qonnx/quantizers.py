"""The quantizers of a file: what levels they give, and what real numbers the levels stand for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import integer, number, text
from mapping.importers.onnx.records import Node
from mapping.importers.qonnx.values import Array, Constant, IntArray, spread
from mapping.importers.qonnx.walk import Walk
from mapping.real.quantizer import (
    LEVEL_LIMIT,
    MAX_DROP_BITS,
    ROUNDINGS,
    SIGN,
    LevelQuantizer,
)
from mapping.real.steps import FloatArray

MAX_LEVELS: Final = 256
MAX_QUANT_BITS: Final = 32
"""Of constants, such as biases."""


@dataclass(frozen=True, eq=False)
class Quantization:
    """A quantizer of activations.

    Parameters
    ----------
    levels : function
        Levels, from 0 on, of real numbers of shape (..., channels).
    top : int
        Highest level.
    step : float
        Real number from one level to the next, positive.
    centre : float
        Level of the real number 0; need be neither an integer nor in ``0..top``.
    record : LevelQuantizer or None
        The same for the host, where all channels are treated alike.
    """

    levels: Callable[[FloatArray], IntArray]
    top: int
    step: float
    centre: float
    record: LevelQuantizer | None = None


@dataclass(frozen=True, eq=False)
class _Attributes:
    """Scale and zero point, bounds and rounding of a Quant."""

    scale: Array
    zero_point: Array
    low: int
    high: int
    rounding: str

    @property
    def is_bipolar(self) -> bool:
        return self.rounding == SIGN


def quantization(walk: Walk, node: Node, extremes: FloatArray | None = None) -> Quantization:
    """Quantizer of activations that a node is.

    Parameters
    ----------
    walk : Walk
        Gives the node's constants.
    node : Node
        ``Quant`` or ``IntQuant``, ``BipolarQuant``, ``Trunc`` or ``MultiThreshold``.
    extremes : ndarray of float32 or None
        Smallest and largest real number that it can be given; None if they are not known.

    Raises
    ------
    RefusedError
        If a parameter is not constant or not supported.
    """
    if node.op == "MultiThreshold":
        return _multi_threshold(walk, node)
    if node.op == "Trunc":
        return _trunc(walk, node, extremes)
    given = _attributes(walk, node)
    scale, zero = _one(given.scale, "scale"), _one(given.zero_point, "zero point")
    if node.op == "BipolarQuant":
        return _of_record(LevelQuantizer(1.0, 0.0, 0, 1, SIGN), 2 * _positive(scale), 0.5)
    record = _record(scale, zero, given.low, given.high, given.rounding)
    if given.is_bipolar:
        return _of_record(record, 2 * scale, (1 + zero) / 2)
    return _of_record(record, scale, zero - given.low)


def quantized_constant(walk: Walk, node: Node) -> Constant:
    """Result of ``Quant``, ``IntQuant`` or ``BipolarQuant`` of a constant, with its integers."""
    if node.op in ("Trunc", "MultiThreshold"):
        raise RefusedError("its input is a constant, which only Quant and BipolarQuant may have")
    values, given = walk.reals(node, 0), _attributes(walk, node)
    places = np.zeros(values.shape, np.int64)
    scale, zero = spread(given.scale, places), spread(given.zero_point, places)
    walk.spend(values.shape)
    with np.errstate(all="ignore"):
        quotient: Array = values if node.op == "BipolarQuant" else values / scale + zero
    if given.is_bipolar:
        levels = np.where(quotient >= 0, 1, -1).astype(np.float32)
    else:
        clipped: Array = np.clip(quotient, np.float32(given.low), np.float32(given.high))
        levels = ROUNDINGS[given.rounding](clipped)
    centred = levels - zero
    if not np.all(np.isfinite(centred)) or np.any(centred != np.rint(centred)):
        raise RefusedError("its zero point must be an integer")
    return Constant(centred * scale, centred.astype(np.int64), scale)


def _attributes(walk: Walk, node: Node) -> _Attributes:
    scale = walk.reals(node, 1)
    if not scale.size or not np.all((scale >= 2.0**-60) & (scale <= 2.0**60)):
        raise RefusedError("its scale must be positive, 2**-60..2**60")
    if node.op == "BipolarQuant":
        return _Attributes(scale, np.zeros((), np.float32), 0, 1, SIGN)
    zero = walk.reals(node, 2)
    if not zero.size or not np.all(np.abs(zero) < LEVEL_LIMIT):
        raise RefusedError(f"its zero point must be below {LEVEL_LIMIT:,}")
    bits = _bits(walk, node, 3)
    is_signed, is_narrow = integer(node, "signed", 1), integer(node, "narrow", 0)
    rounding = _rounding(node, "ROUND")
    if bits == 1 and is_signed:
        return _Attributes(scale, zero, 0, 1, SIGN)
    low, high = _bounds(bits, bool(is_signed), bool(is_narrow))
    return _Attributes(scale, zero, low, high, rounding)


def _trunc(walk: Walk, node: Node, extremes: FloatArray | None) -> Quantization:
    """Trunc in both of its versions: the newer one has a scale and a clamp of its own result."""
    scale, zero = _positive(walk.scalar(node, 1)), walk.scalar(node, 2)
    bits_in = _bits(walk, node, 3)
    if len(node.inputs) > 5:
        step, bits = _positive(walk.scalar(node, 4)), _bits(walk, node, 5)
        drop = round(float(np.log2(np.float32(step) / np.float32(scale))))
        low, high = _bounds(
            bits, bool(integer(node, "signed", 1)), bool(integer(node, "narrow", 0))
        )
        centre = zero / 2**drop
    else:
        step, drop, centre = scale, bits_in - _bits(walk, node, 4), zero
        low, high = -LEVEL_LIMIT, LEVEL_LIMIT
    if not 0 <= drop <= MAX_DROP_BITS:
        raise RefusedError(f"it must drop 0..{MAX_DROP_BITS} bits, not {drop}")
    rounding = _rounding(node, "FLOOR")
    record = _record(scale, zero, low, high, rounding, drop)
    if extremes is not None:  # what cannot occur needs no levels
        reached = record.levels(extremes)
        record = _record(scale, zero, int(reached.min()), int(reached.max()), rounding, drop)
    return _of_record(record, step, centre - record.low)


def _multi_threshold(walk: Walk, node: Node) -> Quantization:
    thresholds = walk.reals(node, 1)
    if thresholds.ndim != 2 or not 0 < thresholds.shape[1] < MAX_LEVELS:
        raise RefusedError(
            f"its thresholds must have the shape (channels, 1..{MAX_LEVELS - 1}), "
            f"not {thresholds.shape}"
        )
    if text(node, "data_layout", "") not in ("", "NC", "NCHW"):
        raise RefusedError(
            f"its layout must be NC or NCHW, not {text(node, 'data_layout', '')!r:.20}: "
            "import the network as it was before layouts were changed"
        )
    step, bias = _positive(number(node, "out_scale", 1.0)), number(node, "out_bias", 0.0)

    def levels(values: FloatArray) -> IntArray:
        if len(thresholds) not in (1, values.shape[-1]):
            raise RefusedError(
                f"it needs thresholds of 1 or {values.shape[-1]} channels, not {len(thresholds)}"
            )
        count = np.zeros(values.shape, np.int64)
        for threshold in thresholds.T:  # one after the other: as much memory as the values have
            count += values >= threshold
        return count

    return Quantization(levels, thresholds.shape[1], step, -bias / step)


def _of_record(record: LevelQuantizer, step: float, centre: float) -> Quantization:
    if record.high - record.low >= MAX_LEVELS:
        raise RefusedError(
            f"it has levels {record.low}..{record.high}: activations have at most 8 bits"
        )

    def levels(values: FloatArray) -> IntArray:
        return record.levels(values) - record.low

    return Quantization(levels, record.high - record.low, step, centre, record)


def _record(
    scale: float, zero: float, low: int, high: int, rounding: str, drop_bits: int | None = None
) -> LevelQuantizer:
    try:
        return LevelQuantizer(scale, zero, low, high, rounding, drop_bits)
    except ValueError as error:
        raise RefusedError(str(error)) from None


def _bounds(bits: int, is_signed: bool, is_narrow: bool) -> tuple[int, int]:
    """Smallest and largest level."""
    if is_signed:
        return -(1 << bits - 1) + is_narrow, (1 << bits - 1) - 1
    return 0, (1 << bits) - 1 - is_narrow


def _bits(walk: Walk, node: Node, position: int) -> int:
    bits = walk.scalar(node, position)
    if bits != int(bits) or not 1 <= bits <= MAX_QUANT_BITS:
        raise RefusedError(f"its bit width must be an integer 1..{MAX_QUANT_BITS}, not {bits:g}")
    return int(bits)


def _rounding(node: Node, default: str) -> str:
    mode = text(node, "rounding_mode", default).upper()
    if mode not in ROUNDINGS or mode == SIGN:
        known = ", ".join(name for name in ROUNDINGS if name != SIGN)
        raise RefusedError(f"its rounding_mode must be one of {known}, not {mode!r:.20}")
    return mode


def _one(values: Array, what: str) -> float:
    if np.any(values != values.flat[0]):
        raise RefusedError(
            f"its {what} differs between channels, which only weights may have: "
            "quantize activations per tensor"
        )
    return float(values.flat[0])


def _positive(value: float) -> float:
    if not 2.0**-60 <= value <= 2.0**60:
        raise RefusedError(f"its scale must be positive, 2**-60..2**60, not {value:g}")
    return value
