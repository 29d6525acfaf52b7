"""The networks that come with the mapper, and the images they have never seen.

The networks are made by ``examples/train_digits.py``. The images are 450 of the 1,797 in
scikit-learn's ``load_digits``, which are the test part of "Optical Recognition of Handwritten
Digits" by E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, licence CC BY 4.0.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mapping.network import Network, load_network

FOLDER: Final = Path(__file__).parent
SUFFIX: Final = ".systolic-net"
HELD_OUT_FILE: Final = "digits_held_out.npz"


@dataclass(frozen=True, eq=False)
class DigitsImages:
    """Images that no network here was trained with.

    Parameters
    ----------
    images : ndarray of uint8, shape (450, 8, 8, 1)
        Pixels, 0 (background) to 16 (ink).
    labels : ndarray of uint8, shape (450,)
        The digit on each.
    indices : ndarray of uint16, shape (450,)
        Position of each in scikit-learn's ``load_digits``, ascending.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    indices: NDArray[np.uint16]


def load_digits_images() -> DigitsImages:
    """Read the 450 held-out images."""
    with np.load(FOLDER / HELD_OUT_FILE, allow_pickle=False) as arrays:
        return DigitsImages(arrays["images"], arrays["labels"], arrays["indices"])


def network_names() -> tuple[str, ...]:
    """Names of the networks that come with the mapper, for :func:`load_included`."""
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}")))


def load_included(name: str) -> Network:
    """Read a network that comes with the mapper, such as ``digits_int8``.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in network_names():
        raise ValueError(f"a network must be one of {', '.join(network_names())}, not {name!r}")
    return load_network(FOLDER / f"{name}{SUFFIX}")
