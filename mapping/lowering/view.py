"""How a layer sees its input: stored tensors joined along channels, with borders, never copied.

Concat, Pad and reshapes that keep the order of words are only addresses: a :class:`View` says which
stored tensors stand behind a value of the graph.
"""

from dataclasses import dataclass, replace

from mapping.errors import UnsupportedError
from mapping.graph import Graph
from mapping.ops import ActType, Concat, Pad, Reshape


@dataclass(frozen=True)
class Piece:
    """One stored tensor in a view: the view's pixel (0, 0) is its pixel (-top, -left).

    Parameters
    ----------
    value : int
        Node id of the stored tensor.
    channels : int
        Its channels.
    top, left : int
        Border that the view adds above and to the left, in pixels.
    """

    value: int
    channels: int
    top: int = 0
    left: int = 0


@dataclass(frozen=True)
class View:
    """An image of ``height`` x ``width`` pixels whose channels come from ``pieces`` in order."""

    height: int
    width: int
    pieces: tuple[Piece, ...]
    element: ActType

    @property
    def channels(self) -> int:
        """Channels of all pieces together."""
        return sum(piece.channels for piece in self.pieces)


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels under which a shape is stored; a vector is one pixel."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0])


def element_of(graph: Graph, value: int) -> ActType:
    """Activation type of a value that is known to hold activations."""
    element = graph.types[value].element
    assert isinstance(element, ActType)
    return element


def is_same_storage(graph: Graph, value: int, stored: frozenset[int]) -> bool:
    """Whether a Reshape leaves every word where it is: only vectors and single pixels do."""
    source = skip_reshapes(graph, graph.nodes[value].inputs[0], stored)
    return image_shape(graph.types[source].shape) == image_shape(graph.types[value].shape)


def keeps_channels(graph: Graph, value: int, stored: frozenset[int]) -> bool:
    """Whether a Reshape only renumbers the pixels of what is stored behind it."""
    source = skip_reshapes(graph, graph.nodes[value].inputs[0], stored)
    return graph.types[source].channels == graph.types[value].channels


def skip_reshapes(graph: Graph, value: int, stored: frozenset[int]) -> int:
    """The value behind a chain of reshapes that are not stored themselves."""
    while value not in stored and isinstance(graph.nodes[value], Reshape):
        value = graph.nodes[value].inputs[0]
    return value


def view_of(graph: Graph, value: int, stored: frozenset[int]) -> View:
    """View of a value.

    Parameters
    ----------
    graph : Graph
        The network.
    value : int
        Node id of activations.
    stored : frozenset of int
        Node ids that have memory of their own.

    Raises
    ------
    UnsupportedError
        If a reshape moves words; :mod:`mapping.lowering.fuse` stores those.
    """
    node = graph.nodes[value]
    height, width, channels = image_shape(graph.types[value].shape)
    element = element_of(graph, value)
    if value in stored:
        return View(height, width, (Piece(value, channels),), element)
    if isinstance(node, Reshape) and is_same_storage(graph, value, stored):
        return view_of(graph, skip_reshapes(graph, value, stored), stored)
    views = [view_of(graph, source, stored) for source in node.inputs]
    match node:
        case Concat():
            pieces = tuple(piece for view in views for piece in view.pieces)
            return View(height, width, pieces, element)
        case Pad():
            pieces = tuple(
                replace(piece, top=piece.top + node.pad.top, left=piece.left + node.pad.left)
                for piece in views[0].pieces
            )
            return View(height, width, pieces, element)
        case _:
            raise UnsupportedError(
                f"node {value}, {node.label}: moves words and has no memory of its own"
            )
