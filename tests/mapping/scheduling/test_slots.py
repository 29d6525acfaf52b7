"""Slots: what the host writes or reads shares words with nothing; all else is shared."""

from itertools import combinations

import pytest
from hypothesis import given

from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.errors import ScratchpadError
from mapping.graph import Graph
from mapping.program import Program, StoredTensor
from systolic.spec.config import ArrayConfig
from tests.strategies import networks, random_network

CONFIG = ArrayConfig()


def span(tensor: StoredTensor) -> range:
    """Words of a tensor."""
    return range(tensor.address, tensor.address + tensor.words(CONFIG))


def overlap(one: range, other: range) -> bool:
    """Whether two ranges share a word."""
    return one.start < other.stop and other.start < one.stop


def words(program: Program) -> int:
    """Words that a program takes."""
    return program.load_address + len(program.image) // program.config.word_bytes


@given(networks())
def test_words_of_the_host_are_never_shared(graph: Graph) -> None:
    program = compile_network(graph, CONFIG, slots=2)
    own = {
        (number, tensor.address): tensor
        for number, slot in enumerate(program.slots)
        for tensor in (*slot.inputs, *slot.outputs)
    }
    for one, other in combinations(own.values(), 2):
        assert not overlap(span(one), span(other))
    shared = [t for t in program.tensors if (0, t.address) not in own]
    for tensor in shared:
        assert not any(overlap(span(tensor), span(other)) for other in own.values())
    image = range(program.load_address, words(program))
    assert not any(overlap(image, span(tensor)) for tensor in (*own.values(), *shared))


@given(networks())
def test_a_second_slot_costs_code_and_its_own_tensors_only(graph: Graph) -> None:
    one, two = (compile_network(graph, CONFIG, slots=slots) for slots in (1, 2))
    code = two.instruction_count * CONFIG.instruction_words * CONFIG.word_bytes
    if one.instruction_count == two.instruction_count:  # as many borders to write
        assert len(two.image) == len(one.image) + code
    assert [layer.macs for layer in one.layers] == [layer.macs for layer in two.layers]
    one.verify()
    two.verify()


def test_two_slots_are_given_where_they_fit_and_else_one() -> None:
    graph = random_network(4)
    two, one = (compile_network(graph, CONFIG, slots=slots) for slots in (2, 1))
    assert compile_network(graph, CONFIG) == two
    enough, less = (ArrayConfig(scratchpad_words=words(two) - missing) for missing in (0, 3))
    assert len(compile_network(graph, enough).slots) == 2
    fallback = compile_network(graph, less)
    assert fallback.slots == one.slots
    assert fallback.slot_deficit_bytes == 3 * CONFIG.word_bytes
    assert one.slot_deficit_bytes == two.slot_deficit_bytes == 0


def test_two_slots_that_do_not_fit_are_refused_with_the_excess() -> None:
    graph = random_network(4)
    config = ArrayConfig(scratchpad_words=words(compile_network(graph, CONFIG, slots=2)) - 3)
    message = r"program with 2 slots \(1 needs less\): .* scratchpad's \d+: 24 bytes too many"
    with pytest.raises(ScratchpadError, match=message) as caught:
        compile_network(graph, config, slots=2)
    assert caught.value.missing_bytes == 24
    assert "\n" not in str(caught.value)


def test_the_excess_counts_everything_even_where_tensors_alone_are_too_much() -> None:
    builder = Builder()
    graph = builder.graph(builder.input((40, 1, 16)).reshape(640))
    message = (
        "program with 2 slots .*: 0 words of weights, parameters and tables, 2 of instructions and "
        "160 of activations are more than the scratchpad's 100: 496 bytes too many"
    )
    with pytest.raises(ScratchpadError, match=message):
        compile_network(graph, ArrayConfig(scratchpad_words=100), slots=2)


def test_less_is_packed_for_a_second_slot_only_where_it_is_asked_for() -> None:
    builder = Builder()
    value = builder.input((20, 20, 1)).conv2d([[[[1] * 4]] * 7] * 7, pad="same")
    graph = builder.graph(value.requantize(1 << 30, -8))
    full = compile_network(graph, CONFIG, slots=2)
    less = ArrayConfig(scratchpad_words=words(full) - 1)
    asked, unasked = (compile_network(graph, less, slots=slots) for slots in (2, "auto"))
    kernels = [program.inputs[0].packing.kernel for program in (full, asked, unasked)]
    assert kernels == [(7, 7), (1, 7), (7, 7)]
    assert [len(program.slots) for program in (full, asked, unasked)] == [2, 2, 1]


def test_only_one_or_two_slots_can_be_asked_for() -> None:
    with pytest.raises(ValueError, match="slots must be 1, 2 or 'auto', not 3"):
        compile_network(random_network(4), CONFIG, slots=3)
