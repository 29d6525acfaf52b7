"""Cycles of each instruction: the formulas that gateware and cycle model share.

Time is counted from the first fetch of a program (cycle 0). The mover executes in order; ``start``
is the cycle of an instruction's first fetch, ``drain_free`` the first cycle in which the drain
engine is idle.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from systolic.spec.config import ArrayConfig
from systolic.spec.isa import (
    Diagonal,
    Drain,
    Instruction,
    Load,
    LoadTarget,
    Matmul,
    Output,
    Store,
    Sync,
)


@dataclass(frozen=True)
class Machine:
    """State of the two engines between instructions.

    Parameters
    ----------
    cycle : int
        Cycle in which the next instruction's fetch begins.
    drain_free : int
        First cycle in which the drain engine is idle.
    digits : int
        Digits of a result, as set by the last OUTPUT.
    busy_cycles : int
        Cycles so far in which the array was given activations.
    thresholds : int
        Whether results come from a search among thresholds, as set by the last OUTPUT.
    """

    cycle: int = 0
    drain_free: int = 0
    digits: int = 1
    busy_cycles: int = 0
    thresholds: int = 0


def action_cycles(instruction: Instruction, config: ArrayConfig) -> int:
    """Cycles the mover is held by an instruction after its execute cycle."""
    match instruction:
        case Load(target=LoadTarget.PARAMETERS):
            return 1 + instruction.count * config.parameter_words
        case Load(target=LoadTarget.THRESHOLDS):
            return 1 + instruction.count * config.threshold_words
        case Load():
            return 1 + instruction.count
        case Matmul() | Diagonal():
            return config.weight_cycles + instruction.count * instruction.digits
        case Store():
            return 2 + instruction.count * instruction.digits
        case _:
            return 0


def drain_cycles(
    instruction: Drain, digits: int, config: ArrayConfig, *, thresholds: bool = False
) -> int:
    """Cycles from the one after a DRAIN's execution until the drain engine is idle again."""
    slots = instruction.count * instruction.cols * instruction.window * instruction.parts
    interval = config.drain_interval(digits, thresholds=thresholds)
    return 1 + 2 * config.drain_wait_cycles + slots * interval


def advance(machine: Machine, instruction: Instruction, config: ArrayConfig) -> Machine:
    """Machine after one instruction."""
    execute = machine.cycle + config.fetch_cycles - 1
    if instruction.waits:
        execute = max(execute, machine.drain_free)
    drain_free, digits, busy = machine.drain_free, machine.digits, machine.busy_cycles
    thresholds = machine.thresholds
    match instruction:
        case Drain():
            cycles = drain_cycles(instruction, digits, config, thresholds=bool(thresholds))
            drain_free = execute + 1 + cycles
        case Output():
            digits, thresholds = instruction.digits, instruction.thresholds
        case Matmul() | Diagonal():
            busy += instruction.count * instruction.digits
        case _:
            pass
    cycle = execute + 1 + action_cycles(instruction, config)
    return Machine(cycle, drain_free, digits, busy, thresholds)


def program_cycles(instructions: Iterable[Instruction], config: ArrayConfig) -> list[Machine]:
    """Machine after each SYNC: what the counters hold when the layers of a program end."""
    machine = Machine()
    marks: list[Machine] = []
    for instruction in instructions:
        machine = advance(machine, instruction, config)
        if isinstance(instruction, Sync):
            marks.append(machine)
    return marks
