"""One walk over a model: the values so far, and the checks that all importers of nodes share."""

from itertools import permutations
from math import prod
from typing import Final

import numpy as np

from mapping.builder import Builder, Value
from mapping.fixed_point import IntArray
from mapping.host_ends import Layout
from mapping.importers.errors import Problem, RefusedError, printable
from mapping.importers.onnx.records import Array, Constant, Model, Node, Port
from mapping.importers.onnx.values import (
    BITS,
    Codes,
    Ended,
    Given,
    Grid,
    Real,
    Thing,
    natural,
)
from mapping.ops.types import MAX_ELEMENTS

MAX_WORK: Final = 1 << 27
"""Elements of all constants and orders together, each counted as often as it is made."""

MAX_ORDERED_AXES: Final = 5
"""Of tensors that the host puts in another order."""

CARRIERS: Final = ("Cast", "DequantizeLinear", "Identity", "QuantizeLinear")
"""Operators that leave every element where it is, and that an input may go through first."""

SCALE_MIN: Final = 2.0**-60
SCALE_MAX: Final = 2.0**60
"""Far beyond what networks have; products and ratios of such are sound in float32."""


class SkippedError(Exception):
    """A node that uses what has been refused already; nothing more can be said of it."""


class Walk:
    """One walk over a model.

    Parameters
    ----------
    model : Model
        What is imported.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.builder = Builder()
        self.things: dict[str, Thing] = {}
        self.refused: set[str] = set()
        self.inputs: dict[str, tuple[Value, Grid | None, Layout]] = {}
        self.unproven: list[Problem] = []
        self._work = 0
        self._readers: dict[str, list[Node]] = {}
        for node in model.nodes:
            for name in dict.fromkeys(node.inputs):
                self._readers.setdefault(name, []).append(node)
        for port in model.inputs:
            assert port.shape is not None  # parse_model() refuses inputs without one
            if prod(port.shape) > MAX_ELEMENTS:
                raise RefusedError(
                    f"input {port.name!r:.40} must have at most {MAX_ELEMENTS:,} elements"
                )
            self.spend(prod(port.shape))
            self.things[port.name] = Given(port, natural(port.shape))

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators."""
        return self.model.opsets.get("", 1)

    def spend(self, elements: int) -> None:
        """Count what is allocated: few bytes of a file may ask for much memory."""
        self._work += elements
        if self._work > MAX_WORK:
            raise RefusedError(f"all tensors together exceed {MAX_WORK:,} elements")

    def doubt(self, node: Node, reason: str) -> None:
        """Note that a node's results are not proven to be ONNX Runtime's."""
        self.unproven.append(Problem(node.qualified_op, node.index, reason, node.name))

    def has(self, node: Node, position: int) -> bool:
        """Whether an optional input is there."""
        return position < len(node.inputs) and node.inputs[position] != ""

    def name(self, node: Node, position: int) -> str:
        """Name of an input; refused if it is left out."""
        if not self.has(node, position):
            raise RefusedError(f"input {position} is missing")
        return node.inputs[position]

    def thing(self, node: Node, position: int) -> Thing:
        """What an input stands for; a constant is none of these."""
        name = self.name(node, position)
        if name in self.refused:
            raise SkippedError
        if name not in self.things:
            raise RefusedError(f"{name!r:.40} is a constant, where activations are needed")
        return self.things[name]

    def is_constant(self, node: Node, position: int) -> bool:
        """Whether an input is a constant of the file."""
        return self.has(node, position) and node.inputs[position] in self.model.constants

    def constant(self, node: Node, position: int, *kinds: str) -> Array:
        """Values of an input that has to be a constant of one of these types."""
        return self.constant_of(node, position, *kinds).values

    def constant_of(self, node: Node, position: int, *kinds: str) -> Constant:
        """Record of an input that has to be a constant of one of these types."""
        name = self.name(node, position)
        if name in self.refused:
            raise SkippedError
        found = self.model.constants.get(name)
        if found is None:
            raise RefusedError(f"input {position} ({name!r:.40}) must be a constant")
        if found.kind not in kinds:
            raise RefusedError(
                f"input {position} ({name!r:.40}) must be {' or '.join(kinds)}, not {found.kind}"
            )
        self.spend(found.values.size)
        return found

    def scales(self, node: Node, position: int) -> Array:
        """Scales, positive float32, shape (n,)."""
        values = self.constant(node, position, "float").ravel()
        if not (np.all(values >= SCALE_MIN) and np.all(values <= SCALE_MAX)) or not values.size:
            raise RefusedError(f"input {position} must hold scales in {SCALE_MIN:g}..{SCALE_MAX:g}")
        return values

    def grid(self, node: Node, position: int) -> Grid:
        """One scale and one zero point, from two inputs that follow each other."""
        scales = self.scales(node, position)
        zero, kind = 0, "uint8"
        if self.has(node, position + 1):
            found = self.constant_of(node, position + 1, *BITS)
            if found.values.size != 1:
                raise RefusedError(f"activations must have one zero point, not {found.values.size}")
            zero, kind = int(found.values.ravel()[0]), found.kind
        if scales.size != 1:
            raise RefusedError(f"activations must have one scale, not {scales.size}")
        return Grid(float(scales[0]), zero, kind)

    def kind(self, node: Node, position: int) -> str:
        """Type of an input that has to be integer activations."""
        thing = self.thing(node, position)
        match thing:
            case Given():
                kind = thing.port.kind
            case Codes():
                kind = f"{'' if thing.element.signed else 'u'}int{thing.element.bits}"
            case Ended(grid=grid) if grid is not None:
                kind = grid.kind
            case _:
                kind = "real"
        if kind not in BITS:
            raise RefusedError(f"input {position} must be {', '.join(BITS)}, not {kind}")
        return kind

    def real(self, node: Node, position: int) -> Real:
        """Input that has to be a function of one activation."""
        thing = self.thing(node, position)
        if not isinstance(thing, Real):
            raise RefusedError(
                f"input {position} must come from DequantizeLinear: quantize every activation"
            )
        return thing

    def codes(self, node: Node, position: int, grid: Grid) -> Codes:
        """Input that has to be integer activations, with their zero point as given."""
        thing = self.thing(node, position)
        if isinstance(thing, Given):
            return self.add_input(thing, node.inputs[position], grid, is_real=False)
        if not isinstance(thing, Codes):
            raise RefusedError(f"input {position} must be quantized activations")
        return self.recentred(thing, grid, node.label)

    def recentred(self, codes: Codes, grid: Grid, label: str) -> Codes:
        """The same integers with another zero point."""
        element, wanted = codes.element, grid.element
        if element == wanted:
            return codes
        if (element.bits, element.signed) != (wanted.bits, wanted.signed):
            raise RefusedError(f"its input is {element}, but its zero point is {grid.kind}")
        same = np.arange(element.q_min, element.q_max + 1)
        return Codes(codes.value.lut(same, wanted, name=label), codes.index)

    def add_input(self, given: Given, place: str, grid: Grid, *, is_real: bool) -> Codes:
        """Make an input of the graph: an image's channels come last, all else lies as it is.

        Parameters
        ----------
        given : Given
            The input.
        place : str
            Name of the value that it is here.
        grid : Grid
            Of its integers.
        is_real : bool
            Whether the host makes them of real numbers.
        """
        name = given.port.name
        wanted = "float" if is_real else grid.kind
        if given.port.kind != wanted:
            raise RefusedError(f"input {name!r:.40} must be {wanted}, not {given.port.kind}")
        placed = self._transposed(place, given.index)
        shape = placed.shape
        is_image = len(shape) == 4 and shape[0] == 1
        source = (placed.transpose(0, 2, 3, 1) if is_image else placed).ravel()
        inside = (*shape[2:], shape[1]) if is_image else flat_shape(shape)
        self.spend(4 * source.size)
        layout = self._layout(given.port, source, inside)
        index = np.empty_like(source)
        index[source] = np.arange(source.size)
        key = grid if is_real else None
        if name not in self.inputs:
            element = grid.element
            value = self.builder.input(
                inside, element.bits, element.signed, element.zero_point, name=printable(name)
            )
            self.inputs[name] = value, key, layout
        value, known, known_layout = self.inputs[name]
        if (known, known_layout) != (key, layout):
            raise RefusedError(f"input {name!r:.40} is used with two quantizations or orders")
        codes = Codes(value, index[given.index])
        return codes if is_real else self.recentred(codes, grid, name)

    def _transposed(self, place: str, index: IntArray) -> IntArray:
        """Order of an input where it is first computed with: it may be transposed before."""
        while len(readers := self._readers.get(place, ())) == 1 and readers[0].outputs:
            (reader,) = readers
            if reader.op == "Transpose":
                perm = reader.attributes.get("perm")
                if not isinstance(perm, tuple) or sorted(perm) != list(range(index.ndim)):
                    break
                index = index.transpose([int(axis) for axis in perm])
            elif reader.op not in CARRIERS or reader.inputs[0] != place:
                break
            place = reader.outputs[0]
        return index

    def _layout(self, port: Port, source: IntArray, inside: tuple[int, ...]) -> Layout:
        """How the host orders an input; ``source`` is, for each place inside, the one outside."""
        assert port.shape is not None  # as above
        outside = without_batch(port.shape)
        order = order_of(source, outside)
        if order is None:
            raise RefusedError(f"input {port.name!r:.40} would have to be ordered in several steps")
        return Layout(outside, order, inside)


def without_batch(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of one image, as the host gives or takes it."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape or (1,)


def flat_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Graph's shape of a tensor whose last axis are the channels."""
    rows = prod(shape[:-1])
    channels = shape[-1] if shape else 1
    return (channels,) if rows == 1 else (1, rows, channels)


def order_of(index: IntArray, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Axes of ``shape`` that, transposed so, give these positions; None if no order does."""
    positions = natural(shape)
    axes = tuple(range(len(shape)))
    for order in permutations(axes) if len(axes) <= MAX_ORDERED_AXES else (axes,):
        if np.array_equal(positions.transpose(order).ravel(), index.ravel()):
            return order
    return None
