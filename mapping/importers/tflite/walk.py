"""What the operators' importers share: the values so far, and checks of a model's tensors.

Shapes lose their batch axis of 1: (1, height, width, channels) and (1, features) are what the graph
calls (height, width, channels) and (features,).
"""

from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mapping.builder import Builder, Value
from mapping.host_ends import Affine, OutputEnd
from mapping.importers.errors import RefusedError
from mapping.importers.tflite.records import Activation, Model, Operator, Tensor
from mapping.ops import ActType, TensorType
from mapping.ops.types import MAX_ELEMENTS

CONSTANT_DTYPES: Final = {"INT8": "<i1", "INT32": "<i4"}
MAX_CONSTANTS: Final = 1 << 25
"""Elements that constants may have in all, each counted as often as it is used."""

INT8_MIN: Final = -128
INT8_MAX: Final = 127
RELU6_TOP: Final = 6.0
SCALE_MIN: Final = 2.0**-60
SCALE_MAX: Final = 2.0**60
"""Far beyond what networks have; products and ratios of such are sound in float32."""


class Walk:
    """One walk over a model.

    Parameters
    ----------
    model : Model
        What is imported.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.builder = Builder()
        self.values: dict[int, Value] = {}
        self.ends: dict[int, tuple[int, OutputEnd]] = {}
        self.quantized_inputs: dict[int, tuple[int, Affine]] = {}
        self._constants = 0

    def tensor(self, operator: Operator, position: int) -> Tensor:
        """An operator's input; refused if it is left out."""
        if position >= len(operator.inputs) or operator.inputs[position] < 0:
            raise RefusedError(f"input {position} is missing")
        return self.model.tensors[operator.inputs[position]]

    def output(self, operator: Operator) -> Tensor:
        """An operator's only output."""
        if len(operator.outputs) != 1:
            raise RefusedError(f"must have one output, not {len(operator.outputs)}")
        return self.model.tensors[operator.outputs[0]]

    def value(self, operator: Operator, position: int = 0) -> Value:
        """Value of an operator's input, which has to be int8 activations."""
        tensor = self.tensor(operator, position)
        activations(tensor)
        if tensor.index in self.ends:
            raise RefusedError(
                f"{tensor.label} is a result of the host, which comes last: SOFTMAX and DEQUANTIZE "
                "may only be followed by the end"
            )
        if tensor.index not in self.values:
            what = "a constant" if tensor.data is not None else "never computed"
            raise RefusedError(f"{tensor.label} is {what}, where activations are needed")
        return self.values[tensor.index]

    def constant(self, tensor: Tensor, kind: str) -> NDArray[np.int64 | np.int32 | np.int8]:
        """Value of a constant of that element type, in the tensor's shape."""
        check_tensor(tensor)
        if tensor.kind != kind:
            raise RefusedError(f"{tensor.label} must be {kind}, not {tensor.kind}")
        if tensor.data is None:
            raise RefusedError(f"{tensor.label} must be a constant")
        dtype = np.dtype(CONSTANT_DTYPES[kind])
        if len(tensor.data) != prod(tensor.shape) * dtype.itemsize:
            raise RefusedError(
                f"{tensor.label} must have {prod(tensor.shape) * dtype.itemsize:,} bytes, "
                f"not {len(tensor.data):,}"
            )
        self.spend(prod(tensor.shape))
        return np.frombuffer(tensor.data, dtype).reshape(tensor.shape)

    def spend(self, elements: int) -> None:
        """Count what constants take: few bytes of a file may ask for much memory."""
        self._constants += elements
        if self._constants > MAX_CONSTANTS:
            raise RefusedError(f"all constants together exceed {MAX_CONSTANTS:,} elements")


def check_tensor(tensor: Tensor) -> None:
    """Refuse tensors of a kind that nobody here can use."""
    if tensor.is_dynamic:
        raise RefusedError(
            f"{tensor.label} has a dynamic shape: convert the model with fixed shapes and batch 1"
        )
    if tensor.oddity:
        raise RefusedError(f"{tensor.label} is {tensor.oddity}")
    if min(tensor.shape, default=1) < 1 or prod(tensor.shape) > MAX_ELEMENTS:
        raise RefusedError(
            f"{tensor.label} must have 1..{MAX_ELEMENTS:,} elements, not the shape {tensor.shape}"
        )


def activations(tensor: Tensor, kind: str = "INT8") -> tuple[Affine, TensorType]:
    """Quantization and graph type of a tensor that has to hold activations."""
    check_tensor(tensor)
    if tensor.kind != kind:
        way_out = ": quantize the model to int8" if tensor.kind.startswith("FLOAT") else ""
        raise RefusedError(f"{tensor.label} is {tensor.kind}, only {kind} is supported{way_out}")
    affine = per_tensor(tensor)
    element = ActType(8, signed=kind == "INT8", zero_point=affine.zero_point)
    return affine, TensorType(graph_shape(tensor), element)


def per_tensor(tensor: Tensor) -> Affine:
    """The one scale and zero point of a tensor."""
    quantization = tensor.quantization
    if quantization is None:
        raise RefusedError(f"{tensor.label} has no scale")
    if len(quantization.scales) != 1:
        raise RefusedError(f"{tensor.label} must have one scale, not {len(quantization.scales):,}")
    return Affine(float(scales(tensor, 1)[0]), zero_point(tensor))


def scales(tensor: Tensor, count: int, axis: int | None = None) -> NDArray[np.float64]:
    """Scales of a tensor: ``count`` of them, or one for all; positive, exactly float32."""
    quantization = tensor.quantization
    if quantization is None:
        raise RefusedError(f"{tensor.label} has no scale")
    given = quantization.scales.astype(np.float64)
    if len(given) not in (1, count):
        raise RefusedError(f"{tensor.label} must have 1 or {count:,} scales, not {len(given):,}")
    if len(given) > 1 and axis is not None and quantization.axis != axis:
        raise RefusedError(
            f"{tensor.label} must have its scales along axis {axis}, not {quantization.axis}"
        )
    if not (np.all(given >= SCALE_MIN) and np.all(given <= SCALE_MAX)):  # also refuses NaN
        raise RefusedError(f"{tensor.label} must have scales in {SCALE_MIN:g}..{SCALE_MAX:g}")
    return np.broadcast_to(given, count) if len(given) == 1 else given


def zero_point(tensor: Tensor) -> int:
    """The zero point of a tensor, within its type; all the same if there are several."""
    quantization = tensor.quantization
    zeros = quantization.zero_points if quantization is not None else np.zeros(0, np.int64)
    if not len(zeros):
        return 0
    value = int(zeros[0])
    if np.any(zeros != value):
        raise RefusedError(f"{tensor.label} must have one zero point for all channels")
    low = 0 if tensor.kind == "UINT8" else INT8_MIN
    if not low <= value <= low + INT8_MAX - INT8_MIN:
        raise RefusedError(
            f"the zero point of {tensor.label} must be {low}..{low + 255}, not {value}"
        )
    return value


def graph_shape(tensor: Tensor) -> tuple[int, ...]:
    """Shape without the batch axis."""
    shape = tensor.shape
    if len(shape) > 1 and shape[0] != 1:
        raise RefusedError(f"{tensor.label} has the shape {shape}: only a batch of 1 is supported")
    if not 1 <= len(shape) <= 4:
        raise RefusedError(f"{tensor.label} has {len(shape)} axes, only 1 to 4 are supported")
    if len(shape) == 3:
        return shape  # one row of pixels
    return shape[1:] if len(shape) > 1 else shape


def clamp_of(activation: int, result: Affine) -> tuple[int, int]:
    """Bounds of a result of int8 with a fused activation."""
    try:
        kind = Activation(activation)
    except ValueError:
        raise RefusedError(f"its fused activation {activation} is unknown") from None

    def code(real: float) -> int:
        steps = np.float32(real) / np.float32(result.scale)
        rounded = int(np.sign(steps) * np.floor(np.abs(np.float64(steps)) + 0.5))
        return result.zero_point + rounded

    match kind:
        case Activation.NONE:
            return INT8_MIN, INT8_MAX
        case Activation.RELU:
            low, high = code(0), INT8_MAX
        case Activation.RELU6:
            low, high = code(0), min(INT8_MAX, code(RELU6_TOP))
        case Activation.RELU_N1_TO_1:
            low, high = max(INT8_MIN, code(-1)), min(INT8_MAX, code(1))
        case _:
            raise RefusedError(f"its fused activation {kind.name} is not supported")
    return low, high
