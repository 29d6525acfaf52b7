"""What damaged files must come to, whatever their format: an import, or a refusal of one line."""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.random import Generator

MAX_BYTES = 128 << 20


def mutants(
    files: list[bytes], count: int, seed: int, mutate: Callable[[Generator, bytes], bytes]
) -> Iterator[bytes]:
    """So many damaged files, of each original in turn."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        yield mutate(rng, files[index % len(files)])


def count_imported(
    load: Callable[[bytes], object], refusal: type[Exception], damaged: Iterable[bytes]
) -> int:
    """How many files can be imported; of the others, the refusal has to be of the promised kind."""
    imported = 0
    for data in damaged:
        message = ""
        try:
            load(data)
        except refusal as error:
            message = str(error) or "none"
        assert "\n" not in message
        imported += not message
    return imported


def count_in_little_memory(
    load: Callable[[bytes], object], refusal: type[Exception], damaged: Iterable[bytes]
) -> int:
    """As :func:`count_imported`, with an eye on the memory that is taken meanwhile."""
    tracemalloc.start()
    try:
        imported = count_imported(load, refusal, damaged)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MAX_BYTES
    return imported
