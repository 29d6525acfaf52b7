"""From the bytes of a TensorFlow Lite file to plain records.

The format has no checks of its own and the ``tflite`` package makes none. So nothing that is read
here is trusted: a read outside of the file ends as an exception of Python's, which is caught at
this boundary; lengths are limited before anything is done as often; large vectors stay views of the
file, so that many references to one of them take no memory.
"""

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mapping.importers.errors import ModelError, printable
from mapping.importers.tflite.options import read_options
from mapping.importers.tflite.records import Model, Operator, Quantization, Tensor

IDENTIFIER: Final = b"TFL3"
IDENTIFIER_OFFSET: Final = 4
SCHEMA_VERSION: Final = 3
MAX_BYTES: Final = 64 << 20
MAX_OPERATORS: Final = 4096
MAX_TENSORS: Final = 1 << 14
MAX_CODES: Final = 1024
MAX_OPERANDS: Final = 256
MAX_AXES: Final = 8
MAX_TEXT: Final = 80

READ_ERRORS: Final = (struct.error, IndexError, OverflowError, TypeError, ValueError)
"""What reading a damaged file through the package can raise, and nothing that our code raises."""


def has_identifier(head: bytes) -> bool:
    """Whether a file's first eight bytes are those of a TensorFlow Lite model."""
    return head[IDENTIFIER_OFFSET : IDENTIFIER_OFFSET + len(IDENTIFIER)] == IDENTIFIER


def parse_model(data: bytes) -> Model:
    """Read a model.

    Parameters
    ----------
    data : bytes
        A whole file.

    Returns
    -------
    Model
        Every index within its range, every constant as long as its shape says.

    Raises
    ------
    ModelError
        If it is no TensorFlow Lite file, of another version, damaged, or larger than the limits.
    """
    if len(data) > MAX_BYTES:
        raise ModelError(f"a model must have at most {MAX_BYTES:,} bytes, not {len(data):,}")
    if not has_identifier(data[:8]):
        raise ModelError(f"no TensorFlow Lite file (bytes 4..7 are {data[4:8]!r}, not b'TFL3')")
    package = _package()
    try:
        return _read_model(package, data)
    except ModelError:
        raise
    except READ_ERRORS as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"the file is damaged or cut off ({reason})") from error


def _package() -> Any:
    try:
        return import_module("tflite")
    except ModuleNotFoundError:
        raise ModelError(
            "reading TensorFlow Lite files needs the package tflite: pip install tflite"
        ) from None


def _read_model(package: Any, data: bytes) -> Model:
    model = package.Model.GetRootAs(data, 0)
    if model.Version() != SCHEMA_VERSION:
        raise ModelError(f"the schema must be version {SCHEMA_VERSION}, not {model.Version()}")
    if model.SubgraphsLength() != 1:
        raise ModelError(f"a model must have one graph, not {model.SubgraphsLength()}")
    graph = model.Subgraphs(0)
    codes = tuple(_codes(package, model))
    tensors = tuple(
        _tensor(package, model, graph.Tensors(index), index)
        for index in range(_count("tensors", graph.TensorsLength(), MAX_TENSORS))
    )
    operators = tuple(
        _operator(package, graph.Operators(index), index, codes, len(tensors))
        for index in range(_count("operators", graph.OperatorsLength(), MAX_OPERATORS))
    )
    inputs = _indices("inputs of the graph", graph.InputsLength, graph.InputsAsNumpy)
    outputs = _indices("outputs of the graph", graph.OutputsLength, graph.OutputsAsNumpy)
    for index in (*inputs, *outputs):
        _check_index("tensor", index, 0, len(tensors))
    return Model(_text(model, 10), tensors, operators, inputs, outputs)


def _count(what: str, length: int, limit: int) -> int:
    if length > limit:
        raise ModelError(f"a model must have at most {limit:,} {what}, not {length:,}")
    return length


def _check_index(what: str, index: int, low: int, count: int) -> None:
    if not low <= index < count:
        raise ModelError(f"the file is damaged: there is no {what} {index}")


def _text(table: Any, slot: int) -> str:
    """Start of a string field; the package's own accessor would copy strings of any length."""
    fields = table._tab
    place = fields.Offset(slot)
    if not place:
        return ""
    start, length = fields.Vector(place), fields.VectorLen(place)
    text = bytes(fields.Bytes[start : start + min(length, MAX_TEXT)]).decode(errors="replace")
    return printable(text, MAX_TEXT)


def _indices(
    what: str, length: Callable[[], int], read: Callable[[], NDArray[np.int32]]
) -> tuple[int, ...]:
    count = _count(what, length(), MAX_OPERANDS)
    return tuple(int(index) for index in read()) if count else ()


def _codes(package: Any, model: Any) -> Iterator[tuple[str, int]]:
    """Name and version of each entry in the table of operator codes."""
    names = _names(package.BuiltinOperator)
    for index in range(_count("operator codes", model.OperatorCodesLength(), MAX_CODES)):
        code = model.OperatorCodes(index)
        # Codes up to 127 stand in a field of a byte, in files of any age.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = names.get(number, f"operator code {number}")
        custom = _text(code, 6) if name == "CUSTOM" else ""
        yield (f"CUSTOM {custom!r}" if custom else name), int(code.Version())


@lru_cache(maxsize=8)
def _names(constants: type) -> dict[int, str]:
    """Names of an enumeration of the package."""
    return {value: name for name, value in vars(constants).items() if isinstance(value, int)}


def _tensor(package: Any, model: Any, tensor: Any, index: int) -> Tensor:
    axes = tensor.ShapeLength()
    if axes > MAX_AXES:
        raise ModelError(f"tensor {index} must have at most {MAX_AXES} axes, not {axes:,}")
    shape = tuple(int(extent) for extent in tensor.ShapeAsNumpy()) if axes else ()
    signature = tensor.ShapeSignatureAsNumpy() if tensor.ShapeSignatureLength() == axes > 0 else ()
    kinds = _names(package.TensorType)
    oddity = "sparse" if tensor.Sparsity() is not None else ""
    return Tensor(
        index=index,
        name=_text(tensor, 10),
        kind=kinds.get(tensor.Type(), f"type {tensor.Type()}"),
        shape=shape,
        is_dynamic=_is_dynamic(shape, tuple(int(extent) for extent in signature)),
        quantization=_quantization(tensor.Quantization()),
        data=_constant(model, tensor, index),
        oddity="a variable" if tensor.IsVariable() else oddity,
    )


def _is_dynamic(shape: tuple[int, ...], signature: tuple[int, ...]) -> bool:
    """Whether an axis has no fixed length; a batch of any size may be a batch of 1."""
    if len(shape) > 1 and shape[0] == 1:
        signature = signature[1:]
    return min((*shape, *signature), default=0) < 0


def _quantization(parameters: Any) -> Quantization | None:
    if parameters is None or not parameters.ScaleLength():
        return None
    has_zeros = parameters.ZeroPointLength() > 0
    return Quantization(
        scales=parameters.ScaleAsNumpy(),
        zero_points=parameters.ZeroPointAsNumpy() if has_zeros else np.zeros(0, np.int64),
        axis=parameters.QuantizedDimension(),
    )


def _constant(model: Any, tensor: Any, index: int) -> NDArray[np.uint8] | None:
    """Bytes of a constant tensor, as a view of the file."""
    number = tensor.Buffer()
    if number == 0:
        return None  # the format's empty buffer
    _check_index("buffer", number, 0, model.BuffersLength())
    buffer = model.Buffers(number)
    if buffer.Offset() > 1:
        raise ModelError(f"tensor {index} lies outside of the flatbuffer, as in files over 2 GB")
    return buffer.DataAsNumpy() if buffer.DataLength() else None


def _operator(
    package: Any, operator: Any, index: int, codes: tuple[tuple[str, int], ...], tensors: int
) -> Operator:
    code: int = operator.OpcodeIndex()
    _check_index("operator code", code, 0, len(codes))
    name, version = codes[code]
    what = f"operands of operator {index}"
    inputs = _indices(what, operator.InputsLength, operator.InputsAsNumpy)
    outputs = _indices(what, operator.OutputsLength, operator.OutputsAsNumpy)
    for tensor in inputs:
        _check_index("tensor", tensor, -1, tensors)  # -1 is an optional one
    for tensor in outputs:
        _check_index("tensor", tensor, 0, tensors)
    return Operator(index, name, version, inputs, outputs, read_options(package, operator, name))
