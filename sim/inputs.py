"""What a network is run on: the user's files, labelled images of its own, or random values."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mapping.network import Network
from mapping.networks import load_digits_images
from mapping.program import Program

RANDOM_SEED: Final = 0
RANDOM_IMAGES: Final = 10


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs of a run.

    Parameters
    ----------
    inputs : tuple of ndarray of int, shape (n, ...)
        Values q, one batch per input of the network.
    labels : ndarray of uint8, shape (n,), or None
        The right classes, if known.
    source : str
        Where they come from, for the user.
    """

    inputs: tuple[NDArray[Any], ...]
    labels: NDArray[np.uint8] | None
    source: str

    def first(self, count: int | None) -> "Batch":
        """First images of the batch, or all of them."""
        labels = None if self.labels is None else self.labels[:count]
        return Batch(tuple(array[:count] for array in self.inputs), labels, self.source)


def held_out_digits(network: Network) -> Batch:
    """The labelled images that no digits network was trained with."""
    digits = load_digits_images()
    return Batch(
        (network.quantize_input(digits.images),),
        digits.labels,
        "held-out images of handwritten digits",
    )


def random_batch(program: Program, images: int = RANDOM_IMAGES) -> Batch:
    """Evenly distributed values of the inputs' ranges, the same at every call."""
    rng = np.random.default_rng(RANDOM_SEED)
    arrays = tuple(
        rng.integers(tensor.q_min, tensor.q_min + (1 << tensor.bits), size=(images, *tensor.shape))
        for tensor in program.inputs
    )
    return Batch(
        arrays, None, f"random images (seed {RANDOM_SEED}), as no labelled ones come with it"
    )


def check_batch(program: Program, inputs: tuple[NDArray[Any], ...]) -> None:
    """Refuse arrays that are not this program's inputs.

    Raises
    ------
    ValueError
        If number, lengths, shapes, dtypes or values do not fit.
    """
    if len(inputs) != len(program.inputs):
        raise ValueError(f"{program.name} has {len(program.inputs)} input(s), not {len(inputs)}")
    lengths = {len(array) if array.ndim else 0 for array in inputs}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            f"inputs must have the same number of images, at least one, not {sorted(lengths)}"
        )
    for index, array in enumerate(inputs):
        program.pack_input(array, index)
