"""A softmax at the end is the host's."""

import numpy as np
import pytest

from mapping.importers import ModelError
from mapping.importers.onnx import import_model
from mapping.reference import run
from tests.mapping.importers.onnx.draw import Draw, Tensor
from tests.mapping.importers.onnx.oracle import assert_same, begin

GRID = Tensor("", (1, 10), np.float32(1 / 256), np.uint8(0))


def drawn(seed: int) -> tuple[Draw, str]:
    draw = Draw(seed)
    draw.dtype = np.dtype(np.uint8)
    return draw, draw.writer.node("Softmax", [draw.dequantize(draw.real_input((1, 10)))], axis=1)


def test_real_softmax_is_rounded_correctly() -> None:
    draw, shares = drawn(seed=1)
    draw.writer.output(shares, np.float32)
    network = import_model(draw.writer.to_bytes(), strict=True).network
    (codes,) = begin(network, draw.batches)
    (got,) = network.ends.finish(run(network.graph, codes))
    affine = network.ends.inputs[0]
    assert affine is not None
    reals = affine.dequantize(codes).astype(np.longdouble)
    powers = np.exp(reals - reals.max(axis=1, keepdims=True))
    wanted = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    np.testing.assert_array_equal(got, wanted, strict=True)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("is_real", [False, True])
def test_quantized_softmax_is_onnx_runtimes(seed: int, is_real: bool) -> None:
    draw, shares = drawn(seed)
    steps = draw.quantize(shares, GRID)
    draw.writer.output(draw.dequantize(steps) if is_real else steps.name,
                       np.float32 if is_real else np.uint8)  # fmt: skip
    assert_same(draw.writer.to_bytes(), draw.batches)


def test_nothing_follows_a_softmax() -> None:
    draw, shares = drawn(seed=1)
    draw.writer.output(draw.writer.node("Relu", [shares]), np.float32)
    with pytest.raises(ModelError, match="Relu 3: input 0 must come from DequantizeLinear"):
        import_model(draw.writer.to_bytes())
