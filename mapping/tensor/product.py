"""Products of two computed tensors: which of their axes are rows, columns and summed.

A product, moved about and summed, is a matmul of both where every axis that remains belongs to one
of the factors and every axis that is summed to both, as in ``(a[:, None] * b).sum(axis=2)``, which
is ``a @ b.T``. As with constant weights, what is computed counts, not how it is written.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from mapping.tensor.affine import Product
from mapping.tensor.movement import Permute, Reshape, Shape, Shrink
from mapping.tensor.view import Address, View, row_major


@dataclass(frozen=True)
class Pairing:
    """A product as rows of one matrix times rows of another.

    Parameters
    ----------
    left, right : Address
        Elements of the factors, shapes (m, k) and (n, k).
    is_swapped : bool
        Whether ``left`` is the product's right factor, as its axes come first.
    address : Address
        Where the expression's elements lie in the result, shape (1, m, n).
    """

    left: Address
    right: Address
    is_swapped: bool
    address: Address


def pair_up(product: Product) -> Pairing | str:
    """Find the axes of both factors; a reason if it is no matmul."""
    outer, tail = product.left.outer, product.left.tail
    shape = (*outer, *tail)
    first, second = (
        [_depends(term.source.address, axis) for axis in range(len(shape))]
        for term in (product.left, product.right)
    )
    both = [a and b for a, b in zip(first, second, strict=True)]
    none = [n > 1 and not (a or b) for n, a, b in zip(shape, first, second, strict=True)]
    rank = len(outer)
    if any(both[:rank]):
        return "pair up the elements of an axis without summing them: take them one by one"
    if any(none) or not all(each for each, n in zip(both[rank:], tail, strict=True) if n > 1):
        return "are repeated, or summed along an axis of one of them: quantize such sums first"
    if not np.all(product.left.weights == 1):
        return "are multiplied by constants as well: put these into the scale"
    rows = [axis for axis in range(rank) if first[axis]]
    cols = [axis for axis in range(rank) if second[axis]]
    is_swapped = bool(rows and cols and cols[0] < rows[0])
    terms = (product.right, product.left) if is_swapped else (product.left, product.right)
    axes = (cols, rows) if is_swapped else (rows, cols)
    left, right = (
        _matrix(term.source.address, own, rank) for term, own in zip(terms, axes, strict=True)
    )
    return Pairing(left, right, is_swapped, _result(outer, *axes))


def _depends(address: Address, axis: int) -> bool:
    """Whether an address changes along an axis."""
    index = address.index()
    return index.shape[axis] > 1 and not np.all(index == np.take(index, [0], axis))


def _matrix(address: Address, own: list[int], rank: int) -> Address:
    """Elements of one factor, shape (its own axes, the summed axes)."""
    shape = address.shape
    kept = {*own, *range(rank, len(shape))}
    one = address.move(Shrink(tuple((0, n if i in kept else 1) for i, n in enumerate(shape))))
    others = [axis for axis in range(rank) if axis not in own]
    one = one.move(Permute((*own, *others, *range(rank, len(shape)))))
    return one.move(Reshape((prod(shape[axis] for axis in own), prod(shape[rank:]))))


def _result(outer: Shape, rows: list[int], cols: list[int]) -> Address:
    """Address of elements in the product of matrices."""
    order = (*rows, *cols)
    inner = dict(zip(order, row_major(tuple(outer[axis] for axis in order)), strict=True))
    strides = tuple(inner.get(axis, 0) for axis in range(len(outer)))
    return Address((View(outer, strides, 0, tuple((0, n) for n in outer)),))
