"""``socket://``: TCP, as ``systolic serve`` and serial-port servers offer it."""

import socket
from typing import Final

from host.errors import DisconnectedError, TransportError
from host.transport import Address, Transport

__all__ = ["SocketTransport", "open_socket"]

CONNECT_TIMEOUT_S: Final = 5.0
WRITE_TIMEOUT_S: Final = 60.0
"""How long the other end may take nothing: a simulated board can be slow."""
CHUNK_BYTES: Final = 1 << 16


class SocketTransport(Transport):
    """A TCP connection.

    Parameters
    ----------
    url : str
        For messages.
    host : str
        Name or address.
    port : int
        1 .. 65535.

    Raises
    ------
    TransportError
        If nobody listens there.
    """

    def __init__(self, url: str, host: str, port: int) -> None:
        super().__init__(url)
        try:
            self._socket = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
        except OSError as error:
            reason = (error.strerror or str(error) or "timed out").lower()
            raise TransportError(
                url, f"cannot connect ({reason}): does systolic serve run there?"
            ) from error
        # Requests are small and waited for: they must not be kept back to be sent together.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._socket.settimeout(WRITE_TIMEOUT_S)
            self._socket.sendall(data)
        except OSError as error:
            raise self._gone(error) from error

    def read(self, timeout_s: float) -> bytes:
        """Bytes that have come."""
        try:
            self._socket.settimeout(timeout_s)
            data = self._socket.recv(CHUNK_BYTES)
        except (TimeoutError, BlockingIOError):
            return b""
        except OSError as error:
            raise self._gone(error) from error
        if not data:
            raise DisconnectedError(self.url, "the other end has closed the connection")
        return data

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _gone(self, error: OSError) -> DisconnectedError:
        reason = (error.strerror or str(error) or "timed out").lower()
        return DisconnectedError(self.url, f"the connection is gone ({reason})")


def open_socket(address: Address) -> SocketTransport:
    """Open ``socket://HOST:PORT``.

    Raises
    ------
    TransportError
        If the URL is wrong or nobody listens there.
    """
    address.only()
    host, colon, port = address.place.rpartition(":")
    if not colon or not host:
        raise TransportError(address.url, "must be socket://HOST:PORT")
    return SocketTransport(
        address.url, host.strip("[]"), address.number("port", port, low=1, high=65535)
    )
