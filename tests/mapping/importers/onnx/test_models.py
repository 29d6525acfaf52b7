"""Whole networks as ONNX Runtime's static quantization writes them, and where they go."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from mapping.compiler import compile_network
from mapping.importers.onnx import import_model, load_onnx
from mapping.network import from_bytes, to_bytes
from mapping.presets import PRESETS
from mapping.reference import run
from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from sim.runner import Simulator, run_network
from tests.mapping.importers.onnx.oracle import assert_same, begin, infer, session

IMAGES = 20
SHAPE = (3, 8, 8)
TYPES = [
    (QuantType.QInt8, QuantType.QInt8),
    (QuantType.QUInt8, QuantType.QInt8),
    (QuantType.QUInt8, QuantType.QUInt8),
]


class Calibration(CalibrationDataReader):
    """Feeds random images."""

    def __init__(self) -> None:
        self.feeds = iter([{"x": image[np.newaxis]} for image in images(seed=1)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (IMAGES, *SHAPE)).astype(np.float32)


def real_network(*, has_branches: bool) -> onnx.ModelProto:
    """Convolutions, a depthwise one, pools and a dense layer; perhaps with a sum and a mean."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, 1, 3, 3), "w3": (8, 8, 1, 1), "w4": (10, 128)}
    shapes |= {f"b{i}": (shapes[f"w{i}"][0],) for i in range(1, 5)}
    if has_branches:
        shapes["w4"] = (10, 8)
    constants = [
        numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], group=8),
        node("Relu", ["c2"], ["r2"]),
        node("MaxPool", ["r2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p2", "w3", "b3"], ["c3"]),
        node("Relu", ["c3"], ["r3"]),
    ]
    if has_branches:
        nodes += [
            node("Add", ["r3", "p2"], ["a"]),
            node("GlobalAveragePool", ["a"], ["g"]),
            node("Flatten", ["g"], ["f"]),
        ]
    else:
        nodes.append(node("Flatten", ["r3"], ["f"]))
    nodes.append(node("Gemm", ["f", "w4", "b4"], ["y"], transB=1))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *SHAPE])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "small", [x], [y], constants)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


Quantized = Callable[..., bytes]


@pytest.fixture
def quantized(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Quantized:
    """Quantizes the network; the quantizer's advice to simplify it first is not wanted."""
    caplog.set_level("ERROR")

    def quantize(**options: object) -> bytes:
        has_branches = bool(options.pop("has_branches", False))
        onnx.save(real_network(has_branches=has_branches), tmp_path / "real.onnx")
        options.setdefault("activation_type", QuantType.QInt8)
        quantize_static(tmp_path / "real.onnx", tmp_path / "small.onnx", Calibration(), **options)
        return (tmp_path / "small.onnx").read_bytes()

    return quantize


@pytest.mark.parametrize(("activations", "weights"), TYPES)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("has_branches", [False, True])
def test_networks_of_integer_operators(
    quantized: Quantized,
    activations: QuantType,
    weights: QuantType,
    per_channel: bool,
    has_branches: bool,
) -> None:
    data = quantized(
        quant_format=QuantFormat.QOperator,
        activation_type=activations,
        weight_type=weights,
        per_channel=per_channel,
        has_branches=has_branches,
    )
    assert_same(data, [images(seed=2)], strict=False)


@pytest.mark.parametrize(("activations", "weights"), TYPES)
@pytest.mark.parametrize("per_channel", [False, True])
def test_networks_between_quantizations_are_those_of_the_kernels_that_replace_them(
    quantized: Quantized, activations: QuantType, weights: QuantType, per_channel: bool
) -> None:
    data = quantized(activation_type=activations, weight_type=weights, per_channel=per_channel)
    imported = assert_same(data, [images(seed=2)], is_optimised=True, strict=False)
    # Convolutions and products; nothing else is in doubt.
    assert {problem.operator for problem in imported.unproven} == {"QuantizeLinear"}
    assert len(imported.unproven) == 4


@pytest.mark.parametrize("simulator", [FunctionalSimulator, RtlSimulator])
def test_a_network_runs_on_simulators(
    quantized: Quantized, simulator: Callable[..., Simulator]
) -> None:
    data = quantized(quant_format=QuantFormat.QOperator)
    network = import_model(data).network
    program = compile_network(network.graph, PRESETS["tiny"], name="small")
    batch = images(seed=3)[:2]
    outputs, _ = run_network(simulator(program.config), program, *begin(network, [batch]))
    (wanted,) = infer(session(data), [batch])
    np.testing.assert_array_equal(network.ends.finish(outputs)[0], wanted[:, 0])


def test_network_files_keep_what_the_host_does(quantized: Quantized) -> None:
    network = import_model(quantized()).network
    again = from_bytes(to_bytes(network))
    assert again.ends == network.ends
    (batch,) = begin(network, [images(seed=3)])
    for got, right in zip(run(again.graph, batch), run(network.graph, batch), strict=True):
        np.testing.assert_array_equal(got, right)


def test_a_file_is_named_after_itself(quantized: Quantized, tmp_path: Path) -> None:
    quantized()
    network = load_onnx(tmp_path / "small.onnx")
    assert network.info.name == "small"
    assert "quantizes input 0" in str(network.ends)
