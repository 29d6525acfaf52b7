"""The first passes, from a network as it was given to one that is cut into layers."""

from dataclasses import dataclass

from mapping.graph import Graph
from mapping.lowering.fuse import FusedLayer, fuse
from mapping.lowering.host_reshape import reshape_on_host
from mapping.lowering.weight_form import in_weight_form
from mapping.ops import TensorType
from mapping.pruning.prune import prune as without_dead_channels
from systolic.spec.config import ArrayConfig


@dataclass(frozen=True)
class Origin:
    """What a value of the prepared network was in the one that was given.

    Parameters
    ----------
    node : int
        Its node, or the node whose values it holds in weight form.
    type : TensorType
        That node's type, before anything was removed or reshaped.
    """

    node: int
    type: TensorType


@dataclass(frozen=True)
class Prepared:
    """A network that is ready to be lowered.

    Parameters
    ----------
    graph : Graph
        The network.
    origins : tuple of Origin
        For each of its nodes.
    layers : tuple of FusedLayer
        Its nodes, layer by layer.
    """

    graph: Graph
    origins: tuple[Origin, ...]
    layers: tuple[FusedLayer, ...]


def prepare(graph: Graph, config: ArrayConfig, *, prune: bool) -> Prepared:
    """Remove what is not needed, store in weight form what is multiplied, cut into layers.

    Raises
    ------
    UnsupportedError
        If the machine, as configured, lacks something the network needs.
    """
    smaller = without_dead_channels(graph) if prune else graph
    ready, nodes = in_weight_form(reshape_on_host(smaller), config)
    origins = tuple(Origin(node, graph.types[node]) for node in nodes)
    return Prepared(ready, origins, fuse(ready, config))
