"""Fusion: which nodes become one layer, and what their epilogue is."""

import numpy as np
import pytest

from mapping.builder import Builder, Value
from mapping.errors import UnsupportedError
from mapping.graph import Graph
from mapping.lowering.fuse import Epilogue, FusedLayer, fuse, stored_values
from mapping.ops import ActType
from systolic.spec.config import ArrayConfig

CONFIG = ArrayConfig()
INT8 = ActType(8, signed=True)


def conv(value: Value, channels: int = 2) -> Value:
    """A 1 x 1 convolution and its requantization."""
    weights = np.ones((1, 1, value.type.channels, channels), np.int32)
    return value.conv2d(weights).requantize(1 << 30, 0)


def kinds(graph: Graph, layers: tuple[FusedLayer, ...]) -> list[str]:
    """Each layer's node kinds joined by +."""
    return ["+".join(graph.nodes[node].KIND for node in layer.nodes) for layer in layers]


def test_what_follows_a_convolution_joins_its_layer() -> None:
    builder = Builder()
    value = conv(builder.input((4, 4, 2))).clamp(-5, 90)
    graph = builder.graph(value.lut(np.arange(-128, 128)).max_pool2d(2))
    layers = fuse(graph, CONFIG)
    assert kinds(graph, layers) == ["conv2d+requantize_tflite+clamp+lut+max_pool2d"]
    epilogue = layers[0].epilogue
    assert (epilogue.lo, epilogue.hi) == (123, 218)
    assert epilogue.pool is not None


def test_a_value_that_two_layers_read_ends_its_layer() -> None:
    builder = Builder()
    value = conv(builder.input((4, 4, 2)))
    graph = builder.graph(value.clamp(0, 9), value.max_pool2d(2))
    layers = fuse(graph, CONFIG)
    assert kinds(graph, layers) == ["conv2d+requantize_tflite", "clamp", "max_pool2d"]
    assert stored_values(graph, layers) == {0, 2, 3, 4}


def test_a_network_output_ends_its_layer() -> None:
    builder = Builder()
    value = conv(builder.input((4, 4, 2)))
    graph = builder.graph(value, value.clamp(0, 9))
    assert kinds(graph, fuse(graph, CONFIG)) == ["conv2d+requantize_tflite", "clamp"]


def test_nodes_that_no_output_needs_are_left_out() -> None:
    builder = Builder()
    image = builder.input((4, 4, 2))
    conv(image)
    graph = builder.graph(image.clamp(0, 9))
    assert kinds(graph, fuse(graph, CONFIG)) == ["clamp"]


def test_accumulators_that_are_requantized_twice_are_computed_twice() -> None:
    builder = Builder()
    sums = builder.input((4, 4, 2)).conv2d(np.ones((1, 1, 2, 2), np.int32))
    graph = builder.graph(sums.requantize(1 << 30, 0), sums.requantize(1 << 30, -1))
    assert kinds(graph, fuse(graph, CONFIG)) == ["conv2d+requantize_tflite"] * 2


def test_windows_that_overlap_are_pooled_by_a_layer_of_their_own() -> None:
    builder = Builder()
    graph = builder.graph(conv(builder.input((5, 5, 2))).max_pool2d(3, stride=2))
    assert kinds(graph, fuse(graph, CONFIG)) == ["conv2d+requantize_tflite", "max_pool2d"]


def test_only_a_table_that_never_falls_may_follow_a_pool() -> None:
    builder = Builder()
    pooled = conv(builder.input((4, 4, 2))).max_pool2d(2)
    rising = builder.graph(pooled.lut(np.arange(-128, 128) // 2))
    assert kinds(rising, fuse(rising, CONFIG)) == ["conv2d+requantize_tflite+max_pool2d+lut"]
    falling = builder.graph(pooled.lut(-np.arange(-127, 129)))
    assert kinds(falling, fuse(falling, CONFIG))[-1] == "lut"


def test_concatenations_and_pads_are_only_stored_where_they_leave_the_network() -> None:
    builder = Builder()
    image = builder.input((4, 4, 2))
    joined = image.clamp(0, 9).concat(image.clamp(-9, 0)).pad(1, 1, 1, 1)
    inside = builder.graph(conv(joined))
    assert kinds(inside, fuse(inside, CONFIG)) == ["clamp", "clamp", "conv2d+requantize_tflite"]
    outside = builder.graph(joined)
    assert kinds(outside, fuse(outside, CONFIG)) == ["clamp", "clamp", "pad"]


def test_a_flattened_image_needs_no_layer_before_a_matmul() -> None:
    builder = Builder()
    flat = builder.input((4, 4, 2)).flatten()
    graph = builder.graph(flat.matmul(np.ones((32, 3), np.int32)).requantize(1 << 30, 0))
    assert kinds(graph, fuse(graph, CONFIG)) == ["matmul+requantize_tflite"]
    copied = builder.graph(flat.clamp(0, 9))
    assert kinds(copied, fuse(copied, CONFIG)) == ["reshape+clamp"]


def test_the_epilogue_folds_clamps_and_tables() -> None:
    codes = np.arange(256)
    epilogue = Epilogue(10, 200, INT8).then_clamp(20, 220)
    assert epilogue.code_range == (20, 200)
    folded = epilogue.then_table(255 - codes, INT8).then_clamp(0, 100).then_table(codes // 2, INT8)
    expected = np.clip(255 - np.clip(np.clip(codes, 10, 200), 20, 220), 0, 100) // 2
    assert folded.table is not None
    np.testing.assert_array_equal(folded.table[np.clip(codes, folded.lo, folded.hi)], expected)
    assert folded.code_range == (expected.min(), expected.max())


def test_disjoint_clamps_leave_one_code() -> None:
    assert Epilogue(10, 20, INT8).then_clamp(30, 40).code_range == (30, 30)


def test_accumulators_as_a_network_output_are_refused() -> None:
    builder = Builder()
    graph = builder.graph(builder.input((4, 4, 2)).conv2d(np.ones((1, 1, 2, 2), np.int32)))
    with pytest.raises(UnsupportedError, match="node 1, conv2d: accumulators cannot be a network"):
        fuse(graph, CONFIG)


def test_a_window_beyond_the_accumulators_is_refused() -> None:
    builder = Builder()
    graph = builder.graph(builder.input((20, 20, 2)).max_pool2d(12))
    message = "max_pool2d: the window must have at most 128 elements .*, not 144"
    with pytest.raises(UnsupportedError, match=message):
        fuse(graph, CONFIG)
