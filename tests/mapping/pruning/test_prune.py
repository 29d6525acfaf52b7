"""Pruning: what goes, what stays, and that no result changes."""

import numpy as np
import pytest

from mapping.builder import Builder, Value
from mapping.graph import Graph
from mapping.ops import ActType, Weighted
from mapping.pruning.kept import kept_channels
from mapping.pruning.prune import prune
from mapping.pruning.ranges import channel_ranges
from mapping.reference import run, run_all
from tests.strategies import images_for, random_network
from tests.thinned_network import thinned_network

ZERO_POINT = -20
ELEMENT = ActType(8, signed=True, zero_point=ZERO_POINT)
RNG = np.random.default_rng(17)


def dense(shape: tuple[int, ...]) -> np.ndarray:
    """Weights without a zero."""
    return RNG.integers(1, 20, shape) * RNG.choice([-1, 1], shape)


def conv(
    value: Value, out: int, kernel: int = 1, bias: int = 4096, dead: tuple[int, ...] = (),
    **options: object,
) -> Value:  # fmt: skip
    """A convolution, requantized; channels ``dead`` have weights of zero and stand for ``bias``."""
    depth = value.type.channels // options.get("groups", 1)
    weights = dense((kernel, kernel, depth, out))
    weights[..., list(dead)] = 0
    sums = value.conv2d(weights, np.full(out, bias), **options)
    return sums.requantize(1 << 30, -6, ELEMENT)


def pruned(*outputs: Value) -> tuple[Graph, list[int]]:
    """The pruned network of these outputs, which must agree, and its channels at each node."""
    graph = outputs[0]._builder.graph(*outputs)
    smaller = prune(graph)
    images = [images_for(graph, 4)] * len(graph.input_ids)
    for got, wanted in zip(run(smaller, *images), run(graph, *images), strict=True):
        np.testing.assert_array_equal(got, wanted)
    return smaller, [tensor.channels for tensor in smaller.types]


def image(channels: int = 3) -> Value:
    return Builder().input((6, 5, channels), zero_point=7)


def test_what_is_left_of_random_networks_is_as_it_was() -> None:
    changed = 0
    for seed in range(150):
        graph = thinned_network(seed)
        smaller = prune(graph)
        changed += smaller is not graph
        kept = kept_channels(graph, channel_ranges(graph))
        images = images_for(graph, 4, seed)
        for node_id, (got, whole) in enumerate(
            zip(run_all(smaller, images), run_all(graph, images), strict=True)
        ):
            if not isinstance(graph.nodes[node_id], Weighted):  # sums lie elsewhere: folded biases
                np.testing.assert_array_equal(got, whole[..., kept[node_id]])
    assert changed >= 20


def test_channels_by_thresholds_go_with_their_rows() -> None:
    weights = dense((3, 5))
    weights[:, [1, 3]] = 0
    cuts = np.sort(RNG.integers(-900, 900, (5, 3)), axis=1)
    falls = [True, True, False, False, True]
    element = ActType(2, signed=False)
    sums = image().matmul(weights, [0, 950, 0, -950, 0])
    steps = sums.requantize_thresholds(cuts, element, is_descending=falls)
    graph, channels = pruned(steps.matmul(dense((5, 2))).requantize(1 << 30, -6))
    assert channels == [3, 3, 3, 2, 2]
    np.testing.assert_array_equal(graph.nodes[2].thresholds, cuts[[0, 2, 4]])
    assert graph.nodes[2].is_descending.tolist() == [True, False, True]
    assert graph.nodes[3].bias[0] == 0  # channel 1 falls to 0, channel 3 never rises


def test_a_network_without_dead_channels_stays_itself() -> None:
    graph = random_network(2)
    assert all(found.is_constant.sum() == 0 for found in channel_ranges(graph))
    assert prune(graph) is graph


def test_constants_go_into_the_bias_of_who_reads_them() -> None:
    hidden = conv(image(), 6, dead=(1, 4))
    graph, channels = pruned(conv(hidden, 2))
    assert channels == [3, 4, 4, 2, 2]
    assert (graph.nodes[3].bias != 4096).all()


def test_channels_that_nobody_reads_go() -> None:
    hidden = conv(image(), 4)
    weights = dense((1, 1, 4, 2))
    weights[:, :, [0, 3]] = 0
    graph, channels = pruned(hidden.conv2d(weights, pad="same").requantize(1 << 30, -6))
    assert channels == [3, 2, 2, 2, 2]
    assert not graph.nodes[3].bias.any()


@pytest.mark.parametrize(
    ("bias", "pad", "left"),
    [
        (4096, "same", 6),  # 4096 is not zero, so it matters where the border begins
        (4096, "valid", 4),
        (0, "same", 4),  # the border holds the same
    ],
)
def test_a_border_keeps_constants_that_are_not_zero(bias: int, pad: str, left: int) -> None:
    hidden = conv(image(), 6, bias=bias, dead=(1, 4))
    assert pruned(conv(hidden, 2, kernel=3, pad=pad))[1][2] == left


def test_taps_that_never_see_the_border_keep_nothing() -> None:
    weights = dense((3, 3, 6, 2))
    middle = np.zeros((3, 3, 1, 1), int)
    middle[1, 1] = 1
    weights[:, :, [4]] *= middle
    hidden = conv(image(), 6, dead=(1, 4))
    value = hidden.conv2d(weights, pad="same").requantize(1 << 30, -6)
    assert pruned(value)[1][2] == 5


def test_a_pad_keeps_constants_that_are_not_zero() -> None:
    hidden = conv(image(), 6, dead=(1, 4))
    assert pruned(conv(hidden.pad(0, 1, 0, 0), 2))[1][2] == 6


def test_outputs_keep_their_shape() -> None:
    hidden = conv(image(), 6, dead=(1, 4))
    assert pruned(hidden, conv(hidden, 2))[1] == [3, 6, 6, 2, 2]


def test_inputs_keep_their_shape() -> None:
    value = image()
    weights = dense((1, 1, 3, 4))
    weights[:, :, 1] = 0
    assert pruned(value.conv2d(weights).requantize(1 << 30, -6))[1] == [3, 4, 4]


def test_depthwise_channels_go_with_what_they_read() -> None:
    hidden = conv(conv(image(), 6), 6, kernel=3, groups=6, dead=(0, 5), pad="same")
    assert pruned(conv(hidden, 2))[1] == [3, 4, 4, 4, 4, 2, 2]


def test_constants_go_through_depthwise_convolutions() -> None:
    hidden = conv(conv(image(), 6, dead=(2,)), 6, kernel=3, groups=6)
    graph, channels = pruned(conv(hidden, 2))
    assert channels == [3, 5, 5, 5, 5, 2, 2]
    assert graph.nodes[3].groups == 5


def test_of_groups_only_whole_ones_go() -> None:
    hidden = conv(conv(image(), 4), 6, groups=2, dead=(0, 1, 2, 4))
    graph, channels = pruned(conv(hidden, 2))
    assert channels == [3, 2, 2, 3, 3, 2, 2]
    assert graph.nodes[3].groups == 1


def test_a_sum_keeps_what_either_side_needs() -> None:
    left = conv(image(), 6, dead=(1, 4))
    right = conv(left, 6, dead=(1, 2))
    total = left.add(right, weights=(3, 5)).requantize(1 << 30, -2, ELEMENT)
    # Channel 1 is constant on both sides, 2 and 4 on one.
    assert pruned(conv(total, 2))[1] == [3, 5, 5, 5, 5, 5, 5, 2, 2]


def test_concatenations_pools_and_tables_let_constants_through() -> None:
    hidden = conv(image(), 6, dead=(1, 4))
    both = hidden.concat(hidden.clamp(-50, 60)).max_pool2d(2, stride=1, pad=(1, 0, 0, 1))
    averaged = both.avg_pool2d(2).lut(np.arange(-128, 128)[::-1])
    graph, channels = pruned(conv(averaged, 2))
    assert channels == [3, 4, 4, 4, 8, 8, 8, 8, 2, 2]
    assert graph.total_macs == 6 * 5 * 3 * 4 + 6 * 8 * 2


def test_a_flattened_image_loses_channels_at_every_pixel() -> None:
    flat = conv(image(), 6, dead=(1, 4)).flatten()
    graph, channels = pruned(flat.matmul(dense((180, 3))).requantize(1 << 30, -6))
    assert channels == [3, 4, 4, 120, 3, 3]
    assert graph.nodes[3].shape == (120,)


def test_regrouped_channels_stay() -> None:
    hidden = conv(image(), 6, dead=(1, 4)).reshape(6, 10, 3)
    assert pruned(conv(hidden, 2))[1] == [3, 6, 6, 3, 2, 2]


def test_scales_of_channels_go_with_them() -> None:
    weights = dense((1, 1, 3, 4))
    weights[..., 2] = 0
    sums = image().conv2d(weights)
    for hidden in (
        sums.requantize([1 << 30, 3 << 29, 5 << 28, 7 << 28], [-6, -5, -4, -7], ELEMENT),
        sums.requantize_onnx(np.array([0.1, 0.2, 0.3, 0.4], np.float32), ELEMENT),
    ):
        assert pruned(conv(hidden, 2))[0].nodes[2].channels == 3


def test_a_network_that_ignores_its_input_keeps_a_channel() -> None:
    hidden = conv(image(), 4, dead=(0, 1, 2, 3))
    assert pruned(conv(hidden, 2))[1] == [3, 1, 1, 2, 2]


def test_a_bias_that_would_overflow_takes_nothing() -> None:
    builder = Builder()
    hidden = builder.input((2,)).matmul(np.zeros((2, 3), int), [0, 99, -99])
    hidden = hidden.requantize(1 << 30, 0, ELEMENT)
    sums = hidden.matmul([[1], [1], [1]], [(1 << 31) - 30])
    graph = builder.graph(sums.requantize(0, 0))
    smaller = prune(graph)
    assert [tensor.channels for tensor in smaller.types] == [2, 2, 2, 1, 1]
    (got,), (wanted,) = (run(one, [[3, -4]]) for one in (smaller, graph))
    np.testing.assert_array_equal(got, wanted)
