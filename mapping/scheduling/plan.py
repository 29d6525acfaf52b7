"""Plan: an address for every stored tensor; tensors that are never needed together share words.

A tensor lives from the layer that writes it (inputs: from the start) to the last layer that reads
it (outputs: to the end). Tensors are placed one by one, each as low as it fits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mapping.errors import ScratchpadError
from mapping.graph import Graph
from mapping.lowering.lower import LoweredLayer
from mapping.program.tensor import StoredTensor
from mapping.scheduling.storage import output_base
from mapping.scheduling.weight_tiles import layer_reads
from systolic.spec.config import ArrayConfig


@dataclass(frozen=True)
class Life:
    """Steps during which a tensor's words are its own, both ends included."""

    first: int
    last: int

    def overlaps(self, other: "Life") -> bool:
        """Whether there is a common step."""
        return self.first <= other.last and other.first <= self.last


def lifetimes(
    graph: Graph, layers: Sequence[LoweredLayer], stored: frozenset[int], *, keep_all: bool
) -> dict[int, Life]:
    """Life of every stored tensor, in layers; inputs are there before layer 0."""
    end = len(layers)
    first = dict.fromkeys((*graph.input_ids, *graph.constant_ids), -1)
    last = dict(first)
    for step, layer in enumerate(layers):
        first[layer.output] = last[layer.output] = step
        for value in layer_reads(layer):
            last[value] = step
    for value in graph.outputs:
        last[output_base(graph, value, stored)] = end
    if keep_all:
        return {value: Life(-1, end) for value in first}
    return {value: Life(first[value], last[value]) for value in first}


def place_tensors(
    tensors: Mapping[int, StoredTensor], lives: Mapping[int, Life], config: ArrayConfig
) -> dict[int, StoredTensor]:
    """Tensors with addresses.

    Several orders are tried, and the one that needs the fewest words is taken.

    Raises
    ------
    ScratchpadError
        If they do not fit; the message names the tensor at which it happened.
    """
    sizes = {value: tensor.words(config) for value, tensor in tensors.items()}
    orders = (
        sorted(tensors, key=lambda value: (-sizes[value], value)),
        sorted(tensors, key=lambda value: (lives[value].first, -sizes[value])),
        sorted(tensors, key=lambda value: (-lives[value].last, -sizes[value])),
        sorted(tensors, key=lambda value: (lives[value].first - lives[value].last, -sizes[value])),
    )
    plans = [_place_in_order(order, sizes, lives) for order in orders]
    ends = [max((plan[value] + sizes[value] for value in plan), default=0) for plan in plans]
    best = plans[ends.index(min(ends))]
    for value, address in best.items():
        _check_fit(tensors[value], address, config)
    return {value: replace(tensors[value], address=best[value]) for value in tensors}


def _place_in_order(
    order: Sequence[int], sizes: Mapping[int, int], lives: Mapping[int, Life]
) -> dict[int, int]:
    """Addresses of tensors, each as low as those before it in the order leave room."""
    placed: dict[int, int] = {}
    for value in order:
        taken = sorted(
            (address, address + sizes[other])
            for other, address in placed.items()
            if lives[value].overlaps(lives[other])
        )
        address = 0
        for start, end in taken:
            if address + sizes[value] <= start:
                break
            address = max(address, end)
        placed[value] = address
    return placed


def fits(tensor: StoredTensor, config: ArrayConfig) -> bool:
    """Whether a tensor alone fits the scratchpad."""
    return tensor.words(config) <= config.scratchpad_words


def _check_fit(tensor: StoredTensor, address: int, config: ArrayConfig) -> None:
    words, limit = tensor.words(config), config.scratchpad_words
    over = address + words - limit
    if over > 0:
        raise ScratchpadError(
            f"{tensor.name}: needs {words} words beside {address} that are in use at the same "
            f"time, but the scratchpad has {limit}",
            over * config.word_bytes,
        )


def activation_words(tensors: Mapping[int, StoredTensor], config: ArrayConfig) -> int:
    """Words from 0 to the end of the highest tensor, where constants may begin."""
    words = max((tensor.address + tensor.words(config) for tensor in tensors.values()), default=0)
    return -(-words // config.constant_step) * config.constant_step


def check_image(
    activations: int,
    constants: Mapping[str, int],
    instructions: int,
    slots: int,
    config: ArrayConfig,
) -> None:
    """Refuse an image that does not fit behind the activations.

    Parameters
    ----------
    activations : int
        Words of all tensors.
    constants : mapping of str to int
        Words of each layer's weights, parameters and tables.
    instructions : int
        Words of the instructions of all slots.
    slots : int
        Number of slots, for the message.
    config : ArrayConfig
        The array.

    Raises
    ------
    ScratchpadError
        With words needed, words there, bytes over, and the layer that needs most.
    """
    total = sum(constants.values())
    over = activations + total + instructions - config.scratchpad_words
    if over > 0:
        largest = max(constants, key=lambda name: constants[name], default="")
        most = f" (most of them, {constants[largest]}, for {largest})" if largest else ""
        of_slots = f" with {slots} slots (1 needs less)" if slots > 1 else ""
        raise ScratchpadError(
            f"program{of_slots}: {total} words of weights, parameters and tables{most}, "
            f"{instructions} of instructions and {activations} of activations are more than "
            f"the scratchpad's {config.scratchpad_words}",
            over * config.word_bytes,
        )
