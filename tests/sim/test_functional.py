"""The functional simulator: networks against the graph's interpreter, and strictness."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.program import Program
from mapping.reference import run_all
from sim.functional import FunctionalSimulator, SimulationError
from sim.runner import read_tensor, run_network
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import (
    Drain,
    Instruction,
    Load,
    LoadTarget,
    Matmul,
    Output,
    Store,
    Sync,
)
from systolic.spec.layout import pack_instructions, pack_parameters, pack_units, pack_weights
from systolic.spec.rounding import Rounding
from tests.strategies import images_for, networks, random_network

CONFIGS = {
    str(config): config
    for config in (
        ArrayConfig(),
        ArrayConfig(rows=4, cols=4, weight_bits=4, digit_bits=1, acc_depth=64, out_pixels=32),
        ArrayConfig(rows=5, cols=5, weight_bits=3, digit_bits=3, acc_depth=256),
        ArrayConfig(rows=8, cols=2, digit_bits=8, requantize_cycles=48, acc_depth=64),
        ArrayConfig(rows=4, cols=16, weight_bits=2, digit_bits=2, acc_depth=256),
        ArrayConfig(rows=16, cols=16, digit_bits=5, acc_depth=32, out_pixels=16),
        ArrayConfig(rows=4, cols=1, weight_bits=5, digit_bits=1, acc_depth=32, out_pixels=16),
    )
}


def check_network(graph: Graph, config: ArrayConfig, seed: int, *, keep_all: bool) -> Program:
    """Compile, verify, run two images, compare every tensor that is kept with the interpreter."""
    program = compile_network(graph, config, keep_all=keep_all)
    program.verify()
    images = images_for(graph, 2, seed)
    expected = run_all(graph, images)
    simulator = FunctionalSimulator(config)
    slot = 0 if keep_all else None  # the tensors that are listed are those of slot 0
    outputs, counters = run_network(simulator, program, images, slot=slot)
    for output, value in zip(outputs, graph.outputs, strict=True):
        np.testing.assert_array_equal(output, expected[value])
    if keep_all:
        for tensor in program.tensors:
            if tensor.packing is None:
                last = expected[tensor.node][-1]
                np.testing.assert_array_equal(read_tensor(simulator, program, tensor), last)
    assert counters[0] == counters[1]  # nothing depends on data
    assert counters[0][-1].cycles == program.cycles
    return program


@pytest.mark.parametrize("keep_all", [True, False], ids=["all tensors kept", "memory shared"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@settings(max_examples=15, deadline=None)
@given(graph=networks(max_weight_bits=8))
def test_every_layer_equals_the_interpreter(
    graph: Graph, config: ArrayConfig, keep_all: bool
) -> None:
    check_network(graph, config, 1, keep_all=keep_all)


@pytest.mark.parametrize("seed", range(12))
def test_weights_of_16_bits_run_in_parts(seed: int) -> None:
    graph = random_network(seed, max_weight_bits=16, roundings=[Rounding.TFLITE])
    check_network(graph, ArrayConfig(weight_bits=4, acc_depth=256), seed, keep_all=True)


CONFIG = ArrayConfig(rows=4, cols=4, digit_bits=4, acc_depth=16, out_pixels=16)
TILE = np.arange(16).reshape(4, 4) - 8
DATA = {
    0: pack_weights(TILE, CONFIG),
    8: pack_units([0] * 32, CONFIG),
    40: pack_parameters([(0, 1 << 47, 0)] * 4, CONFIG),
    80: bytes(2 * CONFIG.word_bytes),
}
OFFSETS = Load(target=LoadTarget.OFFSETS, count=2, addr=8)
PARAMETERS = Load(target=LoadTarget.PARAMETERS, count=4, addr=40)
MATMUL = Matmul(first=1, half=0, digits=2, count=2, base=80, weights=0)
OUTPUT = Output(digits=2, zero=0, lo=0, hi=255)
DRAIN = Drain(half=0, count=2, cols=4)
STORE = Store(digits=2, count=2, base=90)
GOOD = (OFFSETS, PARAMETERS, OUTPUT, MATMUL, DRAIN, STORE)


def run_instructions(*instructions: Instruction) -> FunctionalSimulator:
    """Run instructions on a small array that holds :data:`DATA`."""
    simulator = FunctionalSimulator(CONFIG)
    for addr, data in DATA.items():
        simulator.write(addr, data)
    code = [instruction.encode() for instruction in (*instructions, Sync(halt=1))]
    simulator.write(200, pack_instructions(code, CONFIG))
    simulator.run(200)
    return simulator


def without(left_out: Instruction) -> tuple[Instruction, ...]:
    """The good program but for one instruction."""
    return tuple(instruction for instruction in GOOD if instruction is not left_out)


def changed(**fields: int) -> Matmul:
    """The good MATMUL with other fields."""
    return Matmul(**({name: getattr(MATMUL, name) for name in Matmul.LAYOUT} | fields))


def test_the_good_program_runs() -> None:
    run_instructions(*GOOD)


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        (without(OFFSETS), "offsets 0..1, not all loaded"),
        (without(PARAMETERS), "parameters never loaded"),
        (without(OUTPUT), "drains before any OUTPUT"),
        (without(MATMUL), "accumulators never set"),
        (without(DRAIN), "not drained with as many digits"),
        ((*GOOD[:3], changed(first=0)), "adds to accumulators never set"),
        ((*GOOD[:3], changed(base=100)), "words that were never written"),
        ((*GOOD[:3], changed(weights=100)), "words that were never written"),
        ((*GOOD[:3], changed(base=0xFFF0)), "beyond the scratchpad"),
        ((*GOOD[:3], changed(digits=3)), "3 digits, but an activation at most 2"),
        ((*GOOD[:3], changed(parts=9 - 1, count=3)), "needs 24 accumulators of 16"),
        ((*GOOD[:3], changed(part=1)), "part must be below parts"),
        ((*GOOD[:5], MATMUL), "fills half 0 while it is drained"),
        ((*GOOD[:5], Store(digits=1, count=2, base=90)), "not drained with as many digits"),
        ((*GOOD[:5], Store(digits=2, count=2, base=90, block=1)), "there is no block 1"),
        ((*GOOD[:4], Drain(half=0, count=2, cols=4, row=2)), "row must be a multiple of 4"),
        ((*GOOD[:4], Drain(half=0, count=2, cols=3)), "cols must be a multiple of 2"),
        ((*GOOD[:4], Drain(half=0, count=2, cols=4, start=4)), "parameters never loaded"),
        ((*GOOD[:4], Drain(half=0, count=2, cols=4, pixel=14)), "needs 16 pixels of 15"),
        ((*GOOD[:5], Store(digits=2, count=16, base=90)), "stores 16 pixels of 15"),
    ],
)  # fmt: skip
def test_what_the_machine_leaves_undefined_is_an_error(
    instructions: tuple[Instruction, ...], message: str
) -> None:
    with pytest.raises(SimulationError, match=message):
        run_instructions(*instructions)


SEARCHED = Output(digits=1, zero=0, lo=0, hi=0, thresholds=1)
NODES = Load(target=LoadTarget.THRESHOLDS, count=192, start=64, addr=300)


def run_searching(config: ArrayConfig, *instructions: Instruction) -> None:
    """Run instructions on a small array; what thresholds they load are zero."""
    simulator = FunctionalSimulator(config)
    for addr, data in (DATA | {300: bytes(2 * 192 * config.word_bytes)}).items():
        simulator.write(addr, data)
    code = [instruction.encode() for instruction in (*instructions, Sync(halt=1))]
    simulator.write(200, pack_instructions(code, config))
    simulator.run(200)


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        ((OFFSETS, SEARCHED, MATMUL, DRAIN), "uses thresholds never loaded"),
        ((OFFSETS, NODES, SEARCHED, MATMUL, Drain(half=0, count=2, cols=4, start=64)),
         "uses thresholds of channel 67 of 64"),
        ((OFFSETS, PARAMETERS, Load(target=LoadTarget.THRESHOLDS, count=4, addr=300), OUTPUT,
          MATMUL, DRAIN), "uses parameters never loaded"),
        ((OFFSETS, NODES, Load(target=LoadTarget.PARAMETERS, count=1, start=130, addr=40),
          SEARCHED, MATMUL, DRAIN), "uses thresholds never loaded"),
        ((Output(digits=1, zero=0, lo=0, hi=3, thresholds=1),), "zero, lo and hi must be 0"),
        ((OFFSETS, NODES, Output(table=1, digits=1, zero=0, lo=0, hi=0, thresholds=1), MATMUL,
          DRAIN), "may look up table entries never loaded"),
    ],
)  # fmt: skip
def test_thresholds_and_parameters_share_a_memory(
    instructions: tuple[Instruction, ...], message: str
) -> None:
    with pytest.raises(SimulationError, match=message):
        run_searching(replace(CONFIG, threshold_bits=2), *instructions)


def test_parameters_and_thresholds_may_lie_beside_each_other() -> None:
    config = replace(CONFIG, threshold_bits=2)
    run_searching(config, OFFSETS, PARAMETERS, NODES, OUTPUT, MATMUL, DRAIN, SEARCHED, DRAIN)


@pytest.mark.parametrize("instruction", [SEARCHED, NODES])
def test_thresholds_need_a_configuration_with_them(instruction: Instruction) -> None:
    with pytest.raises(SimulationError, match="needs a configuration with threshold_bits"):
        run_searching(CONFIG, instruction)


def test_a_drain_may_end_in_front_of_the_hosts_pixel() -> None:
    run_instructions(*GOOD[:4], Drain(half=0, count=2, cols=4, pixel=CONFIG.drain_pixels - 2))


def test_a_half_may_be_filled_once_a_later_instruction_has_waited() -> None:
    run_instructions(*GOOD, MATMUL)


def test_an_accumulator_that_overflows_is_an_error() -> None:
    config = ArrayConfig(rows=4, cols=4, digit_bits=4, acc_depth=16, acc_bits=18)
    simulator = FunctionalSimulator(config)
    simulator.write(0, pack_weights(np.full((4, 4), 127), config))
    simulator.write(8, pack_units([0], config))
    simulator.write(80, b"\xff" * 2 * config.word_bytes)
    again = Matmul(first=0, half=0, digits=2, count=1, base=80, weights=0)
    code = [Load(target=LoadTarget.OFFSETS, count=1, addr=8), changed(count=1), again, Sync(halt=1)]
    simulator.write(200, pack_instructions([instruction.encode() for instruction in code], config))
    with pytest.raises(SimulationError, match="accumulator overflows"):
        simulator.run(200)


def test_words_that_are_no_instruction_are_named() -> None:
    simulator = FunctionalSimulator(CONFIG)
    simulator.write(7, b"\xff" * 8)
    with pytest.raises(SimulationError, match="word 7: opcode must be"):
        simulator.run(7)


def test_reading_and_writing_is_limited_to_the_scratchpad() -> None:
    simulator = FunctionalSimulator(CONFIG)
    with pytest.raises(ValueError, match=r"words must be 0\.\.16383, not 16383\.\.16384"):
        simulator.read(CONFIG.scratchpad_words - 1, 2)
    with pytest.raises(ValueError, match="whole words of 2 bytes"):
        simulator.write(0, b"abc")


def test_steps_report_the_counters_of_every_layer() -> None:
    simulator = FunctionalSimulator(CONFIG)
    code = [Sync(halt=0).encode(), Sync(halt=1).encode()]
    simulator.write(0, pack_instructions(code, CONFIG))
    each = [registers.cycles for registers in simulator.run(0, step=True)]
    assert each == [CONFIG.fetch_cycles, 2 * CONFIG.fetch_cycles]
    assert [registers.cycles for registers in simulator.run(0)] == each[-1:]
