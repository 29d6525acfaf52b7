"""Shapes of batches: what users are told of them, and which reshaping cannot mix elements up."""

from math import prod
from typing import Any

from numpy.typing import NDArray


def batch_text(shape: tuple[int, ...]) -> str:
    """Shape of a batch, such as ``(n, 3, 8, 8)``."""
    return f"(n, {', '.join(map(str, shape))})"


def reshaped(values: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """A batch in another shape, where that is only a matter of form.

    Axes of one element may come and go, and one axis may stand for all of them. Any other reshaping
    would take one axis for another, such as channels for rows.

    Parameters
    ----------
    values : ndarray, shape (n, ...)
        The batch.
    shape : tuple of int
        Wanted shape of one image.
    name : str
        What the batch is, for the message.

    Raises
    ------
    ValueError
        If it has another number of elements, or other axes.
    """
    given = values.shape[1:]
    long, wanted = ([extent for extent in each if extent != 1] for each in (given, shape))
    is_form = long == wanted or min(len(long), len(wanted)) <= 1
    if values.ndim == 0 or prod(given) != prod(shape) or not is_form:
        raise ValueError(f"{name} must have shape {batch_text(shape)}, not {values.shape}")
    return values.reshape(len(values), *shape)
