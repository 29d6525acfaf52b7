"""Where a layer's cycles go, by the exact cycle model, and the table that says so."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from mapping.program.data import ProgramData
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Diagonal, Instruction, Matmul, Store
from systolic.spec.timing import Machine, advance


@dataclass(frozen=True)
class Breakdown:
    """Cycles of a layer by what the mover was held by.

    Parameters
    ----------
    array : int
        Activations streamed into the array.
    weights : int
        Fetching MATMULs and loading their weights.
    requantizer : int
        Waiting for the drain.
    store : int
        Fetching STOREs and storing.
    setup : int
        Everything else: tables, parameters, starting drains.
    """

    array: int
    weights: int
    requantizer: int
    store: int
    setup: int

    @property
    def bound(self) -> str:
        """Name of the largest part."""
        return max(fields(self), key=lambda field: getattr(self, field.name)).name


@dataclass(frozen=True)
class Interval:
    """What one instruction does to the mover's time.

    Parameters
    ----------
    instruction : Instruction
        The instruction.
    start, end : int
        Cycle of its first fetch, and of the next instruction's.
    waited : int
        Cycles of these in which it waits for the drain.
    busy : int
        Cycles of these in which the array is given activations.
    drain_free : int
        First cycle, seen from ``end``, in which the drain engine is idle.
    """

    instruction: Instruction
    start: int
    end: int
    waited: int
    busy: int
    drain_free: int


def timeline(code: Iterable[Instruction], config: ArrayConfig) -> Iterator[Interval]:
    """Intervals of instructions in order, from cycle 0 on; together they cover all cycles."""
    machine = Machine()
    for instruction in code:
        after = advance(machine, instruction, config)
        decode = machine.cycle + config.fetch_cycles - 1
        waited = max(0, machine.drain_free - decode) if instruction.waits else 0
        busy = after.busy_cycles - machine.busy_cycles
        yield Interval(instruction, machine.cycle, after.cycle, waited, busy, after.drain_free)
        machine = after


def break_down(code: Iterable[Instruction], config: ArrayConfig) -> Breakdown:
    """Attribute every cycle of a layer's instructions."""
    spent = {field.name: 0 for field in fields(Breakdown)}
    for interval in timeline(code, config):
        spent["array"] += interval.busy
        spent["requantizer"] += interval.waited
        held = interval.end - interval.start - interval.waited - interval.busy
        match interval.instruction:
            case Matmul() | Diagonal():
                spent["weights"] += held
            case Store():
                spent["store"] += held
            case _:
                spent["setup"] += held
    return Breakdown(**spent)


def layer_lines(program: ProgramData) -> Iterator[str]:
    """Table of a program's layers: one line each, and a total."""
    yield (
        f"{'layer':<24} {'output':>12} {'MACs':>12} {'cycles':>10} {'busy':>10} {'util':>6}  bound"
    )
    for layer in program.layers:
        shape = "x".join(map(str, layer.out_shape))
        pruned = f"; pruned {layer.pruned_text}" if layer.pruned_text else ""
        yield (
            f"{layer.name[:24]:<24} {shape:>12} {layer.macs:>12,} {layer.cycles:>10,} "
            f"{layer.busy_cycles:>10,} {layer.utilisation:>6.1%}  {layer.bound}{pruned}"
        )
    busy = sum(layer.busy_cycles for layer in program.layers)
    yield f"{'total':<24} {'':>12} {program.macs:>12,} {program.cycles:>10,} {busy:>10,}"
