"""Faults at chosen packets instead of random ones."""

from collections.abc import Mapping
from random import Random

from sim.board.faults import FaultRates, FaultSource


class ScriptedFaults(FaultSource):
    """Gives the packet of a number (both directions are counted together) a fault, others none."""

    def __init__(self, faults: Mapping[int, str], seed: int = 0) -> None:
        super().__init__(FaultRates(), seed)
        self.random = Random(seed)
        self.packets = 0
        self._script = faults

    def draw(self) -> str:
        fault = self._script.get(self.packets, "none")
        self.packets += 1
        self.counts[fault] += 1
        return fault
