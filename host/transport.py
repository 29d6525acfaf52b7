"""Lines to devices: byte streams in both directions, opened by URL.

Every kind of line is an entry point of the group :data:`TRANSPORTS`, named by its URL's scheme, so
that packages above this one add theirs (``sim://``) without being imported here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, urlsplit

from host.errors import TransportError

__all__ = ["TRANSPORTS", "Address", "Transport", "open_transport"]

TRANSPORTS: Final = "systolic.transports"
"""Entry point group: scheme to a function that takes an :class:`Address` and opens it."""


class Transport(ABC):
    """A line to a device: bytes out, bytes in, nothing else.

    Bytes may be lost or damaged on the way; what comes, comes in order.

    Parameters
    ----------
    url : str
        What it was opened by, for messages.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send bytes; waits only for room in a buffer.

        Raises
        ------
        DisconnectedError
            If the line is gone, or takes nothing any more.
        """

    @abstractmethod
    def read(self, timeout_s: float) -> bytes:
        """Bytes that have come, at least one; none if none comes in time.

        A simulated line may give up early: when nothing can come any more.

        Raises
        ------
        DisconnectedError
            If the line is gone.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the line; twice does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Address:
    """A URL taken apart: ``scheme://place?name=value&...``.

    Parameters
    ----------
    url : str
        The whole.
    scheme : str
        Kind of line.
    place : str
        Which one; a path, or a host and port.
    parameters : tuple of (str, str)
        Names and values, in order.
    """

    url: str
    scheme: str
    place: str
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Address of a URL.

        Raises
        ------
        TransportError
            If it is none.
        """
        try:
            parts = urlsplit(url)
            pairs = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
        except ValueError as error:
            raise TransportError(url, f"not a URL ({error})") from None
        if not parts.scheme or "://" not in url:
            raise TransportError(
                url, "not a URL, such as serial:///dev/ttyUSB1, socket://host:port or sim://rtl"
            )
        return cls(url, parts.scheme, parts.netloc + parts.path, tuple(pairs))

    def only(self, *names: str) -> dict[str, str]:
        """Parameters by name.

        Raises
        ------
        TransportError
            If one is not among these names, or comes twice.
        """
        found: dict[str, str] = {}
        for name, value in self.parameters:
            if name not in names:
                known = ", ".join(names) or "none"
                raise TransportError(self.url, f"there is no parameter {name!r} here, only {known}")
            if name in found:
                raise TransportError(self.url, f"parameter {name!r} is given twice")
            found[name] = value
        return found

    def number(self, name: str, text: str, *, low: int, high: int) -> int:
        """Whole number that a parameter must be.

        Raises
        ------
        TransportError
            If it is none, or out of range.
        """
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise TransportError(self.url, f"{name} must be {low}..{high}, not {text!r}")
        return int(text)


def open_transport(url: str) -> Transport:
    """Open the line of a URL.

    Parameters
    ----------
    url : str
        Such as ``serial:///dev/ttyUSB1?baud=3000000``, ``socket://localhost:4321`` or
        ``sim://rtl?config=tiny``.

    Raises
    ------
    TransportError
        If the URL cannot be understood, or the line not be opened.
    """
    address = Address.parse(url)
    known = entry_points(group=TRANSPORTS)
    for entry in known.select(name=address.scheme):
        opener: Callable[[Address], Transport] = entry.load()
        return opener(address)
    schemes = ", ".join(f"{name}://" for name in sorted(known.names)) or "none is installed"
    raise TransportError(url, f"{address.scheme}:// is no kind of line; there are {schemes}")
