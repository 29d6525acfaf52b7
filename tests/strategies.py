"""Random small quantized networks, for properties over all executors.

:func:`networks` is a hypothesis strategy (it shrinks to one small matmul), :func:`random_network`
the same generator from a seed. Every network is legal, has one input, at least one weighted layer
and a few thousand MACs at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from mapping.graph import Graph
from systolic.spec.rounding import Rounding
from tests.random_network import LAYERS, generate_network, images_for

__all__ = ["images_for", "networks", "random_network"]


@dataclass(frozen=True)
class DrawnChoices:
    """Decisions drawn by hypothesis, which can shrink them."""

    draw: st.DrawFn

    def integer(self, low: int, high: int) -> int:
        """Draw a number in ``low..high``."""
        return self.draw(st.integers(low, high))


@dataclass(frozen=True)
class SeededChoices:
    """Decisions of a seeded generator."""

    rng: np.random.Generator

    def integer(self, low: int, high: int) -> int:
        """Choose a number in ``low..high``."""
        return int(self.rng.integers(low, high, endpoint=True))


@st.composite
def networks(
    draw: st.DrawFn,
    max_layers: int = 4,
    layers: Sequence[str] = tuple(LAYERS),
    max_weight_bits: int = 8,
    roundings: Sequence[Rounding] = tuple(Rounding),
    max_threshold_bits: int = 0,
) -> Graph:
    """Random small networks.

    Parameters
    ----------
    draw : DrawFn
        Given by hypothesis.
    max_layers : int
        Most layers in a row; a residual block or a concatenation counts as one.
    layers : sequence of str
        Layers to choose from, of :data:`tests.random_network.LAYERS`.
    max_weight_bits : int
        Widest weights, 1..16.
    roundings : sequence of Rounding
        Flavours to choose from; one network uses one.
    max_threshold_bits : int
        Widest activations by thresholds, 1..8; 0 for none, and then the choices are as without.
    """
    choices = DrawnChoices(draw)
    return generate_network(
        choices, max_layers, layers, max_weight_bits, roundings, max_threshold_bits
    )


def random_network(
    seed: int,
    max_layers: int = 4,
    layers: Sequence[str] = tuple(LAYERS),
    max_weight_bits: int = 8,
    roundings: Sequence[Rounding] = tuple(Rounding),
    max_threshold_bits: int = 0,
) -> Graph:
    """One random small network, the same for the same seed; see :func:`networks`."""
    choices = SeededChoices(np.random.default_rng(seed))
    return generate_network(
        choices, max_layers, layers, max_weight_bits, roundings, max_threshold_bits
    )
