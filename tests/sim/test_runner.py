"""Programs run in either slot, whatever the host does in the other one meanwhile."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.program import Program, StoredTensor
from mapping.reference import run
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from sim.timing import predict_counters
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Instruction
from systolic.spec.registers import Registers
from tests.strategies import images_for, networks, random_network

CONFIGS = (
    ArrayConfig(),
    ArrayConfig(rows=8, cols=4, digit_bits=2, acc_bits=24, acc_depth=32, out_pixels=32),
    ArrayConfig(rows=4, cols=16, digit_bits=8, out_pixels=16, scratchpad_words=65536),
)


class RestlessHost(FunctionalSimulator):
    """Before every instruction of a run in one slot, the host fills the other slot's inputs."""

    def __init__(self, program: Program, slot: int, seed: int) -> None:
        super().__init__(program.config)
        self._rng = np.random.default_rng(seed)
        self._inputs = program.slots[1 - slot].inputs

    def _fetch(self, addr: int) -> Instruction:
        for tensor in self._inputs:
            fill(self, tensor, self._rng)
        return super()._fetch(addr)


def fill(simulator: FunctionalSimulator, tensor: StoredTensor, rng: np.random.Generator) -> None:
    """Write noise over a tensor."""
    config = simulator.config
    simulator.write(tensor.address, rng.bytes(tensor.words(config) * config.word_bytes))


def content(simulator: FunctionalSimulator, tensors: tuple[StoredTensor, ...]) -> list[bytes]:
    """Words of tensors."""
    return [simulator.read(t.address, t.words(simulator.config)) for t in tensors]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@settings(max_examples=25)
@given(graph=networks(), slot=st.integers(0, 1), seed=st.integers(0, 99))
def test_a_run_is_not_disturbed_by_the_host_in_the_other_slot(
    graph: Graph, config: ArrayConfig, slot: int, seed: int
) -> None:
    program = compile_network(graph, config, slots=2)
    simulator = RestlessHost(program, slot, seed)
    outputs_of_other = program.slots[1 - slot].outputs
    for tensor in outputs_of_other:
        fill(simulator, tensor, np.random.default_rng(seed))
    kept = content(simulator, outputs_of_other)
    images = images_for(graph, 1, seed)
    outputs, counters = run_network(simulator, program, images, slot=slot)
    for output, wanted in zip(outputs, run(graph, images), strict=True):
        np.testing.assert_array_equal(output, wanted)
    assert counters == [predict_counters(program)]
    if not set(program.inputs) & set(program.outputs):  # an input that is an output was filled
        assert content(simulator, outputs_of_other) == kept
    packed = [program.pack_input(images, index)[0] for index in range(len(program.inputs))]
    assert content(simulator, program.slots[slot].inputs) == packed


def test_a_program_that_reads_the_other_slots_input_is_disturbed() -> None:
    graph = random_network(4)
    program = compile_network(graph, CONFIGS[0], slots=2)
    first, second = program.slots
    crossed = replace(program, slots=(first, replace(second, entry=first.entry)))
    images = images_for(graph, 1, 4)
    simulator = RestlessHost(crossed, 1, 4)
    outputs, _ = run_network(simulator, crossed, images, slot=1)
    assert not np.array_equal(outputs[0], run(graph, images)[0])


class Recorder(FunctionalSimulator):
    """Notes where runs began."""

    def __init__(self, config: ArrayConfig) -> None:
        super().__init__(config)
        self.entries: list[int] = []

    def run(self, addr: int, *, step: bool = False, resume: bool = False) -> list[Registers]:
        self.entries.append(addr)
        return super().run(addr, step=step, resume=resume)


def test_images_take_turns_in_the_slots_unless_one_is_named() -> None:
    graph = random_network(4)
    program = compile_network(graph, CONFIGS[0], slots=2)
    simulator = Recorder(CONFIGS[0])
    images = images_for(graph, 3, 4)
    run_network(simulator, program, images)
    run_network(simulator, program, images, slot=1)
    first, second = (slot.entry for slot in program.slots)
    assert simulator.entries == [first, second, first, second, second, second]
