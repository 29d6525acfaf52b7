"""The RTL simulator: the gateware itself, compiled, behind the same calls as the functional one.

It talks to the accelerator as a host does, in bytes through its two streams.
"""

from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path

from sim.compiled import CompiledModel, compile_generated
from systolic.accelerator import Accelerator
from systolic.spec.config import ArrayConfig
from systolic.spec.layout import address_behind_sync
from systolic.spec.packets import FLAG_RESUME, FLAG_STEP, Command, Request, bursts
from systolic.spec.registers import REGISTER_BYTES, Registers, Status

RUN_LIMIT_CYCLES = 1 << 32
"""A program that has not stopped by then never will: the cycle counter has wrapped."""


class RtlError(RuntimeError):
    """The gateware did not do what its contract says."""


class RtlSimulator:
    """One accelerator, simulated cycle by cycle.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    trace_depth : int
        Levels of hierarchy whose signals :meth:`trace` shows; 0 compiles without them.

    Attributes
    ----------
    model : CompiledModel
        The compiled design.
    """

    def __init__(self, config: ArrayConfig, *, trace_depth: int = 0) -> None:
        self.config = config
        self.model: CompiledModel = compile_generated(
            lambda: Accelerator(config), package="systolic", made_from=(config.to_json(),),
            name="accelerator", trace_depth=trace_depth,
        )  # fmt: skip
        self.model.reset()
        self._instructions: dict[int, bytes] = {}

    def trace(self, path: Path) -> AbstractContextManager[None]:
        """Write a VCD waveform of what happens within the context."""
        return self.model.trace(path)

    def write(self, addr: int, data: bytes) -> None:
        """Write whole words from ``addr`` on."""
        word_bytes = self.config.word_bytes
        if len(data) % word_bytes:
            raise ValueError(
                f"data must be whole words of {word_bytes} bytes, not {len(data)} bytes"
            )
        self._check_range(addr, len(data) // word_bytes)
        for first, count in bursts(addr, len(data) // word_bytes):
            start = (first - addr) * word_bytes
            words = data[start : start + count * word_bytes]
            last = first + count - 1
            self._exchange(Request(Command.WRITE, addr=first, last=last, payload=words), 0)
        for index in range(0, len(data), word_bytes):
            self._instructions[addr + index // word_bytes] = data[index : index + word_bytes]

    def read(self, addr: int, count: int) -> bytes:
        """Words ``addr .. addr + count - 1``."""
        self._check_range(addr, count)
        data = bytearray()
        for first, part in bursts(addr, count):
            read = Request(Command.READ, addr=first, last=first + part - 1)
            data += self._exchange(read, part * self.config.word_bytes)
        return bytes(data)

    def run(self, addr: int, *, step: bool = False, resume: bool = False) -> list[Registers]:
        """Run a program to its end.

        Parameters
        ----------
        addr : int
            Word of the first instruction.
        step : bool
            Pause at every SYNC to read the counters; else only the last is read.
        resume : bool
            Let the counters count on, and the program go on where the one before it has ended.

        Returns
        -------
        list of Registers
            Counters at each SYNC where the program stopped.

        Raises
        ------
        RtlError
            If the accelerator meets an illegal instruction.
        """
        flags = FLAG_STEP * step | FLAG_RESUME * resume
        marks: list[Registers] = []
        while True:
            self._exchange(Request(Command.RUN, addr=addr, flags=flags), 0)
            status = self._exchange(Request(Command.WAIT), 1, limit=RUN_LIMIT_CYCLES)[0]
            registers = self._exchange(Request(Command.REGISTERS), REGISTER_BYTES)
            marks.append(Registers.decode(registers))
            if status == Status.HALTED:
                return marks
            if status != Status.PAUSED:
                raise RtlError(f"program at word {addr} stopped at an illegal instruction")
            addr = address_behind_sync(self._instructions, addr, self.config)
            flags |= FLAG_RESUME

    def _exchange(self, request: Request, rx_bytes: int, *, limit: int | None = None) -> bytes:
        # A byte takes a few cycles; a request a few more.
        cycles = limit if limit is not None else 64 + 8 * (len(request.raw) + rx_bytes)
        return self.model.exchange(request.raw, rx_bytes, cycles)[0]

    def _check_range(self, addr: int, count: int) -> None:
        if not 0 <= addr <= addr + count <= self.config.scratchpad_words:
            raise ValueError(
                f"words must be 0..{self.config.scratchpad_words - 1}, "
                f"not {addr}..{addr + count - 1}"
            )


@lru_cache(maxsize=4)
def shared_simulator(config: ArrayConfig) -> RtlSimulator:
    """A simulator of a configuration, compiled and loaded once per process."""
    return RtlSimulator(config)
