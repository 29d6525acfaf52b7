"""Whole networks as ONNX Runtime's static quantization writes them, and where they go."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from onnxruntime.quantization import QuantFormat, QuantType

from mapping.compiler import compile_network
from mapping.importers.onnx import import_model, load_onnx
from mapping.network import from_bytes, to_bytes
from mapping.presets import PRESETS
from mapping.reference import run
from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from sim.runner import Simulator, run_network
from tests.mapping.importers.onnx.networks import images, quantized_network
from tests.mapping.importers.onnx.oracle import assert_same, begin, infer, session

TYPES = [
    (QuantType.QInt8, QuantType.QInt8),
    (QuantType.QUInt8, QuantType.QInt8),
    (QuantType.QUInt8, QuantType.QUInt8),
]


Quantized = Callable[..., bytes]


@pytest.fixture
def quantized(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Quantized:
    """Quantizes the network; the quantizer's advice to simplify it first is not wanted."""
    caplog.set_level("ERROR")
    return partial(quantized_network, tmp_path)


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
