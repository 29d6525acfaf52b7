"""What layers take: together all that the image holds, and nothing twice."""

from dataclasses import replace

import pytest

from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.networks import load_included
from mapping.presets import PRESETS
from mapping.program.memory import layer_words
from systolic.spec.config import ArrayConfig
from tests.strategies import random_network

CONFIG = ArrayConfig()


@pytest.mark.parametrize("seed", range(10))
def test_layers_take_all_of_an_image_of_one_slot(seed: int) -> None:
    program = compile_network(random_network(seed), CONFIG, slots=1)
    assert sum(layer_words(program)) == len(program.image) // CONFIG.word_bytes


def test_the_code_of_a_second_slot_does_not_count() -> None:
    graph = load_included("digits_int8").graph
    one, two = (compile_network(graph, PRESETS["up5k"], slots=slots) for slots in (1, 2))
    assert layer_words(one) == layer_words(two)


def test_streamed_layers_take_all_of_all_parts() -> None:
    graph = load_included("digits_int8").graph
    config = replace(PRESETS["up5k"], scratchpad_words=1024)
    program = compile_network(graph, config)
    assert program.is_streamed
    assert sum(layer_words(program)) == sum(part.words for part in program.parts)


def test_constants_of_two_layers_count_for_the_first() -> None:
    builder = Builder()
    value = builder.input((16,))
    for name in ("first", "second"):
        value = value.matmul([[1] * 16] * 16, name=name).requantize(1 << 30, -3)
    first, second = layer_words(compile_network(builder.graph(value), CONFIG, slots=1))
    assert first - second >= CONFIG.weight_words
