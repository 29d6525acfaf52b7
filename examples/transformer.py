"""A transformer encoder block in int8, of two heads, written as lazy tensors.

Two programs: queries times keys, and all that follows. The softmax between them is the host's, and
layer norms are left out. Run from a checkout::

    python examples/transformer.py
"""

import numpy as np
from numpy.typing import NDArray

from mapping.tensor import Device, Tensor, concat, run_tensors
from sim.functional import FunctionalSimulator
from systolic.spec.config import ArrayConfig

TOKENS, WIDTH, HEADS, DEPTH, HIDDEN = 16, 32, 2, 16, 64
SCORE_STEP = 1 / 16  # real value of one step of a score
RNG = np.random.default_rng(2026)


def dense(tensor: Tensor, outputs: int) -> Tensor:
    """A dense layer with random weights whose results spread over int8."""
    inputs = tensor.shape[1]
    weights = Tensor.constant(RNG.integers(-127, 128, (inputs, outputs)))
    return (tensor @ weights + RNG.integers(-999, 999, outputs)).quantize(0.01 / inputs**0.5)


def softmax(scores: NDArray[np.int64]) -> NDArray[np.int64]:
    """Shares of each row's scores, in steps of 1/255."""
    powers = np.exp((scores - scores.max(axis=1, keepdims=True)) * SCORE_STEP)
    return np.rint(powers / powers.sum(axis=1, keepdims=True) * 255).astype(np.int64)


X = Tensor.input((TOKENS, WIDTH), name="x")
SHARES = [Tensor.input((TOKENS, TOKENS), signed=False, name=f"shares {h}") for h in range(HEADS)]
SCORES = [(dense(X, DEPTH) @ dense(X, DEPTH).T).quantize(0.005) for _ in range(HEADS)]
MIXED = concat([(shares @ dense(X, DEPTH)).quantize(1 / 100) for shares in SHARES], axis=1)
ATTENDED = (X + dense(MIXED, WIDTH)).quantize(0.7)
BLOCK = (ATTENDED + dense(dense(ATTENDED, HIDDEN).relu(), WIDTH)).quantize(0.7)


def encode(device: Device, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Run the block on a device or simulator."""
    shares = map(softmax, run_tensors(device, SCORES, tokens))
    return run_tensors(device, [BLOCK], *(tokens, *shares))[0]


def main() -> None:
    """Run twice, and compare with numpy."""
    tokens = RNG.integers(-128, 128, X.shape)
    shares = [softmax(scores.numpy(tokens)) for scores in SCORES]
    expected = BLOCK.numpy(*(tokens, *shares))
    for _ in range(2):
        result = encode(FunctionalSimulator(ArrayConfig()), tokens)
        print(f"{result.size} outputs, {np.count_nonzero(result != expected)} differ from numpy's")


if __name__ == "__main__":
    main()
