"""Networks through the chain: interpreter = functional simulator = gateware, layer by layer.

Cycles as well: those predicted for each layer, those of the functional simulator and those that the
gateware has counted are the same numbers.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.networks import load_digits_images, load_included
from mapping.ops import RequantizeThresholds
from mapping.program import Program
from mapping.reference import run_all
from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from sim.runner import Simulator, read_tensor, run_network
from sim.timing import predict_counters
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Output
from systolic.spec.rounding import Rounding
from tests.random_network import LAYERS
from tests.strategies import images_for, random_network

NETWORKS = 23
IMAGES = 2  # the second finds in every memory what the first has left there


def array(*, scratchpad_words: int = 8192, **parameters: Any) -> ArrayConfig:
    """A configuration with a scratchpad that is quickly written."""
    return ArrayConfig(scratchpad_words=scratchpad_words, **parameters)


CONFIGS = (
    array(),
    array(rows=8, cols=4, digit_bits=2, acc_bits=24, acc_depth=32, out_pixels=32),
    # 8-bit weights in parts, narrow words.
    array(rows=4, cols=4, weight_bits=4, digit_bits=1, acc_depth=64, out_pixels=32),
    array(rows=4, cols=16, weight_bits=2, digit_bits=2, acc_depth=256),
    array(rows=5, cols=5, weight_bits=3, digit_bits=3, acc_depth=256),
    # Up to eight parts of one bit.
    array(rows=8, cols=4, weight_bits=1, digit_bits=2, acc_depth=256),
    array(rows=8, cols=2, digit_bits=8, requantize_cycles=8, acc_depth=64, skew="registers"),
    array(rows=16, cols=8, pe_cols=8, multiplier="fabric", requantize_cycles=12),
    array(rows=4, cols=1, weight_bits=5, digit_bits=1, acc_depth=32, out_pixels=16),
    array(rows=8, cols=4, pe_cols=2, acc_bits=24, diagonal=True),
)


def check_network(
    rtl: RtlSimulator, graph: Graph, images: NDArray[np.int64], *, keep_all: bool
) -> None:
    """Compile a network, run it everywhere, compare outputs, stored tensors and counters."""
    program = compile_network(graph, rtl.config, keep_all=keep_all)
    program.verify()
    expected = run_all(graph, images)
    predicted = [predict_counters(program)] * len(images)
    for simulator in (FunctionalSimulator(rtl.config), rtl):
        slot = 0 if keep_all else None  # the tensors that are listed are those of slot 0
        outputs, counters = run_network(simulator, program, images, slot=slot)
        assert counters == predicted
        for output, value in zip(outputs, graph.outputs, strict=True):
            np.testing.assert_array_equal(output, expected[value])
        if keep_all:
            check_tensors(simulator, program, expected)


def check_tensors(simulator: Simulator, program: Program, expected: Any) -> None:
    """Compare every stored tensor with the interpreter's for the last image."""
    for tensor in program.tensors:
        if tensor.packing is None:
            last = expected[tensor.node][-1]
            np.testing.assert_array_equal(read_tensor(simulator, program, tensor), last)


def check_config(config: ArrayConfig, seeds: range) -> None:
    """Every other network with memory shared between tensors, the others with all of them kept."""
    rtl = RtlSimulator(config)
    roundings = list(Rounding) if config.onnx else [Rounding.TFLITE]
    # An addition's factors go up to 255, which eight parts of one bit do not reach.
    layers = [name for name in LAYERS if name != "add" or config.weight_bits > 1]
    for seed in seeds:
        graph = random_network(seed, layers=layers, roundings=roundings)
        check_network(rtl, graph, images_for(graph, IMAGES, seed), keep_all=seed % 2 == 0)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_every_layer_of_random_networks_equals_the_interpreter(config: ArrayConfig) -> None:
    index = CONFIGS.index(config)
    check_config(config, range(index * NETWORKS, (index + 1) * NETWORKS))


@pytest.mark.parametrize(
    "config",
    [
        array(weight_bits=2, digit_bits=2, threshold_bits=2),
        array(rows=8, cols=4, weight_bits=1, digit_bits=1, acc_bits=24, threshold_bits=1,
              multiplier="fabric", requantize_cycles=12, acc_depth=256, onnx=False),
        array(rows=4, cols=16, weight_bits=4, digit_bits=4, threshold_bits=4, requantize_cycles=8),
    ],
    ids=str,
)  # fmt: skip
def test_every_layer_of_networks_with_thresholds_equals_the_interpreter(
    config: ArrayConfig,
) -> None:
    rtl = RtlSimulator(config)
    layers = [name for name in LAYERS if name != "add" or config.weight_bits > 1]
    searched = 0
    for seed in range(NETWORKS):
        graph = random_network(
            seed, layers=layers, roundings=[Rounding.TFLITE], max_weight_bits=4,
            max_threshold_bits=config.threshold_bits,
        )  # fmt: skip
        check_network(rtl, graph, images_for(graph, IMAGES, seed), keep_all=seed % 2 == 0)
        code = compile_network(graph, config).code[0]
        searched += any(isinstance(each, Output) and each.thresholds for each in code)
    assert searched >= NETWORKS // 3


def test_a_single_threshold_per_channel_needs_no_search() -> None:
    rtl = RtlSimulator(array())
    with_thresholds = 0
    for seed in range(2 * NETWORKS):
        graph = random_network(seed, roundings=[Rounding.TFLITE], max_threshold_bits=1)
        check_network(rtl, graph, images_for(graph, IMAGES, seed), keep_all=False)
        with_thresholds += any(isinstance(node, RequantizeThresholds) for node in graph.nodes)
    assert with_thresholds >= NETWORKS


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        *CONFIGS,
        array(rows=64, cols=4, weight_bits=8, digit_bits=1, acc_depth=256, onnx=False),
        array(rows=16, cols=16, digit_bits=5, acc_depth=32, out_pixels=16),
        array(rows=12, cols=6, weight_bits=6, digit_bits=4, pe_cols=2, requantize_cycles=1),
        array(rows=4, cols=32, weight_bits=4, digit_bits=4, pe_cols=8, acc_depth=256),
    ],
    ids=str,
)
def test_every_layer_of_many_networks_equals_the_interpreter(config: ArrayConfig) -> None:
    check_config(config, range(1000, 1000 + 10 * NETWORKS))


def test_weights_of_16_bits_run_in_parts() -> None:
    rtl = RtlSimulator(array(weight_bits=4, acc_depth=256))
    for seed in range(12):
        graph = random_network(seed, max_weight_bits=16, roundings=[Rounding.TFLITE])
        check_network(rtl, graph, images_for(graph, IMAGES, seed), keep_all=True)


@pytest.mark.parametrize("name", ["digits_int8", "digits_int4"])
@pytest.mark.parametrize("keep_all", [True, False], ids=["all kept", "memory shared"])
def test_every_layer_of_the_digit_networks_equals_the_interpreter(
    name: str, keep_all: bool
) -> None:
    network = load_included(name)
    images = network.quantize_input(load_digits_images().images[:3])
    check_network(RtlSimulator(ArrayConfig()), network.graph, images, keep_all=keep_all)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits_int8", "digits_int4"])
def test_all_held_out_digits_equal_the_interpreter(name: str) -> None:
    network = load_included(name)
    images = network.quantize_input(load_digits_images().images)
    check_network(RtlSimulator(ArrayConfig()), network.graph, images, keep_all=False)
