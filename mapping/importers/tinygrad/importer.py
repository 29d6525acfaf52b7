"""The walk over tinygrad's operations, each after those it is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapping.importers.tinygrad.operations import (
    MOVEMENTS,
    Operation,
    cast_to,
    chosen,
    divided,
    largest,
    moved,
    product,
    reduced,
    total,
)
from mapping.importers.tinygrad.value import TinygradError, Value
from mapping.ops import ActType
from mapping.program import Program
from mapping.tensor import Device, Tensor
from systolic.spec.config import ArrayConfig

ACTIVATIONS: Final = {
    "signed char": ActType(8, signed=True),
    "unsigned char": ActType(8, signed=False),
}
LIMITS: Final = {
    "bool": (0, 1),
    "signed char": (-(1 << 7), (1 << 7) - 1),
    "unsigned char": (0, (1 << 8) - 1),
    "short": (-(1 << 15), (1 << 15) - 1),
    "int": (-(1 << 31), (1 << 31) - 1),
    "long": (-(1 << 63), (1 << 63) - 1),
    "weakint": (-(1 << 63), (1 << 63) - 1),
}
UNCHANGED: Final = ("COPY", "CONTIGUOUS", "DETACH")


@dataclass(frozen=True, eq=False)
class TinygradNetwork:
    """A tinygrad tensor as a lazy tensor.

    Parameters
    ----------
    tensor : Tensor
        The result, in tinygrad's shape.
    given : tuple of Tensor
        What is given for each input.
    images : tuple of bool
        Whether an input (1, channels, height, width) is stored channels last.
    """

    tensor: Tensor
    given: tuple[Tensor, ...]
    images: tuple[bool, ...]

    def compile(self, config: ArrayConfig, name: str = "tinygrad") -> Program:
        """Program for an array; its inputs are as :attr:`given`."""
        return self.tensor.compile(config, name)

    def run(self, device: Device, *arrays: ArrayLike) -> NDArray[np.int64]:
        """Compile for a device or simulator and run once, for arrays of tinygrad's shapes."""
        if len(arrays) != len(self.given):
            raise ValueError(f"needs {len(self.given)} input(s), not {len(arrays)}")
        values = {
            one.inputs[0]: np.asarray(array)[0].transpose(1, 2, 0) if is_image else array
            for one, array, is_image in zip(self.given, arrays, self.images, strict=True)
        }
        return self.tensor.run(device, *(values[node] for node in self.tensor.inputs))


def import_tinygrad(result: Any, inputs: Sequence[Any]) -> TinygradNetwork:
    """Take over what a tinygrad tensor would compute.

    Parameters
    ----------
    result : tinygrad.Tensor
        Of 8-bit integers, not realized: what was last cast to them is quantized there.
    inputs : sequence of tinygrad.Tensor
        The tensors that the host will give, int8 or uint8, such as ``Tensor.empty``; all others
        must hold data. Of four axes, (1, channels, height, width).

    Raises
    ------
    TinygradError
        If an operation is not supported, or might wrap; the message names it.
    ExpressionError
        When it is compiled, if the array cannot compute a part of it.
    """
    walk = _Walk()
    given: list[Tensor] = []
    images: list[bool] = []
    for number, one in enumerate(inputs):
        tensor, is_image = _input(one.uop, f"input {number}")
        given.append(tensor)
        images.append(is_image)
        seen = _channels_first(tensor) if is_image else tensor
        walk.values[one.uop] = Value.of(seen)
    tensor = walk.value(result.uop).exact("result")
    missing = [one for one in given if one.inputs[0] not in tensor.inputs]
    if missing:
        raise TinygradError(
            f"tinygrad {missing[0].inputs[0].name}: the result does not depend on it"
        )
    return TinygradNetwork(tensor, tuple(given), tuple(images))


def _input(operation: Operation, name: str) -> tuple[Tensor, bool]:
    """Tensor that the host gives, and whether it is an image stored channels last."""
    element = ACTIVATIONS.get(operation.dtype.name)
    if element is None:
        raise TinygradError(f"tinygrad {name}: must be int8 or uint8, not {operation.dtype.name}")
    shape = tuple(operation.shape)
    is_image = len(shape) == 4 and shape[0] == 1
    stored = (*shape[2:], shape[1]) if is_image else shape
    return Tensor.input(stored, element.bits, element.signed, name=name), is_image


def _channels_first(image: Tensor) -> Tensor:
    return image.permute(2, 0, 1).reshape(1, image.shape[2], *image.shape[:2])


class _Walk:
    """Values of operations so far; see :func:`import_tinygrad`."""

    def __init__(self) -> None:
        self.values: dict[Operation, Value] = {}

    def value(self, root: Operation) -> Value:
        """Value of an operation, after those of all that it needs."""
        pending = [root]
        while pending:
            operation = pending[-1]
            sources = [one for one in _sources(operation) if one not in self.values]
            if operation in self.values:
                pending.pop()
            elif sources:
                pending += sources
            else:
                self.values[operation] = self._checked(operation)
        return self.values[root]

    def _checked(self, operation: Operation) -> Value:
        """Value of an operation that cannot leave its type."""
        kind, name = operation.op.name, operation.dtype.name
        if name not in LIMITS:
            raise TinygradError(f"tinygrad {kind}: computes {name}, but only integers are exact")
        value = self._evaluate(operation, [self.values[one] for one in _sources(operation)])
        low, high = LIMITS[name]
        if not low <= value.low <= value.high <= high:
            raise TinygradError(
                f"tinygrad {kind}: {value.low}..{value.high} may leave {name}: cast to a wider "
                "type before, or clamp"
            )
        return value

    def _evaluate(self, operation: Operation, sources: list[Value]) -> Value:
        kind = operation.op.name
        if kind in UNCHANGED:
            return sources[0]
        if kind in MOVEMENTS:
            return moved(operation, sources[0])
        match kind:
            case "CONST":
                return Value.of(Tensor.constant(np.array(int(operation.arg))))
            case "BUFFER":
                return Value.of(Tensor.constant(_data(operation)))
            case "CAST":
                return cast_to(sources[0], ACTIVATIONS.get(operation.dtype.name))
            case "MUL":
                return product(*sources)
            case "ADD":
                return total(*sources)
            case "REDUCE":
                return reduced(operation, sources[0])
            case "SHR" | "FLOORDIV":
                return divided(kind, *sources)
            case "MAX":
                return largest(*sources)
            case "WHERE":
                return chosen(operation, sources)
            case _:
                raise TinygradError(f"tinygrad {kind}: not supported")


def _sources(operation: Operation) -> tuple[Operation, ...]:
    """What an operation computes from, without the shapes that tinygrad keeps beside it."""
    kind, sources = operation.op.name, tuple(operation.src)
    if kind in ("BUFFER", "CONST"):
        return ()
    if kind in (*MOVEMENTS, *UNCHANGED, "CAST", "REDUCE"):
        return sources[:1]
    if kind == "WHERE" and sources[0].op.name == "CMPLT":
        return (*sources[0].src, *sources[1:])
    return sources


def _data(operation: Operation) -> NDArray[np.int64]:
    """Content of a buffer that holds data."""
    buffer = operation.buffer
    if not buffer.is_allocated():
        raise TinygradError("tinygrad BUFFER: holds no data: name it as an input, or realize it")
    values = np.frombuffer(buffer.as_memoryview(), np.dtype(operation.dtype.fmt))
    return values.reshape(operation.shape).astype(np.int64)
