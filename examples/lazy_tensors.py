"""Lazy tensors: numpy's words for a small network, and what becomes of them on the array.

A convolution is written as windows times a kernel, summed; a dense layer as ``@``. Nothing runs
until the end, and movements in between cost nothing. Run from a checkout::

    python examples/lazy_tensors.py
"""

import numpy as np

from mapping.program.file import to_bytes
from mapping.tensor import Tensor, conv2d, max_pool2d
from sim.functional import FunctionalSimulator
from systolic.spec.config import ArrayConfig

CONFIG = ArrayConfig()
RNG = np.random.default_rng(2026)
KERNEL = RNG.integers(-128, 128, (3, 3, 4, 8))
MATRIX = RNG.integers(-128, 128, (128, 10))


def network(image: Tensor, *, by_hand: bool) -> Tensor:
    """Convolution, ReLU, max-pool and a dense layer; the convolution from its parts or at once."""
    kernel = Tensor.constant(KERNEL, name="kernel")
    if by_hand:
        windows = image.pad((1, 1), (1, 1), (0, 0)).sliding_window_view((3, 3), axis=(0, 1))
        products = windows.reshape(8, 8, 1, 4, 3, 3) * kernel.permute(3, 2, 0, 1)
        sums = products.sum(axis=(3, 4, 5))
    else:
        sums = conv2d(image, kernel, pad="same")
    pooled = max_pool2d(sums.quantize(0.002).relu(), 2)
    return (pooled.reshape(128) @ MATRIX).quantize(0.002)


def main() -> None:
    """Compile both forms, compare their bytes, run one and compare it with numpy."""
    image = Tensor.input((8, 8, 4), zero_point=-5, name="image")
    tensor = network(image, by_hand=True)
    print(tensor.explain(CONFIG))

    program = tensor.compile(CONFIG)
    same = to_bytes(program) == to_bytes(network(image, by_hand=False).compile(CONFIG))
    print(f"\nboth forms give the same {len(to_bytes(program)):,} bytes: {same}")

    pixels = RNG.integers(-128, 128, image.shape)
    result = tensor.run(FunctionalSimulator(CONFIG), pixels)
    same = np.array_equal(result, tensor.numpy(pixels))
    print(f"the simulator gives {result}, numpy the same: {same}")


if __name__ == "__main__":
    main()
