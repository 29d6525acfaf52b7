"""Equal computations give equal programs, however they are written."""

from collections.abc import Callable

import numpy as np
import pytest

from mapping.builder import Builder, Value
from mapping.compiler import compile_network
from mapping.ops import ActType, Conv2d, MatMul, MaxPool2d
from mapping.program.file import to_bytes
from mapping.quantize import quantize_scale
from mapping.tensor import Tensor, conv2d, max_pool2d
from sim.functional import FunctionalSimulator
from systolic.spec.config import ArrayConfig
from tests.mapping.tensor.movements import values

CONFIG = ArrayConfig()
N = 20
A = Tensor.input((N, N), zero_point=3, name="a")
MATRIX = values((N, N), 1)
B = Tensor.constant(MATRIX, name="b")
BIAS = values((8,), 2, -2000, 2000)
X = Tensor.input((9, 7, 4), zero_point=5, name="x")
SCALE = 0.003

MATMULS: dict[str, Callable[[], Tensor]] = {
    "reshape": lambda: (A.reshape(N, 1, N) * B.permute(1, 0).reshape(1, N, N)).sum(axis=2),
    "summed in the middle": lambda: (A.reshape(N, N, 1) * B.reshape(1, N, N)).sum(axis=1),
    "summed first": lambda: (A.T.reshape(N, N, 1) * B.reshape(N, 1, N)).sum(axis=0),
    "weights on the left": lambda: (B.T.reshape(1, N, N) * A.reshape(N, 1, N)).sum(axis=-1),
    "in two sums": lambda: (
        (A.reshape(N, 1, 4, 5) * B.T.reshape(1, N, 4, 5)).sum(axis=3).sum(axis=2)
    ),
    "backwards": lambda: A.flip(1) @ B.flip(0),
    "transposed twice": lambda: (B.T.reshape(N, 1, N) * A.reshape(1, N, N)).sum(axis=2).T,
    "in two halves": lambda: A[:, : N // 2] @ B[: N // 2] + A[:, N // 2 :] @ B[N // 2 :],
}

CONVOLUTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "same": {"pad": "same"},
    "strided": {"stride": 2, "pad": "same"},
    "dilated": {"dilation": 2, "pad": (2, 1, 0, 3)},
    "grouped": {"groups": 2, "stride": (1, 2)},
    "depthwise": {"groups": 4, "pad": "same"},
}


def program(
    graph_of: Callable[[Value], Value], shape: tuple[int, ...], zero: int, name: str
) -> bytes:
    """Program of a network that a Builder made."""
    builder = Builder()
    graph = builder.graph(graph_of(builder.input(shape, zero_point=zero, name=name)))
    return to_bytes(compile_network(graph, CONFIG, name="tensor"))


@pytest.mark.parametrize("form", MATMULS)
def test_every_way_to_write_a_matmul_is_one_program(form: str) -> None:
    direct = to_bytes((A @ B).quantize(SCALE).compile(CONFIG))
    built = program(
        lambda a: a.matmul(MATRIX).requantize(*quantize_scale(SCALE)), (1, N, N), 3, "a"
    )
    assert direct == built
    assert to_bytes(MATMULS[form]().quantize(SCALE).compile(CONFIG)) == direct


@pytest.mark.parametrize("form", CONVOLUTIONS)
def test_windows_times_a_kernel_are_conv2d(form: str) -> None:
    options = CONVOLUTIONS[form]
    kernel = values((3, 3, 4 // int(str(options.get("groups", 1))), 8), 3)
    tensor = conv2d(X, Tensor.constant(kernel), BIAS, **options).quantize(SCALE, zero_point=-3)
    built = program(
        lambda x: x.conv2d(kernel, BIAS, **options).requantize(
            *quantize_scale(SCALE), ActType(8, True, -3)
        ),
        X.shape, 5, "x",
    )  # fmt: skip
    assert to_bytes(tensor.compile(CONFIG)) == built
    image = values(X.shape, 4)
    np.testing.assert_array_equal(
        tensor.run(FunctionalSimulator(CONFIG), image), tensor.numpy(image)
    )


def test_stride_tricks_without_windows_are_conv2d() -> None:
    """Rows and columns repeated, cut one longer and laid out again, as other frameworks pool."""
    kernel = values((3, 3, 4, 8), 3)
    rows = X.reshape(1, 9, 7, 4).expand(4, 9, 7, 4).reshape(36, 7, 4)[:30].reshape(3, 10, 7, 4)
    cols = rows[:, :7].reshape(3, 7, 1, 7, 4).expand(3, 7, 4, 7, 4).reshape(3, 7, 28, 4)
    windows = cols[:, :, :24].reshape(3, 7, 3, 8, 4)[:, :, :, :5]
    ordered = windows.permute(1, 3, 0, 2, 4).reshape(7, 5, 1, 3, 3, 4)
    sums = (ordered * Tensor.constant(kernel).permute(3, 0, 1, 2)).sum(axis=(3, 4, 5))
    direct = conv2d(X, Tensor.constant(kernel)).quantize(SCALE)
    assert to_bytes(sums.quantize(SCALE).compile(CONFIG)) == to_bytes(direct.compile(CONFIG))


def test_channels_first_is_only_an_address() -> None:
    """Sums are written channels first, and the next layer reads them so."""
    first, second = values((3, 3, 4, 8), 3), values((3, 3, 8, 6), 5)
    middle = conv2d(X, Tensor.constant(first), pad="same").permute(2, 0, 1).quantize(SCALE)
    after = conv2d(middle.permute(1, 2, 0), Tensor.constant(second)).quantize(SCALE)
    direct = conv2d(
        conv2d(X, Tensor.constant(first), pad="same").quantize(SCALE), Tensor.constant(second)
    ).quantize(SCALE)
    assert to_bytes(after.compile(CONFIG)) == to_bytes(direct.compile(CONFIG))


def test_a_dense_layer_reads_the_flattened_image() -> None:
    matrix = values((9 * 7 * 4, 10), 6)
    tensor = (X.reshape(-1) @ matrix).quantize(SCALE)
    built = program(
        lambda x: x.flatten().matmul(matrix).requantize(*quantize_scale(SCALE)), X.shape, 5, "x"
    )
    assert to_bytes(tensor.compile(CONFIG)) == built


def test_scales_per_channel_and_pooling_are_one_layer() -> None:
    kernel, scales = values((3, 3, 4, 8), 3), np.linspace(0.001, 0.004, 8)
    sums = conv2d(X, Tensor.constant(kernel), pad="same")
    tensor = max_pool2d(sums.quantize(scales).relu(), 2)
    pairs = np.array([quantize_scale(scale) for scale in scales])
    built = program(
        lambda x: x.conv2d(kernel, pad="same").requantize(*pairs.T).clamp(0, 127).max_pool2d(2),
        X.shape, 5, "x",
    )  # fmt: skip
    assert to_bytes(tensor.compile(CONFIG)) == built


def test_a_residual_is_an_addition_with_weights() -> None:
    kernel = values((3, 3, 4, 4), 3)
    branch = conv2d(X, Tensor.constant(kernel), pad="same").quantize(SCALE)
    tensor = (branch * 3 + X * -2).quantize(0.2)

    def residual(x: Value) -> Value:
        other = x.conv2d(kernel, pad="same").requantize(*quantize_scale(SCALE))
        return other.add(x, weights=(3, -2)).requantize(*quantize_scale(0.2))

    assert to_bytes(tensor.compile(CONFIG)) == program(residual, X.shape, 5, "x")


@pytest.mark.parametrize(
    ("tensor", "kinds"),
    [
        (lambda: (X * 3).quantize(0.1), [Conv2d]),
        (lambda: X.sum(axis=2).quantize(0.1), [MatMul]),
        (lambda: X[1:-1, ::-2].sum(axis=2).quantize(0.1), [Conv2d]),
        (lambda: X.sum(axis=(0, 1)).quantize(0.1), [Conv2d]),
        (lambda: X.max(axis=(0, 1)), [MaxPool2d]),
        (lambda: (X - X.flip(1)).quantize(0.5)[:1], [MatMul]),
        # Zeros where the image goes on are no border.
        (lambda: X[:, :2].pad((0, 0), (0, 5), (0, 0)).sum(axis=2).quantize(0.1), [MatMul]),
    ],
)
def test_other_sums_find_their_node(tensor: Callable[[], Tensor], kinds: list[type]) -> None:
    lazy, image = tensor(), values(X.shape, 7)
    nodes = [type(node) for node in lazy.graph().nodes]
    assert [kind for kind in nodes if kind in (Conv2d, MatMul, MaxPool2d)] == kinds
    simulator = FunctionalSimulator(ArrayConfig(scratchpad_words=65536))
    np.testing.assert_array_equal(lazy.run(simulator, image), lazy.numpy(image))


def test_repeated_results_are_computed_once() -> None:
    rows = (A @ B).reshape(N, N, 1).expand(N, N, 5).quantize(SCALE)
    assert to_bytes(rows.compile(CONFIG)) == to_bytes((A @ B).quantize(SCALE).compile(CONFIG))
    given = values((N, N), 8)
    np.testing.assert_array_equal(rows.run(FunctionalSimulator(CONFIG), given), rows.numpy(given))
