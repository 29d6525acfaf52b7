"""A simulated board for other programs: behind TCP ports and pseudo-terminals.

One device, any number of doors to it. Only one program at a time should use it, as with a board on
a USB port: answers go to the door through which the last bytes came.
"""

import os
import select
import selectors
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, Self

from host.errors import DisconnectedError
from host.transport import Transport

__all__ = ["Door", "PtyDoor", "Server", "TcpDoor", "open_door"]

CHUNK_BYTES: Final = 1 << 12
SLICE_S: Final = 0.01
"""Simulated time between looks at the doors."""
IDLE_S: Final = 2.0
"""A device that has said nothing in so much simulated time waits for the host to speak."""
WRITE_TIMEOUT_S: Final = 1.0
"""As long may a client not read; then, as on a serial line, bytes are lost."""


class Door(ABC):
    """A way in for one client."""

    @property
    @abstractmethod
    def url(self) -> str:
        """How to open it from outside."""

    @abstractmethod
    def files(self) -> list[int]:
        """File descriptors to wait for."""

    @abstractmethod
    def read(self, file: int) -> bytes:
        """Bytes from the client; none if it has come or gone."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Bytes to the client, if there is one."""

    @abstractmethod
    def hang_up(self) -> None:
        """Break the connection."""

    @abstractmethod
    def close(self) -> None:
        """Close the door."""


class TcpDoor(Door):
    """A TCP port on this machine.

    Parameters
    ----------
    port : int
        Its number; 0 takes a free one.

    Raises
    ------
    OSError
        If it is in use, or may not be used.
    """

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._client: socket.socket | None = None

    @property
    def url(self) -> str:
        """Such as ``socket://127.0.0.1:4321``."""
        host, port = self._listener.getsockname()
        return f"socket://{host}:{port}"

    def files(self) -> list[int]:
        """The client's first: its end is seen before the next one's beginning; the port's."""
        client = [self._client.fileno()] if self._client is not None else []
        return [*client, self._listener.fileno()]

    def read(self, file: int) -> bytes:
        """Bytes of the client; a second one is sent away."""
        if file == self._listener.fileno():
            client, _ = self._listener.accept()
            if self._client is not None:
                client.close()
            else:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.settimeout(WRITE_TIMEOUT_S)
                self._client = client
            return b""
        assert self._client is not None  # it is the only other file
        try:
            data = self._client.recv(CHUNK_BYTES)
        except OSError:
            data = b""
        if not data:
            self.hang_up()
        return data

    def write(self, data: bytes) -> None:
        """Send; a client that does not read, or is gone, is hung up on."""
        if self._client is not None:
            try:
                self._client.sendall(data)
            except OSError:
                self.hang_up()

    def hang_up(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def close(self) -> None:
        """Close connection and port."""
        self.hang_up()
        self._listener.close()


class PtyDoor(Door):
    """A pseudo-terminal, which looks like a serial port.

    Raises
    ------
    OSError
        If there is none.
    """

    def __init__(self) -> None:
        import pty  # noqa: PLC0415 - only where there are such things
        import tty  # noqa: PLC0415

        # Our own hold on the client's side keeps it alive while no client does.
        self._file, self._other = pty.openpty()
        tty.setraw(self._other)
        os.set_blocking(self._file, False)

    @property
    def url(self) -> str:
        """Such as ``serial:///dev/pts/3``."""
        return f"serial://{os.ttyname(self._other)}"

    def files(self) -> list[int]:
        """Our side."""
        return [self._file]

    def read(self, file: int) -> bytes:
        """Bytes of the client."""
        try:
            return os.read(file, CHUNK_BYTES)
        except OSError:
            return b""

    def write(self, data: bytes) -> None:
        """Send; what the client does not read in time is lost."""
        rest = data
        while rest:
            _, writable, _ = select.select([], [self._file], [], WRITE_TIMEOUT_S)
            if not writable:
                return
            rest = rest[os.write(self._file, rest) :]

    def hang_up(self) -> None:
        """Do nothing: a terminal stays. What was on the line is lost all the same."""

    def close(self) -> None:
        """Close both sides."""
        os.close(self._file)
        os.close(self._other)


def open_door(text: str) -> Door:
    """Door of a text: ``tcp:PORT`` or ``pty``.

    Raises
    ------
    ValueError
        If it is neither.
    OSError
        If it cannot be opened.
    """
    kind, _, port = text.partition(":")
    if text == "pty":
        return PtyDoor()
    if kind == "tcp" and port.isascii() and port.isdigit() and int(port) < 1 << 16:
        return TcpDoor(int(port))
    raise ValueError(f"port must be tcp:NUMBER (0 for a free one) or pty, not {text!r}")


class Server:
    """Serves a device until it is stopped.

    Parameters
    ----------
    connect : callable
        Makes the line to the device; called again when a simulated fault has broken it.
    doors : sequence of Door
        Ways in; whoever opened them closes them.
    """

    def __init__(self, connect: Callable[[], Transport], doors: Sequence[Door]) -> None:
        self._connect, self._doors = connect, doors
        self._line = connect()
        self._client: Door | None = None
        self._silent_s = IDLE_S
        self._wake, self._stop = socket.socketpair()

    @property
    def urls(self) -> list[str]:
        """How to open the doors from outside."""
        return [door.url for door in self._doors]

    def run(self) -> None:
        """Serve; returns after :meth:`stop`."""
        while True:
            ready = self._look()
            if self._wake.fileno() in ready:
                return
            for door in self._doors:
                for file in door.files():
                    if file in ready:
                        self._take(door, file)
            self._simulate()

    def stop(self) -> None:
        """Let :meth:`run` return; for other threads."""
        self._stop.send(b"\0")

    def close(self) -> None:
        """Let go of the device."""
        self._line.close()
        self._wake.close()
        self._stop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look(self) -> set[int]:
        """Files with something to read; waits for one if the device has nothing to do."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            for door in self._doors:
                for file in door.files():
                    selector.register(file, selectors.EVENT_READ)
            events = selector.select(None if self._silent_s >= IDLE_S else 0)
            return {key.fd for key, _ in events}

    def _take(self, door: Door, file: int) -> None:
        data = door.read(file)
        if data:
            self._client, self._silent_s = door, 0.0
            self._through(lambda: self._line.write(data))

    def _simulate(self) -> None:
        if self._silent_s >= IDLE_S:
            return
        self._silent_s += SLICE_S
        data = self._through(lambda: self._line.read(SLICE_S))
        if data and self._client is not None:
            self._silent_s = 0.0
            self._client.write(data)

    def _through(self, action: Callable[[], bytes | None]) -> bytes | None:
        """Do something with the line; if it breaks, so does the client's connection."""
        try:
            return action()
        except DisconnectedError:
            self._line = self._connect()
            if self._client is not None:
                self._client.hang_up()
            return None
