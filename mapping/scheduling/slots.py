"""Slots: inputs and outputs that a second run may use while the first one's are at work.

Where there are two slots, each has memory of its own for its inputs and outputs, which no run uses
for anything else; all other tensors lie at the same addresses in both, as only one runs at a time.
"""

from collections.abc import Mapping, Set
from dataclasses import replace

from mapping.program.tensor import StoredTensor
from mapping.scheduling.plan import Life, activation_words, place_tensors
from systolic.spec.config import ArrayConfig

Places = dict[int, StoredTensor]
"""Tensors of a run with their addresses, by node id."""


def place_slots(
    tensors: Mapping[int, StoredTensor],
    lives: Mapping[int, Life],
    own: Set[int],
    slots: int,
    config: ArrayConfig,
) -> tuple[Places, ...]:
    """Tensors with addresses, for each slot.

    With one slot, all tensors share memory as their lives allow. With more, the shared tensors are
    placed so, and each slot's own ones one by one behind them; they may pass the end of the
    scratchpad, as the compiler says by how much once it knows the size of everything.

    Parameters
    ----------
    tensors : mapping of int to StoredTensor
        By node id.
    lives : mapping of int to Life
        When their words must be theirs.
    own : set of int
        Tensors that the host writes or reads.
    slots : int
        1 or 2.
    config : ArrayConfig
        The array.

    Raises
    ------
    ScratchpadError
        If tensors that are in use at the same time do not fit.
    """
    if slots == 1:
        return (place_tensors(tensors, lives, config),)
    shared = {value: tensor for value, tensor in tensors.items() if value not in own}
    placed = place_tensors(shared, lives, config)
    address = activation_words(placed, config)
    runs: list[Places] = []
    for _ in range(slots):
        run: Places = {}
        for value, tensor in tensors.items():
            run[value] = placed[value] if value in placed else replace(tensor, address=address)
            address += 0 if value in placed else tensor.words(config)
        runs.append(run)
    return tuple(runs)
