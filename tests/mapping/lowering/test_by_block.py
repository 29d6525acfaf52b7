"""Layers by block: the same words and results, and faster where there are few pixels."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from mapping import compiler
from mapping.builder import Builder, Value
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.lowering.by_block import by_block
from mapping.lowering.fuse import fuse, stored_values
from mapping.lowering.lower import LoweredLayer, lower
from mapping.ops import ActType, Padding
from mapping.program import StoredTensor
from mapping.reference import run
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from systolic.spec.config import ArrayConfig
from tests.strategies import images_for, networks

CONFIG = ArrayConfig(rows=4, cols=2, digit_bits=4, scratchpad_words=65536)


def lowered(graph: Graph, config: ArrayConfig = CONFIG) -> tuple[LoweredLayer, ...]:
    """Layers of a network."""
    fused = fuse(graph, config)
    return lower(graph, fused, stored_values(graph, fused), config)


def only_by_block(layer: LoweredLayer, config: ArrayConfig) -> list[LoweredLayer]:
    """By block wherever it can be, whether it is faster or not."""
    return [by_block(layer, config) or layer]


def check(graph: Graph, seed: int) -> None:
    """Run by block, and compare with the interpreter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "_ways", only_by_block)
        program = compile_network(graph, CONFIG)
    program.verify()
    images = images_for(graph, 2, seed)
    outputs, _ = run_network(FunctionalSimulator(CONFIG), program, images)
    for output, wanted in zip(outputs, run(graph, images), strict=True):
        np.testing.assert_array_equal(output, wanted)


@settings(max_examples=60)
@given(networks())
def test_random_networks_give_the_same_by_block(graph: Graph) -> None:
    check(graph, 1)


def averaged(image: Value) -> Value:
    return image.global_avg_pool()


def averaged_in_columns(image: Value) -> Value:
    return image.avg_pool2d((2, 5), stride=(3, 2))


def added(image: Value) -> Value:
    return image.add(image.clamp(-7, 9), weights=(5, -3)).requantize(1 << 30, -2)


def padded(image: Value) -> Value:
    return image.clamp(-100, 100).pad(1, 2, 3, 1)


def renumbered(image: Value) -> Value:
    return image.reshape(10, 3, image.type.channels).clamp(-5, 90)


def looked_up_with_a_border(image: Value) -> Value:
    table = image.lut(np.arange(-128, 128)[::-1])
    weights = np.random.default_rng(5).integers(-9, 9, (3, 3, image.type.channels, 4))
    return table.conv2d(weights, pad="same").requantize(1 << 30, -4)


NETWORKS = (averaged, averaged_in_columns, added, padded, renumbered, looked_up_with_a_border)


@pytest.mark.parametrize("channels", [12, 10, 9], ids=["whole", "broken", "last row only"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_layers_alike_in_all_channels_give_the_same_by_block(
    network: object, channels: int
) -> None:
    builder = Builder()
    image = builder.input((6, 5, channels), zero_point=-9)
    # What a layer has stored, so that rows without a channel hold anything.
    turned = image.matmul(np.eye(channels, dtype=int)[::-1])
    value = turned.requantize(1 << 30, 1, ActType(8, True, -9))
    graph = builder.graph(value, network(value))
    assert any(by_block(layer, CONFIG) for layer in lowered(graph))
    check(graph, 2)


@pytest.mark.parametrize(
    ("channels", "make"),
    [
        (4, averaged),  # one block
        (12, lambda image: image.max_pool2d(2)),  # windows
        (12, lambda image: image.avg_pool2d(2)),  # every other pixel of a row
        (12, lambda image: image.reshape(12, 30, 1)),  # value by value
        (12, lambda image: image.matmul(np.eye(12, dtype=int)).requantize(1 << 30, 1)),
        (12, lambda image: image.add(image).requantize([1 << 30] * 12, [0] * 11 + [1])),
        (12, lambda image: image.concat(image).clamp(-3, 3)),  # two tensors
    ],
)
def test_other_layers_stay_as_they_are(channels: int, make: object) -> None:
    builder = Builder()
    graph = builder.graph(make(builder.input((6, 5, channels))))
    assert not any(by_block(layer, CONFIG) for layer in lowered(graph))


def test_by_block_a_tensor_keeps_its_words() -> None:
    tensor = StoredTensor(
        node=0, name="t", address=7, shape=(3, 5, 12), height=3, width=5, channels=12,
        border=Padding(1, 2, 3, 1), bits=8, q_min=0, zero=3,
    )  # fmt: skip
    blocks = tensor.by_block(CONFIG)
    assert (blocks.address, blocks.words(CONFIG)) == (7, tensor.words(CONFIG))
    assert blocks.pixel_words(CONFIG) * 3 == tensor.pixel_words(CONFIG)
    whole = tensor.image_pixels()[..., np.newaxis] * 3 + np.arange(3)
    np.testing.assert_array_equal(blocks.image_pixels(), whole.reshape(3, 15))


def test_a_global_average_pool_takes_a_fraction() -> None:
    builder = Builder()
    element = ActType(8, True, -128)
    graph = builder.graph(
        builder.input((5, 5, 64), zero_point=element.zero_point).global_avg_pool()
    )
    program = compile_network(graph, ArrayConfig())
    assert len(program.instructions) < 25 * 16 // 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "_ways", lambda layer, config: [layer])
        slow = compile_network(graph, ArrayConfig())
    assert program.cycles < 0.45 * slow.cycles
    assert [layer.out_shape for layer in program.layers] == [(1, 1, 64)]


def test_a_broken_block_costs_as_much_as_a_whole_one() -> None:
    def pooled(channels: int) -> int:
        builder = Builder()
        value = builder.input((5, 5, channels)).global_avg_pool()
        return compile_network(builder.graph(value), ArrayConfig()).cycles

    assert pooled(63) == pooled(49) == pooled(64)


def test_rows_that_might_overflow_are_left_out() -> None:
    def pooled(channels: int) -> LoweredLayer:
        builder = Builder()
        image = builder.input((90, 100, channels), bits=3, signed=False)
        (layer,) = lowered(builder.graph(image.global_avg_pool()), config)
        return layer

    # Codes are below 8, but their digit holds up to 15: 9000 * 7 < 2**17 <= 9000 * 15.
    config = replace(CONFIG, acc_bits=18)
    assert by_block(pooled(12), config) is not None
    assert by_block(pooled(10), config) is None
