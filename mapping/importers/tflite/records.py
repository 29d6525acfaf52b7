"""A TensorFlow Lite model as plain records: what :mod:`mapping.importers.tflite.parse` reads.

They hold what the file says, sizes and indices checked; whether it is supported is decided later.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class PaddingKind(IntEnum):
    """How windows treat the image's border; numbers of the file format."""

    SAME = 0
    VALID = 1


class Activation(IntEnum):
    """Function fused behind an operator; numbers of the file format."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3
    TANH = 4
    SIGN_BIT = 5


@dataclass(frozen=True, eq=False)
class Quantization:
    """Real values of integers: ``scale * (q - zero_point)``.

    Parameters
    ----------
    scales : ndarray of float32, shape (n,)
        One, or one per index of ``axis``.
    zero_points : ndarray of int64, shape (n,)
        As many, or none where the file has none.
    axis : int
        Axis that scales belong to, if there are several.
    """

    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor.

    Parameters
    ----------
    index : int
        Position in the model.
    name, kind : str
        Its name, and the format's name of its element type, such as ``INT8``.
    shape : tuple of int
        As in the file, with the batch axis.
    is_dynamic : bool
        Whether an axis has no fixed length.
    quantization : Quantization or None
        None for plain numbers.
    data : ndarray of uint8 or None
        Bytes of a constant.
    oddity : str
        What makes it unusable for us (sparse, variable), or nothing.
    """

    index: int
    name: str
    kind: str
    shape: tuple[int, ...]
    is_dynamic: bool
    quantization: Quantization | None
    data: NDArray[np.uint8] | None
    oddity: str = ""

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"tensor {self.index} {self.name[:40]!r}" if self.name else f"tensor {self.index}"


@dataclass(frozen=True)
class ConvOptions:
    """Options of both convolutions; pairs are (vertical, horizontal)."""

    padding: int
    stride: tuple[int, int]
    dilation: tuple[int, int]
    activation: int


@dataclass(frozen=True)
class PoolOptions:
    """Options of pooling; pairs are (vertical, horizontal)."""

    padding: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    activation: int


@dataclass(frozen=True)
class FullyConnectedOptions:
    """Options of FULLY_CONNECTED; ``weights_format`` 0 is the usual row-major one."""

    activation: int
    weights_format: int


@dataclass(frozen=True)
class AddOptions:
    """Options of ADD."""

    activation: int


@dataclass(frozen=True)
class ConcatOptions:
    """Options of CONCATENATION."""

    axis: int
    activation: int


@dataclass(frozen=True)
class SoftmaxOptions:
    """Options of SOFTMAX: what the input is multiplied with."""

    beta: float


@dataclass(frozen=True)
class NoOptions:
    """Options of operators that have none, or none of interest."""


Options = (
    ConvOptions
    | PoolOptions
    | FullyConnectedOptions
    | AddOptions
    | ConcatOptions
    | SoftmaxOptions
    | NoOptions
)


@dataclass(frozen=True)
class Operator:
    """One operator.

    Parameters
    ----------
    index : int
        Position in the model.
    name : str
        The format's name, such as ``CONV_2D``; a custom operator's own name.
    version : int
        Version of its definition.
    inputs, outputs : tuple of int
        Tensor indices; -1 is an optional input that is left out.
    options : Options
        Its parameters.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options

    @property
    def label(self) -> str:
        """Name of the layer it becomes."""
        return f"{self.name.lower()}_{self.index}"


@dataclass(frozen=True)
class Model:
    """A whole model with one graph.

    Parameters
    ----------
    description : str
        Free text.
    tensors : tuple of Tensor
        By index.
    operators : tuple of Operator
        In order of execution.
    inputs, outputs : tuple of int
        Tensor indices.
    """

    description: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
