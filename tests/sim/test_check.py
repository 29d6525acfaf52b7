"""The checks of a run, against a simulator that lies about its counters."""

from collections.abc import Callable

import numpy as np
import pytest

from mapping.compiler import compile_network
from mapping.networks import load_digits_images, load_included
from mapping.presets import PRESETS
from mapping.program import Program
from sim.check import CheckReport, check_program, count_right
from sim.functional import FunctionalSimulator
from systolic.spec.registers import Registers

Change = Callable[[int, int, Registers], tuple[int, int]]
IMAGES = 3
WRAP = 1 << 32


class LyingSimulator(FunctionalSimulator):
    """Counters changed by a function of run, layer and the true counters."""

    def __init__(self, program: Program, change: Change) -> None:
        super().__init__(program.config)
        self._change, self._runs = change, 0

    def run(self, addr: int, *, step: bool = False, resume: bool = False) -> list[Registers]:
        marks = super().run(addr, step=step, resume=resume)
        self._runs += 1
        return [
            Registers(mark.identity, *self._change(self._runs - 1, layer, mark))
            for layer, mark in enumerate(marks)
        ]


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_network(load_included("digits_int4").graph, PRESETS["up5k"])


def check(program: Program, change: Change) -> CheckReport:
    network = load_included("digits_int4")
    images = network.quantize_input(load_digits_images().images[:IMAGES])
    return check_program(LyingSimulator(program, change), program, [images], None)


def test_true_counters_are_as_predicted(program: Program) -> None:
    report = check(program, lambda run, layer, mark: (mark.cycles, mark.busy_cycles))
    assert report.is_good
    assert report.cycles == program.cycles
    assert (report.images, report.compared) == (IMAGES, 0)


def test_one_image_with_one_more_cycle_is_noticed(program: Program) -> None:
    def change(run: int, layer: int, mark: Registers) -> tuple[int, int]:
        return mark.cycles + (run == 1 and layer >= 2), mark.busy_cycles

    report = check(program, change)
    third = program.layers[2]
    assert report.unpredicted == (third.name,)
    assert report.layers[2].cycles == (third.cycles, third.cycles + 1)
    assert report.cycles == program.cycles + 1


def test_busy_cycles_are_checked_too(program: Program) -> None:
    report = check(program, lambda run, layer, mark: (mark.cycles, mark.busy_cycles + (layer > 3)))
    assert report.unpredicted == (program.layers[4].name,)
    assert not report.is_good


def test_counters_may_wrap_between_layers(program: Program) -> None:
    first = program.layers[0]

    def change(run: int, layer: int, mark: Registers) -> tuple[int, int]:
        return (mark.cycles - first.cycles - 5) % WRAP, mark.busy_cycles

    report = check(program, change)
    assert report.unpredicted == (first.name,)
    assert report.layers[1].is_as_predicted


def test_the_first_of_equal_scores_wins() -> None:
    scores = np.array([[1, 7, 7], [3, 2, 1], [0, 0, 9]])
    assert count_right(scores, np.array([1, 0, 1], np.uint8)) == 2
