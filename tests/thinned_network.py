"""Random networks with dead channels: weights of zeros, biases that a clamp never lets through."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from mapping.graph import Graph
from mapping.ops import Node, Weighted
from systolic.spec.rounding import Rounding
from tests.random_network import LAYERS
from tests.strategies import random_network

ZERO_OUTPUTS: Final = 0.4
ZERO_INPUTS: Final = 0.25
HELD_OUTPUTS: Final = 0.2
HELD_BIAS: Final = 1 << 20
"""More than any sum of these networks."""

KINDS: Final = (*LAYERS, *(3 * ["conv2d", "matmul"]))
"""With enough layers that can lose channels on either side."""


def thinned_network(
    seed: int,
    max_layers: int = 6,
    layers: Sequence[str] = KINDS,
    roundings: Sequence[Rounding] = tuple(Rounding),
) -> Graph:
    """A network of :func:`tests.strategies.random_network`, its weights thinned out."""
    graph = random_network(seed, max_layers, layers, roundings=roundings)
    rng = np.random.default_rng(seed)
    return Graph(tuple(_thinned(node, rng) for node in graph.nodes), graph.outputs)


def _thinned(node: Node, rng: np.random.Generator) -> Node:
    if not isinstance(node, Weighted):
        return node
    weights, bias = node.weights.copy(), node.bias.copy()
    weights[..., rng.random(weights.shape[-1]) < ZERO_OUTPUTS] = 0
    weights[..., rng.random(weights.shape[-2]) < ZERO_INPUTS, :] = 0
    held = rng.random(len(bias)) < HELD_OUTPUTS
    bias[held] = rng.choice([-HELD_BIAS, HELD_BIAS], held.sum())
    return replace(node, weights=weights, bias=bias)
