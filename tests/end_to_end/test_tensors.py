"""The examples written as lazy tensors, on the gateware as well."""

import numpy as np
import pytest

from examples import fft, transformer
from mapping.tensor import Tensor
from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from systolic.spec.config import ArrayConfig


@pytest.mark.parametrize("example", [transformer, fft], ids=["transformer", "fft"])
def test_examples_print_that_nothing_differs(
    example: object, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0] == lines[1]
    assert " outputs, 0 differ from numpy's" in lines[0]


def test_a_transformer_block_gives_the_same_twice_on_the_gateware() -> None:
    device = RtlSimulator(ArrayConfig())
    tokens = np.random.default_rng(5).integers(-128, 128, transformer.X.shape)
    shares = [transformer.softmax(scores.numpy(tokens)) for scores in transformer.SCORES]
    expected = transformer.BLOCK.numpy(tokens, *shares)
    for simulator in (device, device, FunctionalSimulator(device.config)):
        np.testing.assert_array_equal(transformer.encode(simulator, tokens), expected)


def test_a_spectrum_is_the_same_twice_on_the_gateware() -> None:
    device = RtlSimulator(ArrayConfig())
    signal = np.random.default_rng(5).integers(-40, 40, (fft.POINTS, 2))
    tensor = fft.fft(Tensor.input(signal.shape))
    for _ in range(2):
        np.testing.assert_array_equal(tensor.run(device, signal), tensor.numpy(signal))


def test_the_transform_is_the_real_one_within_its_rounding() -> None:
    signal = np.random.default_rng(6).integers(-60, 60, (fft.POINTS, 2))
    spectrum = fft.fft(Tensor.input(signal.shape)).numpy(signal) @ [1, 1j]
    exact = np.fft.fft(signal @ [1, 1j]) * (fft.STEPS * fft.SCALE) ** 2
    # Two roundings, the first spread over 16 products; and factors are in steps of 1/127.
    assert np.abs(spectrum - exact).max() < 3
