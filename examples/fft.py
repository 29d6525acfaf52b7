"""A 64-point FFT in fixed point, radix 8 x 8, written as lazy tensors.

With ``n = 8 a + b`` and ``k = c + 8 d``, the inner transforms over a are one matrix for all b; the
twiddle factors ``exp(-2 pi i b c / 64)`` go into the matrices of the outer ones over b, so that
there is one for each c. Between the two stages, numbers are rounded to 8 bits. Run from a
checkout::

    python examples/fft.py
"""

import numpy as np
from numpy.typing import NDArray

from mapping.tensor import Tensor
from sim.functional import FunctionalSimulator
from systolic.spec.config import ArrayConfig

RADIX, STEPS = 8, 127
POINTS = RADIX * RADIX
SCALE = 1 / 1024  # of both stages


def rotations(turns: NDArray[np.float64]) -> NDArray[np.int64]:
    """Matrices that turn (real, imaginary) backwards by so many turns, in steps of 1/127."""
    cos, sin = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
    return np.rint(STEPS * np.array([[cos, sin], [-sin, cos]])).astype(np.int64)


def fft(signal: Tensor) -> Tensor:
    """Spectrum, shape (64, 2), of a signal of that shape."""
    a = b = c = d = np.arange(RADIX)
    inner = rotations(np.multiply.outer(a, c) / RADIX)  # (out, in, a, c)
    samples = signal.reshape(RADIX, RADIX, 2).permute(1, 0, 2).reshape(RADIX, 2 * RADIX)
    stage = (samples @ inner.transpose(2, 1, 3, 0).reshape(2 * RADIX, 2 * RADIX)).quantize(SCALE)

    turns = b[:, None, None] * (c[:, None] + RADIX * d) / POINTS
    outer = rotations(turns).transpose(3, 4, 0, 2, 1)  # (c, d, out, b, in)
    columns = stage.reshape(RADIX, RADIX, 2).permute(1, 0, 2).reshape(RADIX, 1, 1, RADIX, 2)
    spectrum = (columns * outer).sum(axis=(3, 4)).quantize(SCALE)  # (c, d, out)
    return spectrum.permute(1, 0, 2).reshape(POINTS, 2)


def main() -> None:
    """Transform a noisy tone twice; compare with the integers and with the real thing."""
    rng = np.random.default_rng(2026)
    signal = 90 * np.exp(2j * np.pi * 5 * np.arange(POINTS) / POINTS) + rng.normal(0, 9, POINTS)
    given = np.rint(np.stack([signal.real, signal.imag], axis=1)).astype(np.int64)
    tensor = fft(Tensor.input((POINTS, 2), name="signal"))
    expected = tensor.numpy(given)
    real = np.fft.fft(given @ [1, 1j]) * (STEPS * SCALE) ** 2
    for _ in range(2):
        result = tensor.run(FunctionalSimulator(ArrayConfig()), given)
        print(f"{result.size} outputs, {np.count_nonzero(result != expected)} differ from numpy's; "
              f"at most {np.abs(result @ [1, 1j] - real).max():.2f} from the real spectrum, "
              f"whose peak is {np.abs(real).max():.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
