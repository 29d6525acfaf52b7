"""Products of two computed tensors through the chain: interpreter = functional = gateware."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.ops import ActType
from mapping.program import Program
from mapping.reference import run_all
from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from sim.runner import Simulator, read_tensor, run_network
from sim.timing import predict_counters
from systolic.spec.config import ArrayConfig
from tests.random_product import random_product

NETWORKS = 10
IMAGES = 2


def array(*, scratchpad_words: int = 8192, **parameters: int) -> ArrayConfig:
    """A configuration with a scratchpad that is quickly written."""
    return ArrayConfig(scratchpad_words=scratchpad_words, **parameters)


CONFIGS = (
    array(),
    # Weights in parts, up to eight of them.
    array(rows=8, cols=4, weight_bits=4, digit_bits=2, acc_depth=32, diagonal=True),
    array(rows=8, cols=4, weight_bits=2, digit_bits=8, acc_depth=256, scratchpad_words=16384),
    # Several blocks of channels per tile, digits that do not divide the bits, columns in a PE.
    array(rows=4, cols=8, weight_bits=3, digit_bits=3, acc_depth=256, scratchpad_words=16384),
    array(rows=6, cols=6, digit_bits=3, pe_cols=2),
)


def images_for(graph: Graph, seed: int) -> list[NDArray[np.int64]]:
    """Random images for every input."""
    rng = np.random.default_rng(seed)
    kinds = [graph.types[value] for value in graph.input_ids]
    return [
        rng.integers(kind.element.q_min, kind.element.q_max, (IMAGES, *kind.shape), endpoint=True)
        for kind in kinds
        if isinstance(kind.element, ActType)
    ]


def check(graph: Graph, simulators: tuple[Simulator, ...], seed: int, *, keep_all: bool) -> None:
    """Compile, run on each simulator, compare outputs, stored tensors and counters."""
    program = compile_network(graph, simulators[0].config, keep_all=keep_all)
    program.verify()
    images = images_for(graph, seed)
    expected = run_all(graph, *images)
    for simulator in simulators:
        outputs, counters = run_network(simulator, program, *images, slot=0 if keep_all else None)
        assert counters == [predict_counters(program)] * IMAGES
        for output, value in zip(outputs, graph.outputs, strict=True):
            np.testing.assert_array_equal(output, expected[value])
        if keep_all:
            check_stored(simulator, program, expected)


def check_stored(simulator: Simulator, program: Program, expected: tuple[NDArray, ...]) -> None:
    """Compare what is stored as activations, and the weights of one part, for the last image."""
    for tensor in program.tensors:
        if not tensor.is_weights and tensor.packing is None:
            stored = read_tensor(simulator, program, tensor)
            np.testing.assert_array_equal(stored, expected[tensor.node][-1])


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_random_products_equal_the_interpreter(config: ArrayConfig) -> None:
    simulators = (FunctionalSimulator(config), RtlSimulator(config))
    first = CONFIGS.index(config) * NETWORKS
    for seed in range(first, first + NETWORKS):
        check(random_product(seed), simulators, seed, keep_all=seed % 2 == 0)
