"""One walk over a model: the values so far, and the checks that all importers of nodes share."""

from math import prod
from typing import Final

import numpy as np

from mapping.builder import Builder, Value
from mapping.fixed_point import IntArray
from mapping.host_ends import Layout
from mapping.importers.errors import Problem, RefusedError, printable
from mapping.importers.onnx.records import Array, Constant, Model, Node
from mapping.importers.onnx.values import (
    BITS,
    AxisGrid,
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

CARRIERS: Final = ("Cast", "DequantizeLinear", "Identity", "QuantizeLinear")
"""Operators that leave every element where it is, and that an input may go through first."""

PRODUCTS: Final = {"MatMul": 1, "MatMulInteger": 1, "QLinearMatMul": 3}
"""Matrix products by batches, and which of their inputs are the weights."""

BATCHED_AXES: Final = 3

SLIDING: Final = (
    "AveragePool", "Conv", "ConvInteger", "GlobalAveragePool", "MaxPool", "Pad",
    "QLinearAveragePool", "QLinearConv", "QLinearGlobalAveragePool",
)  # fmt: skip
"""Operators with windows over images or lines, whose channels are their second axis."""

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
        self.inputs: dict[str, tuple[Value, Grid | AxisGrid | None, Layout]] = {}
        self.unproven: list[Problem] = []
        self._work = 0
        self._readers: dict[str, list[Node]] = {}
        self._writers: dict[str, Node] = {}
        for node in model.nodes:
            self._writers.update(dict.fromkeys(node.outputs, node))
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

    def scales(self, node: Node, position: int, *kinds: str) -> Array:
        """Scales, positive float32, shape (n,); in the file of one of these types."""
        values = self.constant(node, position, *(kinds or ("float",))).ravel().astype(np.float32)
        if not (np.all(values >= SCALE_MIN) and np.all(values <= SCALE_MAX)) or not values.size:
            raise RefusedError(f"input {position} must hold scales in {SCALE_MIN:g}..{SCALE_MAX:g}")
        return values

    def grid(self, node: Node, position: int, *kinds: str) -> Grid:
        """One scale of these types and one zero point, from two inputs that follow each other."""
        scales = self.scales(node, position, *kinds)
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

    def add_input(self, given: Given, place: str, grid: Grid | AxisGrid, *, is_real: bool) -> Codes:
        """Make an input of the graph.

        Channels of an image or a line come last; so do batches, if each is multiplied with weights
        of its own (they are groups of channels); all else lies as it is.

        Parameters
        ----------
        given : Given
            The input.
        place : str
            Name of the value that it is here.
        grid : Grid or AxisGrid
            Of its integers.
        is_real : bool
            Whether the host makes them of real numbers.
        """
        name = given.port.name
        wanted = "float" if is_real else grid.kind
        if given.port.kind != wanted:
            raise RefusedError(f"input {name!r:.40} must be {wanted}, not {given.port.kind}")
        placed, place = self._transposed(place, given.index)
        shape = placed.shape
        inside = flat_shape(shape)
        if len(shape) == BATCHED_AXES and self._has_weights_by_batch(place):
            placed = placed.transpose(1, 0, 2)
        elif shape[:1] == (1,) and (len(shape) == 4 or self._is_line(place, shape)):
            placed = np.moveaxis(placed, 1, -1)
            inside = (1, *placed.shape[1:]) if len(shape) == 3 else placed.shape[1:]
        source = placed.ravel()
        self.spend(4 * source.size)
        assert given.port.shape is not None  # as above
        order = layout(source, without_batch(given.port.shape), inside)
        if order is None:
            raise RefusedError(f"input {name!r:.40} would have to be ordered in several steps")
        index = np.empty_like(source)
        index[source] = np.arange(source.size)
        key = grid if is_real else None
        if name not in self.inputs:
            element = grid.element
            value = self.builder.input(
                inside, element.bits, element.signed, element.zero_point, name=printable(name)
            )
            self.inputs[name] = value, key, order
        value, known, known_order = self.inputs[name]
        if (known, known_order) != (key, order):
            raise RefusedError(f"input {name!r:.40} is used with two quantizations or orders")
        codes = Codes(value, index[given.index])
        return codes if isinstance(grid, AxisGrid) or is_real else self.recentred(codes, grid, name)

    def _transposed(self, place: str, index: IntArray) -> tuple[IntArray, str]:
        """Order and name of an input where it is first computed with; perhaps transposed before."""
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
        return index, place

    def _is_line(self, place: str, shape: tuple[int, ...]) -> bool:
        """Whether windows slide over a value of three axes."""
        readers = self._readers.get(place, ())
        return len(shape) == 3 and any(reader.op in SLIDING for reader in readers)

    def _has_weights_by_batch(self, place: str) -> bool:
        """Whether a value is only multiplied with constants of three axes."""
        if len(readers := self._readers.get(place, ())) != 1:
            return False
        (reader,) = readers
        position = PRODUCTS.get(reader.op)
        if position is None or not self.has(reader, position) or reader.inputs[0] != place:
            return False
        name = reader.inputs[position]
        while (writer := self._writers.get(name)) is not None and writer.op in CARRIERS:
            name = writer.inputs[0]
        found = self.model.constants.get(name)
        return found is not None and found.values.ndim == BATCHED_AXES


def without_batch(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of one image, as the host gives or takes it."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape or (1,)


def flat_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Graph's shape of a tensor whose last axis are the channels."""
    rows = prod(shape[:-1])
    channels = shape[-1] if shape else 1
    return (channels,) if rows == 1 else (1, rows, channels)


def layout(positions: IntArray, before: tuple[int, ...], after: tuple[int, ...]) -> Layout | None:
    """Order that takes each element from its position; None if no permutation of axes does.

    From the innermost on, positions go by one step as often as they can: those are the axes.

    Parameters
    ----------
    positions : ndarray of int64
        Of each element, in their new order: each of 0..n-1 once.
    before, after : tuple of int
        Shapes that the elements come in, and are to have.

    Examples
    --------
    >>> layout(natural((8, 8, 3)).transpose(2, 0, 1), (8, 8, 3), (3, 8, 8))
    Layout(before=(8, 8, 3), order=(1, 0), after=(3, 8, 8), split=(64, 3))
    """
    rest = positions.ravel()
    loops: list[tuple[int, int]] = []
    while rest.size > 1:
        step = int(rest[1] - rest[0])
        breaks = np.flatnonzero(np.diff(rest) != step)
        extent = int(breaks[0]) + 1 if breaks.size else rest.size
        if rest.size % extent:
            return None
        loops.insert(0, (step, extent))
        rest = rest[::extent]
    outermost_first = sorted(range(len(loops)), key=lambda loop: -loops[loop][0])
    split = tuple(loops[loop][1] for loop in outermost_first) or (1,)
    order = tuple(outermost_first.index(loop) for loop in range(len(loops))) or (0,)
    if not np.array_equal(natural(split).transpose(order).ravel(), positions.ravel()):
        return None
    return Layout(before, order, after, split)
