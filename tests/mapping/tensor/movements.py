"""Random movements of random tensors, for properties."""

from math import prod

import numpy as np
from hypothesis import strategies as st

from mapping.tensor.movement import (
    Expand,
    Movement,
    Pad,
    Permute,
    Reshape,
    Shape,
    Shrink,
    Stride,
    Window,
)

MAX_ELEMENTS = 400
KINDS = (Reshape, Permute, Shrink, Stride, Pad, Expand, Window)


def shapes(draw: st.DrawFn, elements: int) -> Shape:
    """A shape that holds a number of elements."""
    shape: list[int] = []
    while elements > 1 and len(shape) < 4:
        factors = [n for n in range(2, elements + 1) if elements % n == 0]
        shape.append(draw(st.sampled_from(factors)))
        elements //= shape[-1]
    shape.append(elements)
    if draw(st.booleans()):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    return tuple(draw(st.permutations(shape)))


@st.composite
def movements(draw: st.DrawFn, shape: Shape) -> Movement:
    """A movement that fits a shape and does not make it too large."""
    kind = draw(st.sampled_from(KINDS))
    if kind is Permute:
        return Permute(tuple(draw(st.permutations(range(len(shape))))))
    if kind is Shrink:
        starts = [draw(st.integers(0, n - 1)) for n in shape]
        return Shrink(
            tuple(
                (low, draw(st.integers(low + 1, n))) for low, n in zip(starts, shape, strict=True)
            )
        )
    if kind is Stride:
        return Stride(tuple(draw(st.sampled_from((1, 1, -1, 2, -3))) for _ in shape))
    movement: Movement = Reshape(shapes(draw, prod(shape)))
    if kind is Pad:
        side = st.sampled_from((0, 0, 1, 2))
        movement = Pad(tuple((draw(side), draw(side)) for _ in shape))
    if kind is Expand:
        movement = Expand(tuple(draw(st.integers(1, 3)) if n == 1 else n for n in shape))
    if kind is Window and shape:
        axis = draw(st.integers(0, len(shape) - 1))
        size = draw(st.integers(1, shape[axis]))
        most = (shape[axis] - 1) // (size - 1) if size > 1 else 2
        movement = Window((size,), (axis,), len(shape), (draw(st.integers(1, max(most, 1))),))
    return (
        movement
        if prod(movement.result(shape)) <= MAX_ELEMENTS
        else Permute(tuple(range(len(shape))))
    )


@st.composite
def chains(draw: st.DrawFn, shape: Shape, longest: int = 5) -> list[Movement]:
    """Movements that follow each other."""
    chain: list[Movement] = []
    for _ in range(draw(st.integers(0, longest))):
        chain.append(draw(movements(shape)))
        shape = chain[-1].result(shape)
    return chain


def values(shape: Shape, seed: int = 0, low: int = -128, high: int = 127) -> np.ndarray:
    """Seeded random integers."""
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True)
