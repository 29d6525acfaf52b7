"""The cycle model over a program: equal to the functional simulator, and complete."""

import pytest

from mapping.compiler import compile_network
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from sim.timing import predict_counters, trace_lines
from systolic.spec.config import ArrayConfig
from tests.strategies import images_for, random_network


@pytest.mark.parametrize("seed", range(8))
def test_predicted_counters_equal_those_of_a_run(seed: int) -> None:
    config, graph = ArrayConfig(), random_network(seed)
    program = compile_network(graph, config)
    _, counters = run_network(FunctionalSimulator(config), program, images_for(graph, 1, seed))
    assert counters == [predict_counters(program)]


def test_layers_cycles_add_up_to_the_counters() -> None:
    program = compile_network(random_network(3), ArrayConfig())
    total, busy = 0, 0
    for layer, registers in zip(program.layers, predict_counters(program), strict=True):
        total, busy = total + layer.cycles, busy + layer.busy_cycles
        assert (registers.cycles, registers.busy_cycles) == (total, busy)


def test_a_trace_covers_every_cycle_once() -> None:
    program = compile_network(random_network(3), ArrayConfig())
    cycle = 0
    for line in trace_lines(program):
        start, taken = line.split()[:2]
        assert int(start) == cycle
        if taken != "end":
            cycle += int(taken)
    assert cycle == program.cycles
