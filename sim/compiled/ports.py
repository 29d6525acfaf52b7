"""Values of ports between Python, numpy and the 64-bit words of a compiled model."""

import numpy as np
from numpy.typing import NDArray

from sim.compiled.rtl.design import Output

__all__ = ["WORD_BITS", "check_value", "from_words", "port_words", "to_words"]

WORD_BITS = 64


def port_words(port: Output) -> int:
    """Return how many 64-bit words the port takes."""
    return max(1, -(-port.width // WORD_BITS))


def check_value(port: Output, value: int) -> int:
    """Return `value` as the port's bits, an unsigned number.

    Raises
    ------
    ValueError
        If the port has too few bits for it, signed or unsigned.
    """
    if not -(1 << port.width) // 2 <= value < 1 << port.width:
        raise ValueError(f"input {port.name} has {port.width} bits, too few for {value}")
    return value & ((1 << port.width) - 1)


def to_words(port: Output, values: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Return the values of an input, shape (cycles,) or (cycles, words), as (cycles, words).

    Raises
    ------
    ValueError
        If the shape, the type or a value does not fit the port.
    """
    words = port_words(port)
    expected = f"(cycles,) or (cycles, {words})" if words == 1 else f"(cycles, {words})"
    if values.ndim == 1 and words == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[1] != words or values.dtype.kind not in "iub":
        raise ValueError(
            f"input {port.name} takes integers of shape {expected}, not "
            f"{values.dtype} {values.shape}"
        )
    result = values.astype(np.uint64)
    mask = np.uint64((1 << (port.width - WORD_BITS * (words - 1))) - 1)
    if values.dtype.kind == "i" and words == 1:
        least, most = -(1 << port.width) // 2, (1 << port.width) - 1
        fits = not values.size or (least <= int(values.min()) and int(values.max()) <= most)
        result &= mask
    else:
        fits = not np.any(result[:, -1] & ~mask)
    if not fits:
        raise ValueError(f"input {port.name} has {port.width} bits, too few for its values")
    return np.ascontiguousarray(result)


def from_words(port: Output, data: NDArray[np.uint64]) -> NDArray[np.integer]:
    """Return recorded words, shape (cycles, words), as `CompiledModel.run_vectors` gives them."""
    if port.width > WORD_BITS:
        return data
    values = data[:, 0]
    if not port.is_signed:
        return values
    unused = np.uint64(WORD_BITS - port.width)
    return (values << unused).view(np.int64) >> np.int64(unused)
