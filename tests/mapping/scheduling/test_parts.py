"""Programs in parts: what they compute, what is sent again, and where they are cut."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.errors import ScratchpadError
from mapping.graph import Graph
from mapping.program import Part
from mapping.reference import run
from mapping.scheduling.image import NumberedConstants
from mapping.scheduling.parts import Step, cut_costs, cut_into_parts
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from sim.timing import predict_counters
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Drain, Matmul, Output, Sync
from systolic.spec.timing import program_cycles
from tests.strategies import images_for, networks, random_network
from tests.streamed import LEAST_WORDS, least_words, streamed_program, whole_program, words_of

CONFIGS = (
    ArrayConfig(),
    ArrayConfig(rows=8, cols=4, digit_bits=2, acc_bits=24, acc_depth=32, out_pixels=32),
    ArrayConfig(rows=4, cols=16, weight_bits=4, digit_bits=4, acc_depth=64, out_pixels=16),
)


def deep(layers: int = 6, width: int = 32) -> Graph:
    """Fully connected layers, all alike in size."""
    rng = np.random.default_rng(layers)
    builder = Builder()
    value = builder.input((width,))
    for _ in range(layers):
        weights = rng.integers(-20, 20, (width, width))
        value = value.matmul(weights).requantize(1 << 30, -6)
    return builder.graph(value)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@settings(max_examples=20)
@given(graph=networks(), percent=st.integers(0, 100), seed=st.integers(0, 99))
def test_a_streamed_program_gives_what_the_network_means(
    graph: Graph, config: ArrayConfig, percent: int, seed: int
) -> None:
    """From the smallest scratchpad that will do to one that is a word too small for all at once."""
    program = streamed_program(graph, config, percent)
    program.verify()
    images = images_for(graph, 2, seed)
    outputs, counters = run_network(FunctionalSimulator(config), program, images)
    for output, wanted in zip(outputs, run(graph, images), strict=True):
        np.testing.assert_array_equal(output, wanted)
    assert counters == [predict_counters(program)] * 2
    assert counters[0][-1].cycles == program.cycles


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_missing_bytes_are_exactly_what_is_missing(config: ArrayConfig) -> None:
    for graph in (deep(), *map(random_network, range(4))):
        least = least_words(graph, config)
        if least > LEAST_WORDS:
            tight = replace(config, scratchpad_words=least - 1)
            with pytest.raises(ScratchpadError, match="bytes too many") as refusal:
                compile_network(graph, tight, slots=1)
            assert refusal.value.missing_bytes == config.word_bytes


def test_a_program_is_streamed_only_if_it_does_not_fit() -> None:
    graph, config = deep(), CONFIGS[0]
    words = words_of(whole_program(graph, config))
    assert compile_network(graph, replace(config, scratchpad_words=words)).parts == ()
    tight = replace(config, scratchpad_words=words - 1)
    assert len(compile_network(graph, tight).parts) > 1
    for options in ({"stream": False}, {"slots": 2}):
        with pytest.raises(ScratchpadError, match=r"program.*instructions and .*too many"):
            compile_network(graph, tight, **options)


def test_a_network_without_layers_has_no_parts() -> None:
    builder = Builder()
    graph = builder.graph(builder.input((64, 1, 8)).reshape(512))
    tight = replace(CONFIGS[0], scratchpad_words=64)  # all taken by the input
    assert compile_network(graph, replace(tight, scratchpad_words=65)).parts == ()
    with pytest.raises(ScratchpadError, match="two have to be there at a time, 2 words"):
        compile_network(graph, tight)


def test_what_is_streamed_is_the_excess_and_two_regions() -> None:
    graph = deep(12, 64)
    resident = whole_program(graph, CONFIGS[0])
    for words in (words_of(resident) // 2, words_of(resident) * 3 // 4):
        program = compile_network(graph, replace(CONFIGS[0], scratchpad_words=words))
        excess = (words_of(resident) - words) * program.config.word_bytes
        region = max(part.words for part in program.streamed) * program.config.word_bytes
        overhead = len(program.parts) * program.config.word_bytes * program.config.instruction_words
        # What cuts leave unused, and constants that two parts read, are little.
        assert excess + region <= program.streamed_bytes
        assert program.streamed_bytes <= excess + 3 * region + overhead


def test_parts_take_turns_in_two_regions() -> None:
    graph = deep(12, 64)
    words = words_of(whole_program(graph, CONFIGS[0])) // 2
    program = compile_network(graph, replace(CONFIGS[0], scratchpad_words=words))
    first, *others = program.parts
    assert program.resident == (first,)
    assert first.address == program.load_address
    assert [part.address for part in others[::2]] == [others[0].address] * len(others[::2])
    assert [part.address for part in others[1::2]] == [others[1].address] * len(others[1::2])
    for one, other in pairwise(program.parts):
        assert not set(one.place) & set(other.place)
    assert max(part.place.stop for part in program.parts) <= words


def test_a_part_that_shares_no_words_is_written_once() -> None:
    def part(start: int, address: int, words: int) -> Part:
        return Part(start=start, address=address, words=words, entry=address, instructions=1)

    parts = (part(0, 10, 5), part(5, 20, 4), part(9, 15, 5), part(14, 22, 4))
    program = replace(compile_network(deep(1), CONFIGS[0]), parts=parts)
    assert program.resident == (parts[0], parts[2])
    assert program.streamed == {parts[1], parts[3]}
    assert program.streamed_bytes == 8 * CONFIGS[0].word_bytes


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_cost_of_a_cut_is_what_it_takes(config: ArrayConfig) -> None:
    """Cycles of the whole program with a SYNC at the place, less those without it."""
    code = [Step(each, b"") for each in whole_program(random_network(4), config).instructions]

    def cycles(steps: list[Step]) -> int:
        return program_cycles([step.instruction for step in steps], config)[-1].cycle

    costs = cut_costs(code, config)
    assert len(set(costs)) > 2
    for index, cost in enumerate(costs, 1):
        if code[index - 1].ends_layer:
            assert cost == 0
        else:
            cut = [*code[:index], Step(Sync(halt=1), b""), *code[index:]]
            assert cost == cycles(cut) - cycles(code)


def test_a_cut_is_before_what_waits_for_the_drain_anyway() -> None:
    """Not soon behind it, where the next drain has just begun."""
    config = CONFIGS[0]
    tile = config.weight_words * config.word_bytes
    drain = Step(Drain(half=0, count=64, cols=4), b"")
    matmul = Matmul(first=1, half=1, digits=1, count=1, base=0, weights=0)
    matmuls = [Step(matmul, index.to_bytes(tile, "little")) for index in range(120)]
    steps = [Step(Output(digits=2, zero=0, lo=0, hi=255), b""), drain, *matmuls[:60]]
    waits = len(steps)
    steps += [drain, *matmuls[60:], Step(Sync(halt=0), b"")]
    firsts = {
        cut_into_parts([steps], 0, replace(config, scratchpad_words=words)).parts[0]
        for words in range(600, 900)
    }
    instructions = {part.instructions for part in firsts}  # with the cut's SYNC
    assert waits + 1 in instructions
    assert {waits - 20, waits + 20} & instructions
    assert not {waits + 2, waits + 3} & instructions


def test_a_layers_end_costs_nothing_to_cut_at() -> None:
    graph = deep(12, 64)
    resident = whole_program(graph, CONFIGS[0])
    words = words_of(resident) // 2
    program = compile_network(graph, replace(CONFIGS[0], scratchpad_words=words))
    cuts = len(program.parts) - 1
    at_ends = len(program.layers) + cuts - len(predict_counters(program))
    fetch = program.config.fetch_cycles
    assert program.cycles - resident.cycles >= (cuts - at_ends) * fetch
    assert program.cycles - resident.cycles <= resident.cycles // 50


def test_too_many_constants_for_a_layer_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mapping.scheduling.image.ADDRESS_SPACE", 3)
    constants = NumberedConstants(CONFIGS[0], 0)
    units = [constants.units(np.array([value])) for value in (5, 6, 5, 7)]
    assert units == [0, 1, 0, 2]
    with pytest.raises(ValueError, match="more than 3 different constants"):
        constants.units(np.array([8]))
