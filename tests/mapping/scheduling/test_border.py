"""Borders: written once where tensors take turns, and again where they must be."""

import numpy as np

from mapping.builder import Builder, Value
from mapping.compiler import compile_network
from mapping.ops import Padding
from mapping.program import Program, StoredTensor
from mapping.reference import run
from mapping.scheduling.border import BorderMemory
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Store

CONFIG = ArrayConfig()


def tensor(address: int, zero: int = 3, width: int = 4) -> StoredTensor:
    """A small tensor with a border."""
    return StoredTensor(
        node=0, name="t", address=address, shape=(4, width, 20), height=4, width=width,
        channels=20, border=Padding(1, 1, 1, 2), bits=8, q_min=0, zero=zero,
    )  # fmt: skip


def test_a_border_is_written_once_for_tensors_alike() -> None:
    memory = BorderMemory(CONFIG, 1000)
    assert memory.claim(tensor(10))
    assert not memory.claim(tensor(10))
    assert memory.claim(tensor(10, zero=4))
    assert memory.claim(tensor(12, zero=4))


def test_another_tensor_in_between_destroys_a_border() -> None:
    memory = BorderMemory(CONFIG, 1000)
    memory.claim(tensor(10))
    memory.claim(tensor(10 + tensor(10).words(CONFIG)))
    assert not memory.claim(tensor(10))
    memory.claim(tensor(10, width=3))
    assert memory.claim(tensor(10))


def test_the_border_is_all_that_is_not_image() -> None:
    one = tensor(0)
    both = np.concatenate([one.border_pixels(), one.image_pixels().ravel()])
    np.testing.assert_array_equal(np.sort(both), np.arange(one.pixels))
    # What is right of a row is left of the next: 2 columns do for both.
    assert one.pixels == 6 * (4 + 2) + 1


def borders(program: Program) -> int:
    """Layers that write a border."""
    return len({i.base for i in program.instructions if isinstance(i, Store) and i.repeat})


def test_a_chain_of_padded_convolutions_writes_few_borders_and_is_right() -> None:
    rng = np.random.default_rng(0)

    def conv(value: Value) -> Value:
        weights = rng.integers(-20, 20, (3, 3, 3, 3))
        return value.conv2d(weights, pad="same").requantize(1 << 30, -4)

    builder = Builder()
    value = builder.input((6, 5, 3), zero_point=-7)
    for _ in range(6):
        value = conv(value)
    graph = builder.graph(value)
    program = compile_network(graph, CONFIG, slots=1)
    assert borders(program) == 3  # beside the input, then in turns at two places
    assert borders(compile_network(graph, CONFIG, keep_all=True, slots=1)) == 5
    images = rng.integers(-128, 128, (2, 6, 5, 3))
    outputs, _ = run_network(FunctionalSimulator(CONFIG), program, images)
    np.testing.assert_array_equal(outputs[0], run(graph, images)[0])
