"""Programs in parts, as for little memory, that run in arrays that have more."""

from dataclasses import replace

from mapping.compiler import compile_network
from mapping.errors import ScratchpadError
from mapping.graph import Graph
from mapping.program import Program
from systolic.spec.config import ArrayConfig

LEAST_WORDS = 64
"""The smallest scratchpad that a configuration can have."""
MOST_WORDS = 65536


def whole_program(graph: Graph, config: ArrayConfig) -> Program:
    """The resident program with one slot, for whatever scratchpad it needs."""
    return compile_network(graph, replace(config, scratchpad_words=MOST_WORDS), slots=1)


def words_of(program: Program) -> int:
    """Words of a resident program with its activations."""
    return program.load_address + len(program.image) // program.config.word_bytes


def least_words(graph: Graph, config: ArrayConfig) -> int:
    """Fewest words of a scratchpad that a network runs in, as the compiler's refusals tell."""
    words = LEAST_WORDS
    while True:
        try:
            compile_network(graph, replace(config, scratchpad_words=words), slots=1)
            return words
        except ScratchpadError as error:
            words += error.missing_bytes // config.word_bytes


def streamed_program(graph: Graph, config: ArrayConfig, percent: int = 0) -> Program:
    """A program in parts, as for a smaller scratchpad than the configuration has.

    Parameters
    ----------
    graph : Graph
        The network.
    config : ArrayConfig
        The array that the program is for.
    percent : int, 0..100
        Size of the smaller scratchpad, between the least that will do (0) and a word less than all
        at once needs (100).
    """
    least, most = least_words(graph, config), words_of(whole_program(graph, config)) - 1
    words = max(least, least + (most - least) * percent // 100)
    tight = replace(config, scratchpad_words=words)
    return replace(compile_network(graph, tight, slots=1), config=config)
