"""The cycle model run over a program: what its counters will read, without any data.

Nothing in the machine depends on data, so these are the numbers of every run, to the cycle.
"""

from collections.abc import Iterator

from mapping.program import Program
from mapping.report import timeline
from systolic.spec.isa import Diagonal, Matmul, Sync
from systolic.spec.registers import COUNTER_BITS, Registers, identity
from systolic.spec.timing import program_cycles


def predict_counters(program: Program) -> list[Registers]:
    """Counters at each SYNC, as every simulator's ``run(..., step=True)`` reports them."""
    name, wrap = identity(program.config), 1 << COUNTER_BITS
    marks = program_cycles(program.instructions, program.config)
    return [Registers(name, mark.cycle % wrap, mark.busy_cycles % wrap) for mark in marks]


def trace_lines(program: Program) -> Iterator[str]:
    """One line per instruction: cycle, cycles taken and waited, when the drain is done.

    Runs of MATMULs are one line: they never wait, and take equally long.
    """
    layers = dict(zip(program.layer_stops, program.layers, strict=True))
    stop, run, first = 0, 0, 0
    for interval in timeline(program.instructions, program.config):
        if isinstance(interval.instruction, Matmul | Diagonal):
            first = first if run else interval.start
            run += 1
            continue
        if run:
            yield f"{first:9d} {interval.start - first:7d}          MATMUL x {run}"
            run = 0
        waited = f"({interval.waited})" if interval.waited else ""
        taken = interval.end - interval.start
        yield f"{interval.start:9d} {taken:7d} {waited:>8} {interval.instruction}"
        if isinstance(interval.instruction, Sync):
            other = "part" if program.parts else "program"
            yield f"{interval.end:9d} end of {layers[stop].name if stop in layers else other}"
            stop += 1
