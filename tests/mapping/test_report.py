"""Where the cycles go: every one is attributed, and the largest part names the bound."""

import pytest

from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.report import Breakdown, break_down, layer_lines, timeline
from systolic.spec.config import ArrayConfig
from systolic.spec.timing import program_cycles
from tests.strategies import random_network

CONFIG = ArrayConfig()


@pytest.mark.parametrize("seed", range(10))
def test_every_cycle_is_attributed_once(seed: int) -> None:
    code = compile_network(random_network(seed), CONFIG).instructions
    end = program_cycles(code, CONFIG)[-1]
    parts = break_down(code, CONFIG)
    total = parts.array + parts.weights + parts.requantizer + parts.store + parts.setup
    assert (total, parts.array) == (end.cycle, end.busy_cycles)


def test_intervals_follow_each_other() -> None:
    code = compile_network(random_network(2), CONFIG).instructions
    intervals = list(timeline(code, CONFIG))
    assert [interval.instruction for interval in intervals] == list(code)
    starts = [interval.start for interval in intervals]
    assert starts == [0, *(interval.end for interval in intervals[:-1])]
    assert all(i.waited + i.busy <= i.end - i.start for i in intervals)


def test_the_bound_is_the_largest_part() -> None:
    assert Breakdown(1, 2, 5, 4, 3).bound == "requantizer"
    assert Breakdown(array=9, weights=2, requantizer=5, store=4, setup=3).bound == "array"


def test_the_table_says_what_was_pruned() -> None:
    builder = Builder()
    hidden = builder.input((2,)).matmul([[1, 0, 0]] * 2, name="hidden").requantize(1 << 30, 0)
    last = hidden.matmul([[1], [2], [3]], name="last").requantize(1 << 30, 0)
    graph = builder.graph(last)
    lines = list(layer_lines(compile_network(graph, CONFIG)))
    assert [line.rpartition("; ")[2] for line in lines[1:3]] == ["pruned 2 out", "pruned 2 in"]
    assert "pruned" not in "".join(layer_lines(compile_network(graph, CONFIG, prune=False)))
