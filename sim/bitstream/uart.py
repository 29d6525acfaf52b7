"""The host's end of a serial line at two pins of a simulated chip."""

import ctypes
from typing import Final

from sim.bitstream.simulator import BitstreamSimulator

__all__ = ["BitstreamDevice", "Uart"]

_FRAME_BITS: Final = 10
_POINT: Final = 32


class _UartState(ctypes.Structure):
    """``Uart`` of ``driver.h``."""

    _fields_ = (
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("input", "output", "bit", "now", "send_until", "send_frame"),
                *("listen_at", "listen_bits", "listen_frame", "bad_frames"),
            )
        ),
        ("tx", ctypes.c_char_p),
        ("rx", ctypes.c_void_p),
        *(
            (name, ctypes.c_uint64)
            for name in ("tx_bytes", "rx_space", "rx_wanted", "sent", "received")
        ),
    )


class Uart:
    """8 data bits, no parity, one stop bit; time passes only while something is received.

    Parameters
    ----------
    simulator : BitstreamSimulator
        The chip.
    rx, tx : str
        Pins by which the chip listens and talks.
    cycles_per_bit : float
        Clock cycles per bit, at least 2.

    Raises
    ------
    ValueError
        If there are no such pins, or a bit is too short.
    """

    def __init__(
        self, simulator: BitstreamSimulator, rx: str, tx: str, cycles_per_bit: float
    ) -> None:
        if cycles_per_bit < 2:
            raise ValueError(f"a bit takes at least 2 cycles, not {cycles_per_bit:g}")
        self._simulator = simulator
        self._state = _UartState()
        self._state.input = simulator.pin_place(rx, is_input=True)
        self._state.output = simulator.pin_place(tx, is_input=False)
        self._state.bit = round(cycles_per_bit * (1 << _POINT))
        self._pending = b""
        self.sent_bytes = self.received_bytes = 0
        simulator.set(rx, 1)

    @property
    def bad_frames(self) -> int:
        """How many frames from the chip had no stop bit."""
        return self._state.bad_frames

    def send(self, data: bytes) -> None:
        """Queue bytes; they are sent, one after the other, while something is received."""
        self._pending += data

    def receive(self, wanted: int, cycles: int) -> bytes:
        """Let time pass until everything is sent and so many bytes have come.

        Parameters
        ----------
        wanted : int
            How many bytes to wait for.
        cycles : int
            For how long at most.

        Returns
        -------
        bytes
            What came; more than wanted, if it came while something was still being sent.
        """
        state = self._state
        # Bytes take ten bits each; one may have begun before.
        space = (cycles << _POINT) // (_FRAME_BITS * state.bit) + 2
        buffer = ctypes.create_string_buffer(space)
        state.tx, state.tx_bytes, state.sent = self._pending, len(self._pending), 0
        state.rx, state.rx_space, state.received = ctypes.addressof(buffer), space, 0
        state.rx_wanted = min(wanted, space)
        self._simulator.run_uart(state, cycles)
        self._pending = self._pending[state.sent :]
        self.sent_bytes += state.sent
        self.received_bytes += state.received
        return buffer.raw[: state.received]


class BitstreamDevice:
    """An accelerator in its chip, as what is at the end of a line; see `sim.board.device`.

    Parameters
    ----------
    simulator : BitstreamSimulator
        The chip, with pins ``rx`` and ``tx``.
    clock_hz : float
        Frequency of its clock.
    baud : int
        Bits per second, as exact as the host's UART is.

    Attributes
    ----------
    simulator : BitstreamSimulator
        The chip.
    uart : Uart
        The line.
    """

    def __init__(self, simulator: BitstreamSimulator, *, clock_hz: float, baud: int) -> None:
        self.simulator = simulator
        self.clock_hz = clock_hz
        self.uart = Uart(simulator, "rx", "tx", clock_hz / baud)

    def send(self, data: bytes) -> None:
        """Give it bytes."""
        self.uart.send(data)

    def receive(self, timeout_s: float) -> bytes:
        """Return bytes from it, within so many seconds of its clock."""
        return self.uart.receive(1, max(1, round(timeout_s * self.clock_hz)))
