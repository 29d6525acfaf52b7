"""Quantizers as nodes of the graph: of the model's input, of activations, and above all of sums."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mapping.importers.errors import RefusedError
from mapping.importers.onnx.records import Node
from mapping.importers.qonnx.multipliers import find_multiplication
from mapping.importers.qonnx.quantizers import Quantization, quantization, quantized_constant
from mapping.importers.qonnx.thresholds import Changes, find_changes, graph_thresholds
from mapping.importers.qonnx.values import (
    Codes,
    Constant,
    IntArray,
    RealSteps,
    Sums,
    graph_places,
    per_channel,
)
from mapping.importers.qonnx.walk import Walk
from mapping.ops import ActType
from mapping.real.ends import RealInput
from mapping.real.steps import FloatArray, Step, apply_steps

MAX_THRESHOLD_BITS: Final = 4
"""Of results that are compared with every threshold; wider ones are multiplied."""


@dataclass(frozen=True)
class _Form:
    """How levels become integers ``q = stride * level``, each meaning ``step * (q - centre)``."""

    element: ActType
    stride: int
    step: float
    centre: float


def quantize(walk: Walk, node: Node) -> Constant | Codes:
    """Import Quant, IntQuant, BipolarQuant, Trunc or MultiThreshold."""
    held = walk.held(node)
    match held:
        case Constant():
            return quantized_constant(walk, node)
        case RealSteps():
            return _quantize_input(walk, node, held)
        case Codes():
            return _quantize_codes(walk, node, held)
        case Sums():
            return _quantize_sums(walk, node, held)


def _form(walk: Walk, node: Node, quantizer: Quantization) -> _Form:
    """Integers for levels; where a border of zeros needs it, twice as fine as the levels."""
    top, centre = quantizer.top, quantizer.centre
    stride = 1
    if centre != int(centre) and 2 * centre == int(2 * centre) and walk.needs_integer_zero(node):
        stride, centre = 2, 2 * centre
    bits = max((stride * top).bit_length(), 1)
    if bits > 8:
        raise RefusedError(
            f"it has {top + 1} levels with 0 between two of them, before a convolution that pads "
            "with 0: use fewer bits or no padding"
        )
    has_zero = centre == int(centre) and 0 <= centre < 1 << bits
    element = ActType(bits, signed=False, zero_point=int(centre) if has_zero else 0)
    return _Form(element, stride, quantizer.step / stride, centre)


def _quantize_input(walk: Walk, node: Node, reals: RealSteps) -> Codes:
    """The graph's input: the host does the arithmetic up to here."""
    if reals.port in walk.inputs:
        raise RefusedError("the model's input is quantized twice, which is not supported")
    quantizer = quantization(walk, node)
    if quantizer.record is None:
        raise RefusedError(f"{node.op} of the model's input is not supported: use Quant there")
    form = _form(walk, node, quantizer)
    axes, shape = _layout(reals)
    places = graph_places(shape).reshape(reals.places.shape)
    steps = tuple(
        Step(kind, per_channel(constants, places, shape[-1])) for kind, constants in reals.steps
    )
    value = walk.builder.input(
        shape, form.element.bits, signed=False, zero_point=form.element.zero_point,
        name=walk.model.inputs[reals.port].name,
    )  # fmt: skip
    end = RealInput(reals.shape[1:], axes, shape, steps, quantizer.record, form.stride)
    walk.inputs[reals.port] = (value.node_id, end)
    return Codes(value, places, form.step, form.centre, 0, form.stride * quantizer.top)


def _layout(reals: RealSteps) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Order of the input's axes in the graph, and the shape there."""
    size, axes = reals.places.size, tuple(range(len(reals.shape) - 1))
    in_order = np.arange(size)
    if reals.places.ndim != 4:
        if np.array_equal(reals.places.ravel(), in_order):
            return axes, (size,)
    else:
        pixels = reals.places[0].transpose(1, 2, 0)
        if np.array_equal(pixels.ravel(), in_order):
            return axes, pixels.shape
        if np.array_equal(reals.places.ravel(), in_order) and len(reals.shape) == 4:
            return (1, 2, 0), pixels.shape
    raise RefusedError("the model's input is reordered before it is quantized: quantize it first")


def _quantize_codes(walk: Walk, node: Node, codes: Codes) -> Codes:
    """Another quantization of activations: a table of what each of them becomes."""
    reals = (codes.step * (np.arange(codes.element.codes) - codes.centre)).astype(np.float32)
    quantizer = quantization(walk, node, reals[codes.low : codes.high + 1])
    form = _form(walk, node, quantizer)
    table = form.stride * quantizer.levels(reals[:, np.newaxis])[:, 0]
    reached = table[codes.low : codes.high + 1]
    value = codes.value.lut(table, form.element, name=node.label)
    low, high = int(reached.min()), int(reached.max())
    return Codes(value, codes.places, form.step, form.centre, low, high)


def _quantize_sums(walk: Walk, node: Node, sums: Sums) -> Codes:
    """Thresholds for up to four bits, a multiplication for more."""
    extremes = _checked_ends(sums)
    quantizer = quantization(walk, node, extremes)
    form = _form(walk, node, quantizer)

    def levels(acc: IntArray) -> IntArray:
        return quantizer.levels(apply_steps(sums.steps, _start(sums, acc)))

    changes = find_changes(levels, sums.low, sums.high, quantizer.top)
    low, high = (form.stride * level for level in changes.reached)
    if form.element.bits <= MAX_THRESHOLD_BITS:
        acc = sums.emit(np.ones_like(sums.low), np.zeros_like(sums.low), 1)
        value = acc.requantize_thresholds(
            graph_thresholds(changes, form.element, form.stride), form.element,
            is_descending=changes.is_descending, clamp=(low, high), name=node.label,
        )  # fmt: skip
        return Codes(value, sums.places, form.step, form.centre, low, high)
    if form.stride > 1:
        raise RefusedError("its levels have 0 between two of them: use at most 3 bits")
    return _multiplied(node, sums, changes, form)


def _multiplied(node: Node, sums: Sums, changes: Changes, form: _Form) -> Codes:
    found = find_multiplication(changes, -form.element.zero_point, sums.max_gain)
    low, high = changes.reached
    value = sums.emit(found.gain, found.bias, 1).requantize(
        found.multiplier, found.shift, form.element, clamp=(low, high), name=node.label
    )
    return Codes(value, sums.places, form.step, form.centre, low, high)


def _start(sums: Sums, acc: IntArray) -> FloatArray:
    """Real numbers of accumulators before the steps: exact, then rounded once."""
    return (sums.factor * (acc + sums.offset)).astype(np.float32)


def _checked_ends(sums: Sums) -> NDArray[np.float32]:
    """Smallest and largest real numbers; refused if a step leaves float32.

    Steps never turn around, so that what lies between is finite as well.
    """
    values = _start(sums, np.stack([sums.low, sums.high]))
    for count in range(len(sums.steps) + 1):
        if not np.all(np.isfinite(values)):
            raise RefusedError("the arithmetic before it leaves the range of float32")
        if count < len(sums.steps):
            values = apply_steps(sums.steps[count : count + 1], values)
    return np.array([values.min(), values.max()])
