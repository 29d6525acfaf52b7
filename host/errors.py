"""What can go wrong between a host and a device; every message is one line, every error has data.

::

    DeviceError
        TransportError           the line: a URL that cannot be understood or opened
            DisconnectedError    it was open, and is gone
        DeviceTimeoutError       no answer in time
        ProtocolError            an answer that no accelerator gives
            IdentityError        what is at the other end is not one
        ConfigMismatchError      it is one, but not for this program
        BoardMismatchError       it is one, but on another board
        StateLostError           it was reset while it was worked with
        ProgramFailedError       it met an illegal instruction
        CounterError             it took other than the predicted cycles
"""

__all__ = [
    "BoardMismatchError",
    "ConfigMismatchError",
    "CounterError",
    "DeviceError",
    "DeviceTimeoutError",
    "DisconnectedError",
    "IdentityError",
    "ProgramFailedError",
    "ProtocolError",
    "StateLostError",
    "TransportError",
]


class DeviceError(Exception):
    """Anything that goes wrong with a device."""


class TransportError(DeviceError):
    """A line that cannot be opened.

    Parameters
    ----------
    url : str
        Which line.
    reason : str
        What is wrong with it, and the way out.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url, self.reason = url, reason


class DisconnectedError(TransportError):
    """A line that was open and is gone: unplugged, or closed by the other end."""


class DeviceTimeoutError(DeviceError, TimeoutError):
    """A device that does not answer in time.

    Parameters
    ----------
    url : str
        Which line.
    what : str
        What was waited for.
    timeout_s : float
        How long, each time.
    attempts : int
        How often.
    """

    def __init__(self, url: str, what: str, timeout_s: float, attempts: int) -> None:
        super().__init__(f"{url}: {what} in {attempts} attempts of {timeout_s:g} s")
        self.url, self.what, self.timeout_s, self.attempts = url, what, timeout_s, attempts


class ProtocolError(DeviceError):
    """An answer that no accelerator gives.

    Parameters
    ----------
    url : str
        Which line.
    reason : str
        What is wrong.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url, self.reason = url, reason


class IdentityError(ProtocolError):
    """Something other than an accelerator, or one of another version of the protocol."""


class ConfigMismatchError(DeviceError):
    """An accelerator of another configuration than is wanted.

    Parameters
    ----------
    url : str
        Which line.
    wanted, found : bytes
        Digests, 8 bytes each.
    """

    def __init__(self, url: str, wanted: bytes, found: bytes) -> None:
        super().__init__(
            f"{url}: the device was built for another configuration (digest {found.hex()}) than "
            f"the program ({wanted.hex()}): compile the network for it, or build the bitstream anew"
        )
        self.url, self.wanted, self.found = url, wanted, found


class BoardMismatchError(DeviceError):
    """An accelerator on another board than is wanted.

    Parameters
    ----------
    url : str
        Which line.
    wanted, found : str
        Names of the boards.
    """

    def __init__(self, url: str, wanted: str, found: str) -> None:
        super().__init__(f"{url}: the device runs a bitstream for {found}, not for {wanted}")
        self.url, self.wanted, self.found = url, wanted, found


class StateLostError(DeviceError):
    """A device that was reset, or used by somebody else, while it was worked with.

    Parameters
    ----------
    url : str
        Which line.
    expected : int
        Sequence number that the device expects.
    first, count : int
        The sequence numbers that it could expect: ``count + 1`` of them from ``first`` on.
    """

    def __init__(self, url: str, expected: int, first: int, count: int) -> None:
        super().__init__(
            f"{url}: the device was reset meanwhile (it expects request {expected}, "
            f"which must be one of {first}..{(first + count) % 256}): load the program again"
        )
        self.url, self.expected, self.first, self.count = url, expected, first, count


class ProgramFailedError(DeviceError):
    """A program that stopped at an illegal instruction.

    Parameters
    ----------
    url : str
        Which line.
    addr : int
        Word at which it was started.
    """

    def __init__(self, url: str, addr: int) -> None:
        super().__init__(f"{url}: the program at word {addr} met an illegal instruction")
        self.url, self.addr = url, addr


class CounterError(DeviceError):
    """Runs that did not take the predicted cycles.

    Parameters
    ----------
    url : str
        Which line.
    runs : int
        How many runs were counted.
    predicted, counted : tuple of int
        Cycles and busy cycles, modulo ``2**COUNTER_BITS``.
    """

    def __init__(
        self, url: str, runs: int, predicted: tuple[int, int], counted: tuple[int, int]
    ) -> None:
        super().__init__(
            f"{url}: {runs} run(s) took {counted[0]} cycles, {counted[1]} of them busy, "
            f"not {predicted[0]} and {predicted[1]}"
        )
        self.url, self.runs, self.predicted, self.counted = url, runs, predicted, counted
