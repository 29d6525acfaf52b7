"""Simulated devices made of the gateware itself, compiled: at the link's bytes, or at its pins."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.compiled import CompiledModel, SimulationTimeout, compile_generated
from systolic.links.framed_accelerator import FramedAccelerator
from systolic.links.uart import bit_cycles
from systolic.links.uart_accelerator import UartAccelerator
from systolic.spec.config import ArrayConfig
from systolic.spec.registers import Identity

__all__ = ["RtlDevice", "UartDevice"]

CLOCK_HZ: Final = 1e6
"""Clock that timeouts are counted in where none is told: what a host assumes of such a device."""
FIRST_CHUNK_CYCLES: Final = 256
LAST_CHUNK_CYCLES: Final = 1 << 16
CHUNK_BYTES: Final = 1 << 12
FRAME_BITS: Final = 10
"""Start bit, eight data bits, stop bit."""


class RtlDevice:
    """The framed accelerator, its bytes coming and going as fast as it takes and gives them.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    window_log2 : int
        Logarithm of its receive queue's bytes.
    trace_depth : int
        Levels of hierarchy that :meth:`trace` shows; 0 compiles without them.

    Attributes
    ----------
    model : CompiledModel
        The compiled design.
    """

    def __init__(self, config: ArrayConfig, *, window_log2: int = 8, trace_depth: int = 0) -> None:
        def make() -> FramedAccelerator:
            identity = Identity(config.digest, window_log2=window_log2)
            return FramedAccelerator(config, identity=identity, waits=True)

        self.model: CompiledModel = compile_generated(
            make, package="systolic", made_from=(config.to_json(), str(window_log2)),
            name="framed_accelerator", trace_depth=trace_depth,
        )  # fmt: skip
        self.power_on()

    def power_on(self) -> None:
        """Switch it off and on: all is lost, memories too."""
        self.model.power_on()
        self.model.reset()
        self._pending = b""

    def trace(self, path: Path) -> AbstractContextManager[None]:
        """Write a VCD waveform of what happens within the context."""
        return self.model.trace(path)

    def send(self, data: bytes) -> None:
        """Give it bytes; it takes them while it is waited for."""
        self._pending += data

    def receive(self, timeout_s: float = 1.0) -> bytes:
        """Bytes from it; none if it neither takes nor gives any for so many seconds at 1 MHz."""
        timeout_cycles = max(1, round(timeout_s * CLOCK_HZ))
        left, chunk = timeout_cycles, FIRST_CHUNK_CYCLES
        while left > 0:
            before = len(self._pending)
            data = self._step(min(chunk, left))
            if data:
                return data
            if len(self._pending) < before:
                left = timeout_cycles
            else:
                left, chunk = left - chunk, min(2 * chunk, LAST_CHUNK_CYCLES)
        return b""

    def _step(self, cycles: int) -> bytes:
        """Do so many cycles; what came out."""
        try:
            return self.model.exchange(self._pending, CHUNK_BYTES, cycles)[0]
        except SimulationTimeout as stop:  # as almost always: it sends less
            self._pending = self._pending[stop.sent :]
            return stop.received


class UartDevice:
    """The accelerator behind a UART, at its two pins; the host's UART is exact.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    clock_hz : float
        Frequency of its clock.
    baud : int
        Bits per second.
    board_id, window_log2 : int
        What it says about itself.

    Attributes
    ----------
    model : CompiledModel
        The compiled design; ``model.cycles`` is the time.
    bit_cycles : int
        Cycles per bit.
    sent_bytes, received_bytes : int
        Bytes that went over the line to and from it.

    Raises
    ------
    ValueError
        If the clock does not give that rate.
    """

    def __init__(
        self,
        config: ArrayConfig,
        *,
        clock_hz: float = 12e6,
        baud: int = 3_000_000,
        board_id: int = 0,
        window_log2: int = 8,
    ) -> None:
        def make() -> UartAccelerator:
            return UartAccelerator(
                config, clock_hz=clock_hz, baud=baud, window_log2=window_log2, board_id=board_id
            )

        others = (clock_hz, baud, window_log2, board_id)
        self.model: CompiledModel = compile_generated(
            make, package="systolic", made_from=(config.to_json(), *map(str, others)),
            name="uart_accelerator",
        )  # fmt: skip
        self.clock_hz = clock_hz
        self.bit_cycles = bit_cycles(clock_hz, baud)
        self.power_on()
        self._idle = np.ones(FRAME_BITS * self.bit_cycles, np.uint8)
        values = np.arange(256, dtype=np.uint8)[:, np.newaxis]
        bits = np.hstack([values * 0, values >> np.arange(8, dtype=np.uint8) & 1, values * 0 + 1])
        self._waves = np.repeat(bits, self.bit_cycles, axis=1)

    def power_on(self) -> None:
        """Switch it off and on: all is lost, memories too."""
        self.model.power_on()
        self.model.reset()
        self.sent_bytes = self.received_bytes = 0
        self._pending = bytearray()
        self._levels: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def send(self, data: bytes) -> None:
        """Queue bytes for the host's UART."""
        self._pending += data

    def receive(self, timeout_s: float = 1.0) -> bytes:
        """Bytes that came over the line; none if it is silent for so many seconds of the clock."""
        frame_cycles = FRAME_BITS * self.bit_cycles
        left = frames = max(1, round(timeout_s * self.clock_hz / frame_cycles))
        while left > 0:
            left = frames if self._pending else left - 1
            data = self._frame()
            if data:
                return data
        return b""

    def _frame(self) -> bytes:
        """Let the time of one byte pass; what came in it."""
        wave = self._idle
        if self._pending:
            wave = self._waves[self._pending.pop(0)]
            self.sent_bytes += 1
        levels = self.model.run_vectors({"rx": wave}, ["tx"])["tx"].astype(np.uint8)
        self._levels = np.concatenate([self._levels, levels])
        data = bytearray()
        while (byte := self._decode()) is not None:
            data.append(byte)
        self.received_bytes += len(data)
        return bytes(data)

    def _decode(self) -> int | None:
        """Next byte on the line, once it is complete."""
        falls = np.flatnonzero(self._levels == 0)
        if not len(falls):
            self._levels = self._levels[:0]
            return None
        self._levels = self._levels[falls[0] :]
        middles = self.bit_cycles // 2 + self.bit_cycles * np.arange(1, FRAME_BITS)
        if len(self._levels) <= middles[-1]:
            return None
        bits = self._levels[middles]
        # From the middle of the stop bit on, the next start bit may come.
        self._levels = self._levels[middles[-1] :]
        return int(bits[:8] @ (1 << np.arange(8)))
