"""Activations in weight form: what lies where, who writes it, and what is refused."""

import doctest
from dataclasses import replace

import numpy as np
import pytest

from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.errors import OverflowProofError, ProgramError, UnsupportedError
from mapping.graph import Graph
from mapping.lowering import weight_form
from mapping.ops import ActType, DynamicMatMul, GraphError, Padding
from mapping.program import Program, StoredTensor
from mapping.program.file import from_bytes, to_bytes
from mapping.reference import run
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from systolic.spec.config import ArrayConfig
from systolic.spec.layout import unpack_weights

CONFIG = ArrayConfig(scratchpad_words=8192)
RNG_SEED = 3


def product(left: ActType, right: ActType, *, pixels: int = 6, channels: int = 20) -> Graph:
    """Two inputs, multiplied."""
    builder = Builder()
    inputs = [
        builder.input((1, count, channels), kind.bits, kind.signed, kind.zero_point)
        for count, kind in ((5, left), (pixels, right))
    ]
    sums = inputs[0].dynamic_matmul(inputs[1], name="product")
    return builder.graph(sums.requantize(1 << 30, -8))


def check(graph: Graph, program: Program) -> None:
    """The simulator's outputs are the interpreter's."""
    program.verify()
    rng = np.random.default_rng(RNG_SEED)
    images = [
        rng.integers(kind.element.q_min, kind.element.q_max, (2, *kind.shape), endpoint=True)
        for kind in (graph.types[value] for value in graph.input_ids)
    ]
    outputs, _ = run_network(FunctionalSimulator(program.config), program, *images)
    for output, expected in zip(outputs, run(graph, *images), strict=True):
        np.testing.assert_array_equal(output, expected)


INT8, UINT8 = ActType(8, signed=True), ActType(8, signed=False)


@pytest.mark.parametrize(
    "config",
    [CONFIG, ArrayConfig(rows=6, cols=12, weight_bits=5, digit_bits=2), ArrayConfig(weight_bits=1)],
    ids=str,
)
def test_pixels_in_weight_form_are_the_columns_of_tiles(config: ArrayConfig) -> None:
    pixels, channels = 10, 27
    half = 1 << config.weight_bits - 1
    values = np.random.default_rng(1).integers(-half, half, (pixels, channels))
    tensor = StoredTensor(
        node=0, name="b", address=0, shape=(1, pixels, channels), height=1, width=pixels,
        channels=channels, border=Padding(right=-pixels % config.cols), bits=config.weight_bits,
        q_min=-half, zero=0, is_weights=True,
    )  # fmt: skip
    (data,) = tensor.pack(values[None, None], config)
    padded = np.zeros((-(-channels // config.rows), config.rows, tensor.pixels), int)
    padded.reshape(-1, tensor.pixels)[:channels, :pixels] = values.T
    length = config.weight_words * config.word_bytes
    tiles = [unpack_weights(data[i : i + length], config) for i in range(0, len(data), length)]
    expected = [
        block[:, first : first + config.cols]
        for block in padded
        for first in range(0, tensor.pixels, config.cols)
    ]
    np.testing.assert_array_equal(tiles, expected)
    np.testing.assert_array_equal(tensor.unpack(data, config)[0], values)


def test_the_host_writes_inputs_in_weight_form_where_it_can() -> None:
    graph = product(UINT8, INT8)
    program = compile_network(graph, CONFIG)
    assert [tensor.is_weights for tensor in program.inputs] == [False, True]
    assert [layer.op for layer in program.layers] == ["dynamic_matmul+requantize"]
    check(graph, program)


@pytest.mark.parametrize(
    ("left", "right", "layers"),
    [
        (UINT8, ActType(4, signed=True), 2),  # other bits than the array's weights have
        (INT8, INT8, 3),  # an offset takes the complement too
        (UINT8, replace(INT8, zero_point=1), 3),  # weights of nine bits are two parts
        (INT8, UINT8, 5),
    ],
)
def test_other_inputs_are_copied_once_for_each_store(
    left: ActType, right: ActType, layers: int
) -> None:
    graph = product(left, right)
    program = compile_network(graph, CONFIG)
    assert len(program.layers) == layers
    check(graph, program)


def test_stores_are_shared_between_products() -> None:
    builder = Builder()
    key = builder.input((1, 6, 8)).clamp(-9, 9)
    queries = [builder.input((1, 3, 8), signed=False) for _ in range(2)]
    outputs = [query.dynamic_matmul(key).requantize(1 << 30, -5) for query in queries]
    graph = builder.graph(*outputs)
    program = compile_network(graph, CONFIG)
    assert len(program.layers) == 3
    check(graph, program)


def test_without_a_table_only_codes_that_are_weights_are_multiplied() -> None:
    config = replace(CONFIG, table=False)
    graph = product(UINT8, ActType(7, signed=False))
    check(graph, compile_network(graph, config))
    with pytest.raises(UnsupportedError, match="uses a lookup table, which needs a config"):
        compile_network(product(INT8, INT8), config)


def test_thresholds_give_no_factor() -> None:
    builder = Builder()
    value = builder.input((1, 4, 8))
    sums = value.matmul(np.eye(8, dtype=int), name="key")
    key = sums.requantize_thresholds([-9, 0, 9], ActType(2, signed=True))
    graph = builder.graph(value.dynamic_matmul(key).requantize(1 << 30, -8))
    with pytest.raises(UnsupportedError, match="key: thresholds cannot give a computed factor"):
        compile_network(graph, CONFIG)


def test_a_program_in_parts_multiplies_computed_tensors() -> None:
    builder = Builder()
    value = builder.input((1, 4, 32))
    weights = np.random.default_rng(2).integers(-128, 128, (4, 32, 32))
    for one in weights[:2]:
        value = value.matmul(one).requantize(1 << 30, -9)
    key = value.matmul(weights[2]).requantize(1 << 30, -9)
    graph = builder.graph(value.dynamic_matmul(key).requantize(1 << 30, -9))
    program = compile_network(graph, replace(CONFIG, scratchpad_words=900))
    assert program.is_streamed
    check(graph, program)


def test_constant_activations_lie_in_the_image() -> None:
    builder = Builder()
    rng = np.random.default_rng(4)
    constant = builder.constant(rng.integers(-9, 9, (2, 3, 20)), 5, zero_point=2, name="codes")
    value = builder.input((2, 3, 20), zero_point=2, bits=5)
    total = constant.add(value).requantize(1 << 30, 0)
    turned = constant.dynamic_matmul(value).requantize(1 << 30, -5)
    graph = builder.graph(total, turned, constant.conv2d(np.ones((3, 3, 20, 2), int), pad="same")
                          .requantize(1 << 30, -4))  # fmt: skip
    program = compile_network(graph, CONFIG)
    (stored,) = (tensor for tensor in program.tensors if tensor.name == "codes")
    assert stored.address >= program.load_address
    check(graph, program)
    with pytest.raises(UnsupportedError, match="constant activations have to stay in the scratch"):
        compile_network(graph, replace(CONFIG, scratchpad_words=220), slots=1)


def test_the_proof_counts_the_worst_weights() -> None:
    with pytest.raises(OverflowProofError, match="product: the accumulator of channel 0 can reach"):
        compile_network(product(UINT8, INT8, channels=40), replace(CONFIG, acc_bits=20))


def test_a_store_that_is_missing_is_noticed() -> None:
    builder = Builder()
    value = builder.input((1, 4, 8), signed=False)
    key = value.matmul(np.ones((8, 8), int)).requantize(1 << 30, -4)
    program = compile_network(
        builder.graph(value.dynamic_matmul(key).requantize(1 << 30, -9)), CONFIG
    )
    later = sum(layer.instructions for layer in program.layers[:1]) * CONFIG.instruction_words
    slots = tuple(replace(slot, entry=slot.entry + later) for slot in program.slots[:1])
    cut = replace(
        program, slots=slots, layers=program.layers[1:],
        instruction_count=program.layers[1].instructions,
    )  # fmt: skip
    with pytest.raises(ProgramError, match="reads words that were never written"):
        cut.verify()


def test_files_keep_the_form() -> None:
    program = compile_network(product(UINT8, INT8), CONFIG)
    assert from_bytes(to_bytes(program), Program) == program
    wrong = replace(program.inputs[1], bits=7, q_min=-64)
    with pytest.raises(ProgramError, match="in weight form it must have 8 bits"):
        wrong.check(CONFIG)


def test_factors_must_have_as_many_channels() -> None:
    builder = Builder()
    with pytest.raises(GraphError, match="dynamic_matmul: needs inputs of as many channels, not 3"):
        builder.input((3,)).dynamic_matmul(builder.input((4,)))
    with pytest.raises(GraphError, match="needs activations, not accumulators"):
        builder.append(DynamicMatMul(inputs=(0, builder.input((3,)).matmul([[1]] * 3).node_id)))


def test_examples_in_docstrings_run() -> None:
    result = doctest.testmod(weight_form)
    assert result.attempted
    assert not result.failed
