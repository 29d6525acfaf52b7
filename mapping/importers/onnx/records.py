"""An ONNX model as plain records: what :mod:`mapping.importers.onnx.parse` reads.

They hold what the file says, lengths, names and order checked; what a node means, and whether it is
supported, is decided by who walks over them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mapping.importers.errors import printable

Array = NDArray[Any]


@dataclass(frozen=True)
class Unread:
    """An attribute that is left alone: a graph, a sparse tensor, a type, or one of a function.

    Parameters
    ----------
    kind : str
        The format's name of it, such as ``GRAPH``.
    """

    kind: str


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor whose values are in the file.

    Parameters
    ----------
    name : str
        Name of the value; empty for a node's attribute.
    kind : str
        The format's name of the element type, in small letters: ``float``, ``int8``, ``uint4`` ...
    values : ndarray
        In the tensor's shape, read only. Types of 2 or 4 bits are held in 8; ``bool`` in numpy's.
    """

    name: str
    kind: str
    values: Array


Scalar = int | float | bytes
Attribute = Scalar | tuple[int, ...] | tuple[float, ...] | tuple[bytes, ...] | Constant | Unread


@dataclass(frozen=True)
class Port:
    """An input or output of the whole model.

    Parameters
    ----------
    name : str
        Name of the value.
    kind : str
        Element type as in :class:`Constant`; empty if the file does not say.
    shape : tuple of int or None
        With the batch axis; None only for an output whose shape the file leaves open.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, eq=False)
class Node:
    """One operator.

    Parameters
    ----------
    index : int
        Position in the model.
    op : str
        Name of the operator, such as ``QLinearConv``.
    domain : str
        Who defined it; empty for ONNX itself.
    name : str
        The node's own name; may be empty.
    inputs, outputs : tuple of str
        Names of values; an empty one is an optional that is left out.
    attributes : mapping of str to Attribute
        Its parameters.
    """

    index: int
    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    @property
    def qualified_op(self) -> str:
        """Operator with its domain, unless that is ONNX's own."""
        return f"{self.domain}.{self.op}" if self.domain else self.op

    @property
    def label(self) -> str:
        """Name of the layer it becomes."""
        return f"{printable(self.op.lower())}_{self.index}"


@dataclass(frozen=True, eq=False)
class Model:
    """A whole model.

    Parameters
    ----------
    name, description : str
        The graph's name, and free text.
    opsets : mapping of str to int
        Version of each domain's operators; ONNX's own domain is the empty string.
    inputs, outputs : tuple of Port
        What is given and returned. Inputs that a constant gives are not among them.
    nodes : tuple of Node
        In order of execution, each after those it uses; no ``Constant`` among them.
    constants : mapping of str to Constant
        Initializers, and the results of ``Constant`` nodes.
    """

    name: str
    description: str
    opsets: Mapping[str, int]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
