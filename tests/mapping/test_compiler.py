"""The compiler as a whole: special cases end to end, a golden listing, and time."""

from pathlib import Path

import numpy as np
import pytest

from mapping.builder import Builder, Value
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.ops import ActType
from mapping.reference import run_all
from mapping.report import layer_lines
from sim.functional import FunctionalSimulator
from sim.runner import read_tensor, run_network
from systolic.spec.config import ArrayConfig

GOLDEN = Path(__file__).parents[1] / "golden" / "small_network.lst"
CONFIGS = [
    ArrayConfig(),
    ArrayConfig(rows=4, cols=4, weight_bits=4, digit_bits=1, acc_depth=64, scratchpad_words=65536),
    ArrayConfig(rows=4, cols=16, digit_bits=8, out_pixels=16, scratchpad_words=65536),
]
RNG = np.random.default_rng(11)


def conv(value: Value, out: int, kernel: int = 1, **options: object) -> Value:
    """A convolution with random weights, requantized to int8."""
    depth = value.type.channels // options.get("groups", 1)
    weights = RNG.integers(-20, 20, (kernel, kernel, depth, out))
    return value.conv2d(weights, **options).requantize(1 << 30, -6, ActType(8, True, 3))


def check(graph: Graph, config: ArrayConfig) -> None:
    """Every stored tensor and every output, over two images, is what the interpreter says."""
    rng = np.random.default_rng(1)
    inputs = []
    for value in graph.input_ids:
        element = graph.types[value].element
        shape = (2, *graph.types[value].shape)
        inputs.append(rng.integers(element.q_min, element.q_max + 1, shape))
    expected = run_all(graph, *inputs)
    for keep_all in (True, False):
        program = compile_network(graph, config, keep_all=keep_all)
        program.verify()
        simulator = FunctionalSimulator(config)
        outputs, _ = run_network(simulator, program, *inputs, slot=0 if keep_all else None)
        for output, value in zip(outputs, graph.outputs, strict=True):
            np.testing.assert_array_equal(output, expected[value])
        for tensor in program.tensors if keep_all else ():
            if tensor.packing is None:
                got = read_tensor(simulator, program, tensor)
                np.testing.assert_array_equal(got, expected[tensor.node][-1])


def padded_pool(image: Value) -> Value:
    return conv(image, 7).max_pool2d(3, stride=2, pad=(1, 1, 1, 1))


def padded_pool_fused(image: Value) -> Value:
    return conv(image, 7).max_pool2d(2, stride=3, pad=(1, 0, 0, 1))


def residual_around_a_concatenation(image: Value) -> Value:
    left, right = conv(image, 5), conv(image, 18)
    both = left.concat(right, left)
    return both.add(conv(both, 28, kernel=3, pad="same"), weights=(70, -3)).requantize(1 << 30, -6)


def concatenation_of_pads(image: Value) -> Value:
    return conv(image.pad(1, 0, 2, 1).concat(image.pad(0, 1, 1, 2)), 6, kernel=3, pad="same")


def strided_dilated_grouped(image: Value) -> Value:
    wide = conv(image, 20)
    return conv(wide, 30, kernel=3, stride=2, dilation=2, pad=(2, 1, 3, 0), groups=5)


def depthwise_then_averages(image: Value) -> Value:
    wide = conv(image, 21)
    return conv(wide, 21, kernel=3, groups=21, pad="same").avg_pool2d((2, 3)).global_avg_pool()


def flatten_table_matmul(image: Value) -> Value:
    table = np.round(100 * np.tanh(np.arange(-128, 128) / 40)).astype(int)
    flat = conv(image, 3).flatten().lut(table).clamp(-80, 90)
    weights = RNG.integers(-20, 20, (flat.type.elements, 40))
    return flat.matmul(weights).requantize(1 << 30, -6)


def pools_on_both_sides_of_tables(image: Value) -> Value:
    falling = conv(image, 3).max_pool2d(2).lut(-np.arange(-127, 129))
    return falling.max_pool2d(2, stride=1)


def reshapes_between_images(image: Value) -> Value:
    value = conv(image, 4).reshape(8, 9, 4).reshape(6, 12, 4)
    return conv(value.reshape(6, 6, 8), 3, kernel=3, pad="same").reshape(54, 2, 1)


NETWORKS = (
    padded_pool,
    padded_pool_fused,
    residual_around_a_concatenation,
    concatenation_of_pads,
    strided_dilated_grouped,
    depthwise_then_averages,
    flatten_table_matmul,
    pools_on_both_sides_of_tables,
    reshapes_between_images,
)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_special_networks_equal_the_interpreter(network: object, config: ArrayConfig) -> None:
    builder = Builder()
    check(builder.graph(network(builder.input((9, 8, 5), zero_point=-9))), config)


def test_more_channels_than_parameters_fit_at_once() -> None:
    builder = Builder()
    check(builder.graph(conv(builder.input((2, 2, 300)), 530)), ArrayConfig(rows=64, cols=32))


def test_several_inputs_and_outputs_of_all_kinds() -> None:
    builder = Builder()
    left, right = builder.input((4, 4, 3), bits=4), builder.input((4, 4, 3), signed=False)
    both = left.add(right, weights=(9, 2)).requantize(1 << 30, -4)
    graph = builder.graph(both.reshape(48), left, both.pad(1, 1, 1, 1), both.concat(both))
    check(graph, ArrayConfig())


def test_a_network_without_layers_only_halts() -> None:
    builder = Builder()
    value = builder.input((2, 2, 3))
    program = compile_network(builder.graph(value.reshape(12)), ArrayConfig())
    assert program.instruction_count == 1
    check(builder.graph(value.reshape(12)), ArrayConfig())


def test_activations_of_each_width_take_their_digits() -> None:
    config = ArrayConfig(digit_bits=3)
    for bits, digits in ((1, 1), (3, 1), (4, 2), (8, 3)):
        builder = Builder()
        value = builder.input((5, 5, 3), bits=bits, signed=False)
        weights = RNG.integers(-20, 20, (3, 3, 3, 4))
        graph = builder.graph(
            value.conv2d(weights).requantize(1 << 30, -6, ActType(bits, signed=False))
        )
        check(graph, config)
        layer = compile_network(graph, config).layers[0]
        assert layer.busy_cycles % (9 * digits) == 0


def test_the_largest_config_and_the_smallest_run() -> None:
    for config in (
        ArrayConfig(rows=64, cols=32, digit_bits=8, acc_depth=256, out_pixels=256),
        ArrayConfig(rows=4, cols=1, weight_bits=2, digit_bits=1, acc_depth=16, out_pixels=16),
    ):
        builder = Builder()
        image = builder.input((6, 6, 3), bits=3)
        check(builder.graph(image.pad(1, 1, 1, 1).max_pool2d(2).clamp(-2, 2)), config)


def small_network() -> Graph:
    """The network of the golden listing."""
    rng = np.random.default_rng(3)
    builder = Builder()
    image = builder.input((6, 6, 1), bits=4, zero_point=-8, name="image")
    stem = image.conv2d(rng.integers(-8, 8, (3, 3, 1, 6)), pad="same", name="stem")
    pooled = stem.requantize(1 << 30, -4, ActType(4, True, -8)).max_pool2d(2)
    deep = pooled.conv2d(rng.integers(-8, 8, (3, 3, 1, 6)), groups=6, pad="same", name="deep")
    flat = deep.requantize(1 << 30, -4, ActType(4, True, -8)).flatten()
    return builder.graph(flat.matmul(rng.integers(-8, 8, (54, 3)), name="head").requantize(
        1 << 30, -5
    ))  # fmt: skip


def test_the_listing_is_the_golden_one() -> None:
    """Remake it by ``python -m tests.golden.remake`` after a change that is meant."""
    program = compile_network(small_network(), ArrayConfig(rows=8, cols=4), name="small")
    assert list(program.listing()) == GOLDEN.read_text().splitlines()


def test_the_report_adds_up() -> None:
    program = compile_network(small_network(), ArrayConfig())
    lines = list(layer_lines(program))
    assert len(lines) == len(program.layers) + 2
    assert lines[-1].split()[:3] == ["total", f"{program.macs:,}", f"{program.cycles:,}"]


def test_equal_networks_give_equal_programs() -> None:
    config = ArrayConfig()
    assert compile_network(small_network(), config) == compile_network(small_network(), config)
