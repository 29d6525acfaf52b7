"""Networks with dead channels through the chain, pruned: the interpreter's outputs of the whole."""

import numpy as np
import pytest

from mapping.compiler import compile_network
from mapping.program import Program
from mapping.reference import run
from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from sim.runner import run_network
from sim.timing import predict_counters
from systolic.spec.config import ArrayConfig
from tests.strategies import images_for
from tests.thinned_network import thinned_network

NETWORKS = 40
IMAGES = 2
CONFIGS = (
    ArrayConfig(scratchpad_words=8192),
    ArrayConfig(rows=4, cols=4, weight_bits=4, digit_bits=2, scratchpad_words=8192),
)


def removed(program: Program) -> int:
    """Channels that its layers store no more."""
    return sum(layer.pruned_outputs for layer in program.layers)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_pruned_networks_give_the_same_outputs(config: ArrayConfig) -> None:
    rtl = RtlSimulator(config)
    pruned = 0
    for seed in range(NETWORKS):
        graph = thinned_network(seed)
        program = compile_network(graph, config)
        images = images_for(graph, IMAGES, seed)
        expected = run(graph, images)
        for simulator in (FunctionalSimulator(config), rtl):
            outputs, counters = run_network(simulator, program, images)
            assert counters == [predict_counters(program)] * IMAGES
            for output, wanted in zip(outputs, expected, strict=True):
                np.testing.assert_array_equal(output, wanted)
        pruned += removed(program) > 0
    assert pruned >= NETWORKS // 4


def test_pruning_can_be_switched_off() -> None:
    graph = next(
        graph
        for graph in map(thinned_network, range(NETWORKS))
        if removed(compile_network(graph, CONFIGS[0]))
    )
    whole = compile_network(graph, CONFIGS[0], prune=False)
    kept = compile_network(graph, CONFIGS[0], keep_all=True)
    assert removed(whole) == removed(kept) == 0
    assert all(layer.pruned_inputs == 0 for layer in (*whole.layers, *kept.layers))
    for tensor in kept.tensors:
        assert tensor.shape == graph.types[tensor.node].shape
    assert compile_network(graph, CONFIGS[0]).macs < whole.macs == graph.total_macs
