"""The interpreter against ONNX Runtime, against plain loops, and at the edge of 32 bits."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from mapping.builder import Builder
from mapping.graph import Graph
from mapping.ops import ActType, Padding
from mapping.reference import CHUNK_IMAGES, AccumulatorOverflowError, run, run_all
from tests.mapping.loop_reference import run_loops
from tests.strategies import images_for, networks, random_network

ONNX_TYPES = {
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int8): TensorProto.INT8,
    np.dtype(np.int32): TensorProto.INT32,
}


def run_onnx(
    op: str, inputs: dict[str, np.ndarray], output: np.dtype, **attributes: object
) -> np.ndarray:
    """Result of one operator in ONNX Runtime; all inputs but the first are initialisers."""
    first, *rest = inputs
    onnx_graph = helper.make_graph(
        [helper.make_node(op, list(inputs), ["result"], **attributes)],
        op,
        [helper.make_tensor_value_info(first, ONNX_TYPES[inputs[first].dtype], None)],
        [helper.make_tensor_value_info("result", ONNX_TYPES[output], None)],
        [onnx.numpy_helper.from_array(inputs[name], name) for name in rest],
    )
    model = helper.make_model(onnx_graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {first: inputs[first]})[0]


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Graph, np.ndarray]:
    """A convolution of 8-bit unsigned activations and random geometry, and its input."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    groups = draw(st.sampled_from((1, 2, 3)))
    inputs, outputs = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    pad = Padding(*draw(st.tuples(*[st.integers(0, 3)] * 4)))
    height, width = draw(st.integers(7, 10)), draw(st.integers(7, 10))
    builder = Builder()
    zero_point = draw(st.integers(0, 255))
    image = builder.input((height, width, inputs), signed=False, zero_point=zero_point)
    weights = rng.integers(-128, 128, (*kernel, inputs // groups, outputs))
    bias = rng.integers(-(1 << 20), 1 << 20, outputs)
    acc = image.conv2d(
        weights, bias, stride=stride, dilation=dilation, pad=tuple(pad), groups=groups
    )
    scale = rng.uniform(1e-5, 1e-2, outputs).astype(np.float32)
    element = ActType(8, signed=False, zero_point=draw(st.integers(0, 255)))
    graph = builder.graph(acc, acc.requantize_onnx(scale, element))
    return graph, rng.integers(0, 256, (2, height, width, inputs))


def onnx_conv(graph: Graph, batch: np.ndarray, op: str) -> np.ndarray:
    """The graph's convolution as ConvInteger, or with its requantization as QLinearConv."""
    _, conv, requantize = graph.nodes
    element = requantize.element
    names = ("x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "bias")
    one = np.ones((), np.float32)
    values = dict(
        zip(
            names,
            (
                batch.transpose(0, 3, 1, 2).astype(np.uint8), one,
                np.uint8(graph.types[0].element.zero_point),
                conv.weights.transpose(3, 2, 0, 1).astype(np.int8), requantize.scale,
                np.zeros(conv.out_channels, np.int8), one, np.uint8(element.zero_point), conv.bias,
            ),
            strict=True,
        )
    )  # fmt: skip
    output = np.dtype(np.uint8)
    if op == "ConvInteger":
        values = {name: values[name] for name in ("x", "w", "x_zero")}
        output = np.dtype(np.int32)
    result = run_onnx(
        op, {name: np.asarray(value) for name, value in values.items()}, output,
        strides=conv.stride, dilations=conv.dilation, group=conv.groups,
        pads=(conv.pad.top, conv.pad.left, conv.pad.bottom, conv.pad.right),
    )  # fmt: skip
    return result.transpose(0, 2, 3, 1)


@given(convolutions())
def test_convolution_equals_onnx_runtime(case: tuple[Graph, np.ndarray]) -> None:
    graph, batch = case
    acc, codes = run(graph, batch)
    np.testing.assert_array_equal(acc - graph.nodes[1].bias, onnx_conv(graph, batch, "ConvInteger"))
    np.testing.assert_array_equal(codes, onnx_conv(graph, batch, "QLinearConv"))


@pytest.mark.parametrize("shape", [(24,), (5, 3, 24)])
@pytest.mark.parametrize(
    ("signed", "zero_point"), [(False, 0), (False, 131), (True, -128), (True, 5)]
)
def test_matmul_equals_onnx_runtime(shape: tuple[int, ...], signed: bool, zero_point: int) -> None:
    rng = np.random.default_rng(1)
    builder = Builder()
    value = builder.input(shape, signed=signed, zero_point=zero_point)
    weights = rng.integers(-128, 128, (24, 10))
    graph = builder.graph(value.matmul(weights))
    batch = images_for(graph, 3)
    code = np.int8 if signed else np.uint8
    inputs = {"x": batch.astype(code), "w": weights.astype(np.int8), "zero": code(zero_point)}
    expected = run_onnx(
        "MatMulInteger", {k: np.asarray(v) for k, v in inputs.items()}, np.dtype(np.int32)
    )
    np.testing.assert_array_equal(run(graph, batch)[0], expected)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"),
    [
        ((2, 2), (2, 2), (0, 0, 0, 0)),
        ((3, 2), (1, 2), (2, 1, 0, 1)),
        ((3, 3), (2, 1), (1, 1, 1, 1)),
    ],
)
def test_max_pool_equals_onnx_runtime(
    signed: bool, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int, int, int]
) -> None:
    builder = Builder()
    value = builder.input((7, 8, 3), signed=signed)
    graph = builder.graph(value.max_pool2d(kernel, stride, pad))
    batch = images_for(graph, 3)
    code = np.dtype(np.int8 if signed else np.uint8)
    top, bottom, left, right = pad
    expected = run_onnx(
        "MaxPool", {"x": batch.transpose(0, 3, 1, 2).astype(code)}, code,
        kernel_shape=kernel, strides=stride, pads=(top, left, bottom, right),
    )  # fmt: skip
    np.testing.assert_array_equal(run(graph, batch)[0], expected.transpose(0, 2, 3, 1))


@given(
    st.one_of(networks(max_weight_bits=16), networks(max_threshold_bits=4)), st.integers(0, 2**16)
)
def test_every_node_equals_plain_loops(graph: Graph, seed: int) -> None:
    batch = images_for(graph, 1, seed)
    expected = run_loops(graph, batch[0])
    for result, values in zip(run_all(graph, batch), expected, strict=True):
        np.testing.assert_array_equal(result[0], values)


def test_loops_notice_a_changed_weight() -> None:
    weights = np.zeros((3, 3, 1, 1), int)

    def graph() -> Graph:
        builder = Builder()
        return builder.graph(builder.input((3, 3, 1), zero_point=-128).conv2d(weights, pad="same"))

    batch = images_for(graph(), 1)
    expected = run_loops(graph(), batch[0])[1]
    weights[2, 0, 0, 0] = 1
    assert (run(graph(), batch)[0][0] != expected).any()


def test_images_of_a_batch_do_not_mix() -> None:
    for seed in range(20):
        graph = random_network(seed)
        batch = images_for(graph, 5, seed)
        together = run(graph, batch)[0]
        alone = [run(graph, batch[i : i + 1])[0][0] for i in range(5)]
        np.testing.assert_array_equal(together, alone)


def test_long_batches_equal_short_ones() -> None:
    graph = random_network(2)
    batch = images_for(graph, 2 * CHUNK_IMAGES + 1)
    np.testing.assert_array_equal(run(graph, batch)[0], run_all(graph, batch)[graph.outputs[0]])
    assert len(run(graph, batch[:0])[0]) == 0


def test_empty_batch_gives_empty_results() -> None:
    for seed in range(20):
        graph = random_network(seed)
        results = run_all(graph, images_for(graph, 0))
        shapes = [(0, *tensor.shape) for tensor in graph.types]
        assert [result.shape for result in results] == shapes


def test_sums_fill_32_bits_and_not_one_more() -> None:
    weights, batch = np.array([[1], [1]]), np.array([[255, 255]])
    builder = Builder()
    value = builder.input((2,), signed=False)
    largest = (1 << 31) - 1
    full = value.matmul(weights, np.array([largest - 2 * 255]))
    assert run(builder.graph(full), batch)[0].item() == largest
    over = value.matmul(weights, np.array([largest - 2 * 255 + 1]), name="dense")
    with pytest.raises(AccumulatorOverflowError, match=r"node 2, matmul 'dense': .* 2147483648 "):
        run(builder.graph(over), batch)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.zeros((1, 3), int), r"input 0 must have shape \(n, 2\), not \(1, 3\)"),
        (np.zeros((1, 2)), "input 0 must hold integers, not float64"),
        (np.array([[0, 16]]), r"input 0 must hold 0\.\.15, not 0\.\.16"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(batch: np.ndarray, message: str) -> None:
    builder = Builder()
    graph = builder.graph(builder.input((2,), bits=4, signed=False))
    with pytest.raises(ValueError, match=message):
        run(graph, batch)


def test_number_of_inputs_and_images_must_agree() -> None:
    builder = Builder()
    graph = builder.graph(builder.input((2,)).add(builder.input((2,))))
    with pytest.raises(ValueError, match=r"the network has 2 input\(s\), not 1"):
        run(graph, np.zeros((1, 2), int))
    with pytest.raises(ValueError, match="input 1 must have 3 images as the first, not 2"):
        run(graph, np.zeros((3, 2), int), np.zeros((2, 2), int))
