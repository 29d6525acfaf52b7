"""The quantized operators' node tests of the package ``onnx``, on the functional simulator.

Where a test gives weights, scales and zero points as inputs, they become constants, as in every
file of a network: only the first input is computed with. 32-bit sums do not leave the array: those
tests are run with a QuantizeLinear of step 1 behind them.
"""

import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx.backend.test.case.node as node_tests
import pytest
from onnx import TensorProto, helper, numpy_helper

from mapping.compiler import compile_network
from mapping.importers import ModelError
from mapping.importers.onnx import import_model
from mapping.presets import PRESETS
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from tests.mapping.importers.onnx.oracle import begin

OPERATORS = (
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "QuantizeLinear",
)  # fmt: skip

REFUSED = MappingProxyType(
    {
        r"dynamicquantizelinear(_m\w+_adjusted)?": "scales that depend on data",
        r"dynamicquantizelinear\w*_expanded": "this operator is not supported",
        r"(de)?quantizelinear_axis": "activations must have one (scale|zero point), not 3",
        r"(de)?quantizelinear_blocked\w*|quantizelinear_u?int[24]": "must have one zero point|"
        "must have one scale|blocks|must be int8",
        r"(de)?quantizelinear_(e4m3fn|e5m2|float4)\w*": "is of type float|must be (int8|float)",
        r"(de)?quantizelinear_u?int16": "must be int8 or uint8 or .*, not u?int16",
    }
)
"""Tests that are not run, and why."""


def cases() -> Iterator[Any]:
    """Test cases of the operators' modules; collecting those of all operators takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own sums overflow
        for operator in OPERATORS:
            import_module(f"{node_tests.__name__}.{operator.lower()}")
    yield from node_tests._NodeTestCases


CASES = {case.name.removeprefix("test_"): case for case in cases()}


def refusal_of(name: str) -> str | None:
    return next((why for what, why in REFUSED.items() if re.fullmatch(what, name)), None)


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


@pytest.mark.parametrize("name", [name for name in CASES if refusal_of(name) is None])
def test_node_tests_pass_on_the_functional_simulator(name: str) -> None:
    data, given, wanted = frozen(CASES[name])
    network = import_model(data).network
    program = compile_network(network.graph, PRESETS["tiny"], name=name)
    (inputs,) = begin(network, [given if given.shape[0] == 1 and given.ndim > 1 else given[None]])
    outputs, _ = run_network(FunctionalSimulator(program.config), program, inputs)
    for got, right in zip(network.ends.finish(outputs), wanted, strict=True):
        held = np.clip(right, -128, 127) if right.dtype == np.int32 else right
        np.testing.assert_array_equal(got.ravel(), held.ravel())


@pytest.mark.parametrize("name", [name for name in CASES if refusal_of(name) is not None])
def test_node_tests_of_other_types_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match=refusal_of(name)) as caught:
        import_model(frozen(CASES[name])[0])
    assert "\n" not in str(caught.value)


def test_all_of_supported_types_pass() -> None:
    """All but those of scales by axis or block, scales that depend on data, and other types."""
    assert len([name for name in CASES if refusal_of(name) is None]) == 18
