"""Schedules: what the cycle model promises, and how much of it is work."""

import numpy as np
import pytest

from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.program import Program
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Load, LoadTarget, Matmul
from systolic.spec.timing import program_cycles
from tests.strategies import random_network

CONFIG = ArrayConfig(rows=16, cols=4, weight_bits=8, digit_bits=4, requantize_cycles=2)


def convolution(height: int, width: int, channels: int, out: int, kernel: int) -> Graph:
    """One convolution with as much padding as it takes to keep the size."""
    rng = np.random.default_rng(0)
    builder = Builder()
    weights = rng.integers(-127, 128, (kernel, kernel, channels, out))
    value = builder.input((height, width, channels)).conv2d(weights, pad="same")
    return builder.graph(value.requantize(1 << 30, -8))


def loads(program: Program, target: LoadTarget) -> list[Load]:
    """Loads of one kind."""
    return [i for i in program.instructions if isinstance(i, Load) and i.target is target]


@pytest.mark.parametrize("seed", range(20))
def test_predicted_cycles_are_those_of_the_instructions(seed: int) -> None:
    program = compile_network(random_network(seed), CONFIG)
    marks = program_cycles(program.instructions, CONFIG)
    totals = np.cumsum([layer.cycles for layer in program.layers])
    assert [mark.cycle for mark in marks] == totals.tolist()


def test_a_pointwise_convolution_is_mostly_work() -> None:
    layer = compile_network(convolution(25, 5, 64, 64, 1), CONFIG).layers[0]
    assert layer.macs == 512_000
    assert layer.busy_cycles == 16_000
    assert layer.utilisation >= 0.83
    assert layer.bound == "array"


def test_a_3x3_convolution_is_mostly_work() -> None:
    layer = compile_network(convolution(32, 32, 16, 16, 3), CONFIG).layers[0]
    assert layer.macs == 1024 * 9 * 256
    assert layer.utilisation >= 0.91


def test_tiles_alike_share_one_table_of_offsets() -> None:
    program = compile_network(convolution(32, 32, 16, 16, 3), CONFIG)
    matmuls = [i for i in program.instructions if isinstance(i, Matmul)]
    assert len({(i.base, i.weights) for i in matmuls}) == len(matmuls)
    # One for reading rows of 33 pixels, one for writing rows of 32.
    assert len(loads(program, LoadTarget.OFFSETS)) == 2


def test_parameters_are_loaded_once_for_up_to_256_channels() -> None:
    assert (
        len(loads(compile_network(convolution(3, 3, 4, 256, 1), CONFIG), LoadTarget.PARAMETERS))
        == 1
    )
    program = compile_network(convolution(3, 3, 4, 257, 1), CONFIG)
    assert [load.count for load in loads(program, LoadTarget.PARAMETERS)] == [256, 2]


def test_pools_share_the_parameters_of_all_channels() -> None:
    builder = Builder()
    program = compile_network(builder.graph(builder.input((4, 4, 600)).max_pool2d(2)), CONFIG)
    assert [load.count for load in loads(program, LoadTarget.PARAMETERS)] == [4]


def test_weights_that_repeat_are_stored_once() -> None:
    def words(channels: int) -> int:
        builder = Builder()
        value = builder.input((8, 8, channels)).avg_pool2d(2)
        program = compile_network(builder.graph(value), CONFIG, slots=1)
        return len(program.image) // CONFIG.word_bytes - program.instruction_count

    assert words(16) == words(160)  # four tiles of diagonals, whatever the channels


@pytest.mark.parametrize("out", [1, 3, 4, 17, 64])
def test_one_input_channel_is_packed_by_the_host(out: int) -> None:
    graph = convolution(20, 20, 1, out, 3)
    program = compile_network(graph, CONFIG)
    assert program.inputs[0].packing is not None
    assert program.inputs[0].channels == 9


def test_less_is_packed_where_memory_does_not_suffice() -> None:
    graph = convolution(20, 20, 1, 4, 7)
    program = compile_network(graph, CONFIG, slots=1)
    words = program.load_address + len(program.image) // CONFIG.word_bytes
    smaller = compile_network(graph, ArrayConfig(scratchpad_words=words - 1))
    packings = [one.inputs[0].packing for one in (program, smaller)]
    assert [packing and packing.kernel for packing in packings] == [(7, 7), (1, 7)]
