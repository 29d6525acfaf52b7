"""What the operators' importers share: the values so far, and how they ask for them."""

from math import prod
from typing import Final

import numpy as np

from mapping.builder import Builder
from mapping.importers.errors import RefusedError
from mapping.importers.onnx.records import Model, Node
from mapping.importers.qonnx.values import Array, Codes, Constant, RealSteps, Sums
from mapping.real.ends import RealInput

MAX_CONSTANTS: Final = 1 << 25
"""Elements that computed constants may have in all: few bytes of a file may ask for much memory."""

SHOWN: Final = 40

PASSING: Final = frozenset(
    {"Concat", "Dropout", "Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose",
     "Unsqueeze"}
)  # fmt: skip
"""Operators that give their first input's elements on, some of them or all."""


Held = Constant | RealSteps | Codes | Sums


class MissingError(RefusedError):
    """What a node needs was refused before."""


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
        self.values: dict[str, Held] = {}
        for name, constant in model.constants.items():
            self.values[name] = Constant(constant.values)
        self.needs_zero = _needs_zero(model)
        self.rounded: list[str] = []
        self.inputs: dict[int, tuple[int, RealInput]] = {}
        self._spent = 0

    def held(self, node: Node, position: int = 0) -> Held:
        """An input of a node; refused if it is left out or was refused."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        if not name:
            raise RefusedError(f"input {position} is missing")
        if name not in self.values:
            raise MissingError(f"its input {name!r:.{SHOWN}} was not imported")
        return self.values[name]

    def constant(self, node: Node, position: int) -> Constant:
        """An input that has to be known."""
        held = self.held(node, position)
        if not isinstance(held, Constant):
            raise RefusedError(f"input {position} must be a constant")
        return held

    def reals(self, node: Node, position: int) -> Array:
        """A constant of finite float32 numbers."""
        values = self.constant(node, position).values
        if values.dtype != np.float32:
            raise RefusedError(f"input {position} must be float32, not {values.dtype}")
        if not np.all(np.isfinite(values)):
            raise RefusedError(f"input {position} must be finite")
        return values

    def scalar(self, node: Node, position: int) -> float:
        """A float32 constant of which all elements are the same."""
        values = self.reals(node, position)
        if not values.size or np.any(values != values.flat[0]):
            raise RefusedError(
                f"input {position} must be one number for the whole tensor, "
                f"not {values.size} different ones"
            )
        return float(values.flat[0])

    def codes(self, node: Node, position: int = 0) -> Codes:
        """An input that has to be quantized activations."""
        held = self.held(node, position)
        if isinstance(held, Codes):
            return held
        what = "a constant" if isinstance(held, Constant) else "not quantized"
        raise RefusedError(
            f"its input is {what}, where quantized activations are needed: "
            "put a Quant or BipolarQuant before it"
        )

    def spend(self, shape: tuple[int, ...]) -> None:
        """Count the elements that a constant is about to take."""
        self._spent += prod(shape)
        if self._spent > MAX_CONSTANTS:
            raise RefusedError(f"computed constants exceed {MAX_CONSTANTS:,} elements")

    def needs_integer_zero(self, node: Node) -> bool:
        """Whether a convolution sets zeros around the result of this node."""
        return node.outputs[0] in self.needs_zero


def _needs_zero(model: Model) -> frozenset[str]:
    """Names of values that reach a convolution's padding without being changed."""
    found: set[str] = set()
    for node in reversed(model.nodes):
        if (node.op == "Conv" and any(_pads(node))) or (
            node.op in PASSING and found.intersection(node.outputs)
        ):
            found.update(node.inputs if node.op == "Concat" else node.inputs[:1])
    return frozenset(found)


def _pads(node: Node) -> tuple[int, ...]:
    pads = node.attributes.get("pads", ())
    if node.attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return (1,)
    return tuple(int(pad) for pad in pads) if isinstance(pads, tuple) else ()
