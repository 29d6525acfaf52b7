"""Views: concatenations, pads and reshapes that are only addresses."""

import pytest

from mapping.builder import Builder
from mapping.errors import UnsupportedError
from mapping.lowering.view import Piece, view_of


def test_a_concatenation_of_padded_tensors_has_a_piece_for_each() -> None:
    builder = Builder()
    left, right = builder.input((2, 3, 4)), builder.input((4, 4, 5))
    joined = left.pad(1, 1, 1, 0).concat(right).pad(2, 0, 0, 0)
    view = view_of(builder.graph(joined), joined.node_id, frozenset((0, 1)))
    assert (view.height, view.width, view.channels) == (6, 4, 9)
    assert view.pieces == (Piece(0, 4, top=3, left=1), Piece(1, 5, top=2, left=0))


def test_a_vector_is_an_image_of_one_pixel() -> None:
    builder = Builder()
    value = builder.input((6,)).reshape(1, 1, 6).reshape(6)
    view = view_of(builder.graph(value), value.node_id, frozenset((0,)))
    assert (view.height, view.width, view.pieces) == (1, 1, (Piece(0, 6),))


def test_a_reshape_that_moves_words_has_to_be_stored() -> None:
    builder = Builder()
    value = builder.input((2, 2, 3)).reshape(12)
    graph = builder.graph(value)
    with pytest.raises(UnsupportedError, match="node 1, reshape: moves words"):
        view_of(graph, 1, frozenset((0,)))
    assert view_of(graph, 1, frozenset((0, 1))).pieces == (Piece(1, 12),)
