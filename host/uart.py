"""``serial://``: serial ports, by pyserial. Its exceptions become ours here and nowhere else."""

import errno
from typing import Final

import serial

from host.errors import DisconnectedError, TransportError
from host.transport import Address, Transport

__all__ = ["DEFAULT_BAUD", "SerialTransport", "open_serial"]

DEFAULT_BAUD: Final = 3_000_000
MAX_BAUD: Final = 12_000_000
WRITE_TIMEOUT_S: Final = 5.0
"""A port that has taken nothing for so long is gone: there is no flow control."""


class SerialTransport(Transport):
    """A serial port, 8N1, no flow control, for us alone.

    Parameters
    ----------
    url : str
        For messages.
    port : str
        Device file, or name such as ``COM3``.
    baud : int
        Bits per second.

    Raises
    ------
    TransportError
        If there is no such port, it is busy, may not be used, or cannot do that rate.
    """

    def __init__(self, url: str, port: str, baud: int) -> None:
        super().__init__(url)
        try:
            self._port = serial.Serial(
                port, baud, timeout=0, write_timeout=WRITE_TIMEOUT_S, exclusive=True
            )
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise TransportError(url, _why_not(port, baud, error)) from error

    def write(self, data: bytes) -> None:
        """Send bytes; waits for room in the driver's buffer."""
        try:
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise DisconnectedError(self.url, "the port takes no more bytes") from error
        except (OSError, TypeError) as error:  # closed by us: TypeError
            raise self._gone(error) from error

    def read(self, timeout_s: float) -> bytes:
        """Bytes that have come."""
        try:
            self._port.timeout = timeout_s
            first = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except (OSError, TypeError) as error:
            raise self._gone(error) from error

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _gone(self, error: Exception) -> DisconnectedError:
        return DisconnectedError(self.url, f"the port is gone ({error}): plug it in again")


def open_serial(address: Address) -> SerialTransport:
    """Open ``serial://PORT?baud=...``.

    Raises
    ------
    TransportError
        If the URL is wrong or the port cannot be opened.
    """
    values = address.only("baud")
    if not address.place:
        raise TransportError(address.url, "the port is missing, such as serial:///dev/ttyUSB1")
    baud = address.number("baud", values.get("baud", str(DEFAULT_BAUD)), low=1, high=MAX_BAUD)
    return SerialTransport(address.url, address.place, baud)


def _why_not(port: str, baud: int, error: Exception) -> str:
    """Say what keeps a port from being opened, and what to do about it."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOENT, errno.ENXIO, errno.ENODEV) or "FileNotFoundError" in str(error):
        return f"there is no port {port}: is the board plugged in? (systolic devices lists ports)"
    if code in (errno.EACCES, errno.EPERM):
        return f"no permission to use {port}: join the group that owns it (often dialout)"
    if code in (errno.EBUSY, errno.EAGAIN) or "PermissionError" in str(error):
        return f"{port} is in use by another program: close that first"
    if "Inappropriate ioctl" in str(error):  # pyserial hides its number
        return f"{port} is not a serial port"
    return f"cannot open {port} at {baud} baud ({' '.join(str(error).split())})"
