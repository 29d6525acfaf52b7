"""Addresses against numpy: whatever is done to a tensor, each element is found where it lies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.tensor.movement import (
    Expand,
    Movement,
    Pad,
    Permute,
    Reshape,
    ShapeError,
    Shrink,
    Stride,
    Window,
)
from mapping.tensor.view import Address, row_major
from tests.mapping.tensor.movements import chains, values


@given(st.data())
def test_addresses_find_what_numpy_moves(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    stored, address = values(shape), Address.identity(shape)
    moved = stored
    for movement in data.draw(chains(shape, 8)):
        expected = movement.result(moved.shape)
        moved, address = movement.array(moved), address.move(movement)
        assert moved.shape == address.shape == expected
    np.testing.assert_array_equal(address.take(stored), moved)


@given(st.data())
def test_identity_is_recognised_and_nothing_else(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    stored = np.arange(1, 1 + int(np.prod(shape))).reshape(shape)
    moved, address = stored, Address.identity(shape)
    for movement in data.draw(chains(shape)):
        moved, address = movement.array(moved), address.move(movement)
    is_same = np.array_equal(moved.ravel(), stored.ravel())
    assert address.is_identity(stored.size) == is_same


@given(st.data())
def test_further_axes_stay_behind(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    pair = np.stack([values(shape, 1), values(shape, 2)], axis=-1)
    moved, first = pair, pair[..., 0]
    for movement in data.draw(chains(shape)):
        moved, first = movement.before((2,)).array(moved), movement.array(first)
    np.testing.assert_array_equal(moved[..., 0], first)


@pytest.mark.parametrize(
    "movement",
    [
        Permute((2, 0, 1)),
        Stride((-1, 2, -3)),
        Shrink(((1, 3), (0, 2), (2, 5))),
        Pad(((1, 0), (0, 2), (3, 3))),
        Reshape((12, 1, 5)),
        Window((2, 3), (1, 2), 3, (1, 2)),
    ],
    ids=str,
)
def test_one_movement_is_one_view(movement: Movement) -> None:
    assert len(Address.identity((4, 3, 5)).move(movement).views) == 1


def test_windows_of_reshapes_alone_are_found() -> None:
    """Rows repeated, cut one longer and laid out again: windows without any window movement."""
    address = Address.identity((1, 6)).move(Expand((4, 6))).move(Reshape((24,)))
    address = address.move(Shrink(((0, 21),))).move(Reshape((3, 7))).move(Shrink(((0, 3), (0, 4))))
    np.testing.assert_array_equal(address.index(), np.add.outer(np.arange(3), np.arange(4)))


def test_row_major_strides() -> None:
    assert row_major(()) == ()
    assert row_major((2, 3, 4)) == (12, 4, 1)


@pytest.mark.parametrize(
    ("movement", "message"),
    [
        (Reshape((5,)), r"\(2, 3\) cannot become \(5\)"),
        (Reshape((-2, -3)), "cannot become"),
        (Permute((0, 0)), r"needs each axis of \(2, 3\) once"),
        (Expand((4, 3)), "only axes of length 1 expand"),
        (Pad(((0, -1), (0, 0))), "widths of at least 0"),
        (Shrink(((0, 3), (0, 3))), "a range within each axis"),
        (Shrink(((1, 1), (0, 3))), "a range within each axis"),
        (Stride((0, 1)), "a step other than 0"),
        (Window((3,), (0,), 2, (1,)), "does not fit"),
        (Window((1, 1), (0, 0), 2, (1, 1)), "each axis once"),
        (Window((0,), (0,), 2, (1,)), "at least 1"),
    ],
    ids=str,
)
def test_misfits_are_refused(movement: Movement, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Address.identity((2, 3)).move(movement)
