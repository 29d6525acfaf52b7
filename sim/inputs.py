"""What a network is run on: the user's files, labelled images of its own, or random values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mapping.batch_shape import reshaped
from mapping.cli.failure import Failure, reported
from mapping.cli.subject import load_archive, load_inputs
from mapping.network import Network
from mapping.networks import load_digits_images
from mapping.ops import ActType
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
    labels : ndarray of int, shape (n,), or None
        The right classes, if known.
    source : str
        Where they come from, for the user.
    is_from_user : bool
        Whether the user gave them.
    """

    inputs: tuple[NDArray[Any], ...]
    labels: NDArray[np.integer] | None
    source: str
    is_from_user: bool = False

    def first(self, count: int | None) -> "Batch":
        """First images of the batch, or all of them."""
        labels = None if self.labels is None else self.labels[:count]
        inputs = tuple(array[:count] for array in self.inputs)
        return replace(self, inputs=inputs, labels=labels)


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


def user_batch(network: Network | None, inputs: Sequence[str], labels: str | None) -> Batch:
    """Inputs in the user's files, as the network takes them.

    Parameters
    ----------
    network : Network or None
        If known, real numbers are quantized for inputs that take them, and images that are only
        shaped otherwise are reshaped.
    inputs : sequence of str
        One ``.npy`` file per input; or one ``.npz`` file with the inputs as ``x`` and, perhaps, the
        right classes as ``y``.
    labels : str or None
        An ``.npy`` file with the right classes.

    Raises
    ------
    Failure
        If a file does not hold what it should.
    """
    classes: NDArray[Any] | None = None
    if len(inputs) == 1 and inputs[0].endswith(".npz"):
        archive = load_archive(inputs[0])
        if "x" not in archive:
            raise Failure(f"{inputs[0]}: must hold an array x, and may hold y")
        arrays, classes = (archive["x"],), archive.get("y")
    else:
        arrays = load_inputs(tuple(inputs))
    if labels is not None:
        (classes,) = load_inputs((labels,))
    is_real = any(array.dtype.kind == "f" for array in arrays)
    if network is not None and len(arrays) == len(network.graph.input_ids):
        arrays = tuple(_fit(network, index, array) for index, array in enumerate(arrays))
    if classes is not None:
        classes = _check_classes(classes, len(arrays[0]) if arrays[0].ndim else 0)
    source = f"images of {', '.join(inputs)}{', quantized' if is_real else ''}"
    return Batch(arrays, classes, source, is_from_user=True)


def _fit(network: Network, index: int, array: NDArray[Any]) -> NDArray[Any]:
    """One input as integers in the network's shape, where that is only a matter of form."""
    tensor = network.graph.types[network.graph.input_ids[index]]
    element, takes_reals = tensor.element, network.ends.takes_reals(index)
    assert isinstance(element, ActType)  # an input holds nothing else
    low, high = element.q_min, element.q_max
    if array.dtype.kind == "f" and not takes_reals:
        raise Failure(
            f"input {index} takes integers {low}..{high}, not {array.dtype}: quantize it with the "
            f"scale and the zero point that systolic info shows"
        )
    if array.dtype.kind in "iu" and takes_reals and array.size:
        if array.min() < low or array.max() > high:
            raise Failure(
                f"input {index}: integers are taken as quantized ({low}..{high}), not "
                f"{array.min()}..{array.max()}: give real numbers as floats"
            )
    with reported(ValueError):
        begun = network.ends.begin(index, array, low, high)
        return reshaped(begun, tensor.shape, f"input {index}")


def _check_classes(classes: NDArray[Any], images: int) -> NDArray[Any]:
    if classes.shape != (images,) or classes.dtype.kind not in "iu":
        raise Failure(
            f"labels must be one integer for each image, shape ({images},), "
            f"not {classes.dtype} of shape {classes.shape}"
        )
    return classes


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
