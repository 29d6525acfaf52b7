"""The quantized operators' node tests of the package ``onnx``, and which of them are refused.

Where a test gives weights, scales and zero points as inputs, they become constants, as in every
file of a network: only the first input is computed with. 32-bit sums do not leave the array: those
tests are run with a QuantizeLinear of step 1 behind them.
"""

import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import onnx.backend.test.case.node as node_tests
from onnx import TensorProto, helper, numpy_helper

OPERATORS = (
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "QuantizeLinear",
)  # fmt: skip


class Refusal(NamedTuple):
    """Why some tests are not run."""

    tests: str
    message: str
    why: str


REFUSED = (
    Refusal(r"dynamicquantizelinear(_m\w+_adjusted)?", "scales that depend on data",
            "scales that depend on data: all timing and all scales are known when compiling"),
    Refusal(r"dynamicquantizelinear\w*_expanded", "this operator is not supported",
            "the same, written as operators"),
    Refusal(r"(de)?quantizelinear_u?int16|quantizelinear_blocked_symmetric",
            "must be int8 or .*, not u?int16|output_dtype", "activations of 16 bits"),
    Refusal(r"(de)?quantizelinear_(e4m3fn|e5m2|float4)\w*", "float8|float4|must be float, not",
            "activations of small floats"),
)  # fmt: skip
"""Regular expressions of names and of messages; all other tests have to pass."""


def cases() -> Iterator[Any]:
    """Test cases of the operators' modules; collecting those of all operators takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own sums overflow
        for operator in OPERATORS:
            import_module(f"{node_tests.__name__}.{operator.lower()}")
    yield from node_tests._NodeTestCases


CASES = {case.name.removeprefix("test_"): case for case in cases()}


def refusal_of(name: str) -> Refusal | None:
    return next((each for each in REFUSED if re.fullmatch(each.tests, name)), None)


PASSING = tuple(name for name in CASES if refusal_of(name) is None)


def frozen(case: Any) -> tuple[bytes, np.ndarray, list[np.ndarray]]:
    """Model with all inputs but the first as constants, that input, and the outputs."""
    inputs, outputs = case.data_sets[0]
    model = type(case.model)()
    model.CopyFrom(case.model)
    graph = model.graph
    for port, values in list(zip(graph.input, inputs, strict=True))[1:]:
        tensor = values if isinstance(values, TensorProto) else numpy_helper.from_array(values)
        tensor.name = port.name
        graph.initializer.append(tensor)
    del graph.input[1:]
    for port in graph.output:
        if port.type.tensor_type.elem_type == TensorProto.INT32:
            _quantize(graph, port)
    given, *wanted = (
        numpy_helper.to_array(values).astype(np.int8) if isinstance(values, TensorProto) else values
        for values in (inputs[0], *outputs)
    )
    return model.SerializeToString(), given, wanted


def _quantize(graph: Any, port: Any) -> None:
    """Behind sums, a QuantizeLinear of step 1 to int8."""
    graph.initializer.extend(
        [numpy_helper.from_array(np.float32(1), "one"), numpy_helper.from_array(np.int8(0), "zero")]
    )
    graph.node.extend(
        [
            helper.make_node("Cast", [port.name], ["real"], to=TensorProto.FLOAT),
            helper.make_node("QuantizeLinear", ["real", "one", "zero"], ["held"]),
        ]
    )
    port.name = "held"
    port.type.tensor_type.elem_type = TensorProto.INT8
