"""Small TensorFlow Lite files, written for tests.

A :class:`ModelWriter` collects tensors and operators; the objects that the file format's compiler
made (they come with ``tflite-micro``) turn them into bytes.
"""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

IDENTIFIER = b"TFL3"
DTYPES = {np.dtype(np.int8): "INT8", np.dtype(np.int32): "INT32", np.dtype(np.float32): "FLOAT32"}


class ModelWriter:
    """Collects one graph; tensors and operators are added in order."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "written for a test"
        self.model.buffers = [schema.BufferT()]  # buffer 0 is empty by convention
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]

    def tensor(
        self,
        shape: Sequence[int],
        scale: float | Sequence[float] | None = None,
        zero_point: int = 0,
        *,
        kind: str = "INT8",
        data: np.ndarray | None = None,
        axis: int = 0,
    ) -> int:
        """Add a tensor and return its index."""
        made = schema.TensorT()
        made.name = f"t{len(self.graph.tensors)}"
        made.shape, made.type = list(shape), getattr(schema.TensorType, kind)
        made.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            made.buffer = len(self.model.buffers) - 1
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = list(np.atleast_1d(scale).astype(np.float32))
            made.quantization.zeroPoint = [zero_point] * len(made.quantization.scale)
            made.quantization.quantizedDimension = axis
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def input(self, shape: Sequence[int], scale: float, zero_point: int = 0, **more: Any) -> int:
        """Add a tensor that is an input."""
        index = self.tensor(shape, scale, zero_point, **more)
        self.graph.inputs.append(index)
        return index

    def constant(
        self,
        values: np.ndarray,
        scale: float | Sequence[float] | None = None,
        zero_point: int = 0,
        axis: int = 0,
    ) -> int:
        """Add a constant tensor."""
        return self.tensor(
            values.shape, scale, zero_point, kind=DTYPES[values.dtype], data=values, axis=axis
        )

    def operator(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
        version: int = 1,
    ) -> None:
        """Add an operator; ``options`` is an object of the schema."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = list(inputs), list(outputs)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = options
        self.graph.operators.append(made)

    def output(self, *indices: int) -> None:
        """Declare outputs."""
        self.graph.outputs.extend(indices)

    def to_bytes(self) -> bytes:
        """Contents of the file."""
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())


def options(kind: str, **fields: Any) -> Any:
    """Options object of the schema: ``options("AddOptions", fusedActivationFunction=1)``."""
    made = getattr(schema, f"{kind}T")()
    for name, value in fields.items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    return made
