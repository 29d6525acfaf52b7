"""Counted cycles against predicted ones, for any number of runs in a row."""

from host.errors import CounterError
from mapping.program import Program
from systolic.spec.registers import COUNTER_BITS, Registers

__all__ = ["check_counters", "predicted_counters"]


def predicted_counters(program: Program, runs: int) -> tuple[int, int]:
    """Cycles and busy cycles of so many runs, as the counters show them: modulo 2**24.

    No timing depends on data, so that runs of one program all take equally long.
    """
    wrap = 1 << COUNTER_BITS
    busy_cycles = sum(layer.busy_cycles for layer in program.layers)
    return runs * program.cycles % wrap, runs * busy_cycles % wrap


def check_counters(url: str, program: Program, runs: int, registers: Registers) -> None:
    """Compare counters that were cleared before the first of these runs.

    Raises
    ------
    CounterError
        If they are not as predicted.
    """
    predicted = predicted_counters(program, runs)
    counted = registers.cycles, registers.busy_cycles
    if counted != predicted:
        raise CounterError(url, runs, predicted, counted)
