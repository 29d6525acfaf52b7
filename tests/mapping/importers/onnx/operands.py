"""What random operators of integers and of reals have in common: windows, kernels, biases."""

from typing import Any

import numpy as np

from tests.mapping.importers.onnx.draw import Array, Draw, Tensor, Weights


def random_bias(draw: Draw, weights: Weights, source: Tensor) -> Array:
    terms = weights.values.size / weights.values.shape[weights.axis]
    spread = int(np.sqrt(terms) * 4000)
    return draw.rng.integers(-spread, spread, weights.values.shape[weights.axis]).astype(np.int32)


def random_window(
    draw: Draw, shape: tuple[int, ...], *, has_dilation: bool = True
) -> dict[str, Any]:
    """Attributes of windows that fit the image."""
    kernel = [draw.integer(1, min(3, extent)) for extent in shape[2:]]
    pads = [draw.integer(0, tap - 1) for tap in kernel * 2]
    dilation = [
        draw.integer(1, 2) if has_dilation and 2 * (tap - 1) < extent else 1
        for tap, extent in zip(kernel, shape[2:], strict=True)
    ]
    made: dict[str, Any] = {"kernel_shape": kernel, "strides": [draw.integer(1, 3) for _ in kernel]}
    if has_dilation:
        made["dilations"] = dilation
    is_dense = all(step <= tap for step, tap in zip(made["strides"], kernel, strict=True))
    match draw.integer(0, 3):
        case 0 if is_dense or has_dilation:
            made["auto_pad"] = str(draw.rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
            made.pop("dilations", None)
        case _:
            made["pads"] = pads
    return made


def random_kernel(draw: Draw, source: Tensor, kernel: list[int]) -> tuple[Weights, int]:
    """Weights of a convolution, and its groups."""
    channels = source.shape[1]
    groups = int(draw.rng.choice([1, 1, channels]))
    outputs = groups * draw.integer(1, 6 // groups if groups < 6 else 1)
    return draw.weights((outputs, channels // groups, *kernel), axis=0), groups


def random_batches(draw: Draw) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of activations and weights of several products."""
    size, rows, features = draw.integer(2, 3), draw.integer(1, 4), draw.integer(1, 9)
    return (size, rows, features), (size, features, draw.integer(1, 5))


def random_matrix(draw: Draw, source: Tensor) -> tuple[Weights, int]:
    """Weights of a dense layer, and whether its outputs are their first axis."""
    is_transposed = draw.integer(0, 1)
    outputs = draw.integer(1, 9)
    shape = (outputs, source.shape[1]) if is_transposed else (source.shape[1], outputs)
    return draw.weights(shape, axis=0 if is_transposed else 1), is_transposed
