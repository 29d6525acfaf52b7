"""Faults on a line, at given rates and from a seed: what USB cables and their users do.

:class:`FaultyTransport` stands before any line. Both directions are cut into packets at the frames'
flags; each packet meets at most one fault:

============ ======================================================================
drop         the packet is lost
flip         one bit of it is inverted
duplicate    it comes twice
delay        it comes late, with all that follows it: after two reads that give nothing
truncate     its end is lost, from a random byte on
disconnect   the line breaks, with all that is on it; it has to be opened again
============ ======================================================================
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from random import Random
from typing import Final

from host.errors import DisconnectedError
from host.transport import Transport
from systolic.spec.packets import FLAG

__all__ = ["FaultRates", "FaultSource", "FaultyTransport"]

DELAY_READS: Final = 2


@dataclass(frozen=True)
class FaultRates:
    """Probability of each fault, per packet.

    Parameters
    ----------
    drop, flip, duplicate, delay, truncate, disconnect : float
        0 .. 1; together at most 1.

    Raises
    ------
    ValueError
        If they are not.
    """

    drop: float = 0.0
    flip: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    truncate: float = 0.0
    disconnect: float = 0.0

    def __post_init__(self) -> None:
        rates = self.by_name
        if min(rates.values()) < 0 or sum(rates.values()) > 1 + 1e-9:
            raise ValueError(f"rates of faults must be 0 or more and at most 1 together: {self}")

    @property
    def by_name(self) -> Mapping[str, float]:
        """Rates by the names of the faults."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def parse(cls, text: str) -> "FaultRates":
        """Rates of a text such as ``drop=0.01,flip=0.002``; ``all=0.01`` is each of them.

        Raises
        ------
        ValueError
            If it names no fault, or a rate is no number.
        """
        names = [item.name for item in fields(cls)]
        rates: dict[str, float] = {}
        for part in text.split(","):
            name, _, rate = part.partition("=")
            if name not in (*names, "all"):
                raise ValueError(f"{name!r} is no fault: {', '.join(names)} or all")
            try:
                value = float(rate)
            except ValueError:
                raise ValueError(f"the rate of {name} must be a number, not {rate!r}") from None
            rates |= dict.fromkeys(names, value) if name == "all" else {name: value}
        return cls(**rates)


class FaultSource:
    """Draws the faults; it outlives the lines that they break.

    Parameters
    ----------
    rates : FaultRates
        How likely.
    seed : int
        The same seed gives the same faults for the same packets.

    Attributes
    ----------
    counts : Counter of str
        Packets by what they met; ``none`` where it was nothing.
    """

    def __init__(self, rates: FaultRates, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.random = Random(seed)
        self._names = ("none", *rates.by_name)
        self._weights = (1 - sum(rates.by_name.values()), *rates.by_name.values())

    def draw(self) -> str:
        """What the next packet meets."""
        (name,) = self.random.choices(self._names, self._weights)
        self.counts[name] += 1
        return name


class FaultyTransport(Transport):
    """A line that damages what passes.

    Parameters
    ----------
    line : Transport
        The line itself.
    faults : FaultSource
        What to do to it.
    """

    def __init__(self, line: Transport, faults: FaultSource) -> None:
        super().__init__(line.url)
        self._line, self._faults = line, faults
        self._out = Direction(faults)
        self._in = Direction(faults)
        self._is_open = True

    def write(self, data: bytes) -> None:
        """Send bytes, or some of them, or more."""
        self._line.write(self._pass(self._out, data))

    def read(self, timeout_s: float) -> bytes:
        """Bytes that have come, whatever became of them."""
        while self._is_open:
            data = self._line.read(timeout_s)
            if not data:
                # Time has passed: what was held back may go on.
                late = self._out.wait()
                if late:
                    self._line.write(late)
                return self._in.wait()
            passed = self._pass(self._in, data)
            if passed:
                return passed
        raise DisconnectedError(self.url, "the line was broken, by a simulated fault")

    def close(self) -> None:
        """Close the line."""
        self._is_open = False
        self._line.close()

    def _pass(self, direction: "Direction", data: bytes) -> bytes:
        if self._is_open:
            passed = direction.feed(data)
            if passed is not None:
                return passed
            self.close()
        raise DisconnectedError(self.url, "the line was broken, by a simulated fault")


class Direction:
    """One direction of a line.

    Parameters
    ----------
    faults : FaultSource
        What to do to its packets.
    """

    def __init__(self, faults: FaultSource) -> None:
        self._faults = faults
        self._part = b""  # of a packet whose end has not come
        self._held = b""
        self._wait_reads = 0
        random = faults.random
        self._actions: Mapping[str, Callable[[bytes], bytes]] = {
            "none": lambda packet: packet,
            "drop": lambda _: b"",
            "flip": self._flip,
            "duplicate": lambda packet: 2 * packet,
            "delay": self._delay,
            "truncate": lambda packet: packet[: random.randrange(len(packet))],
        }

    def feed(self, data: bytes) -> bytes | None:
        """What passes of these bytes; None if the line breaks."""
        *packets, self._part = (self._part + data).split(bytes([FLAG]))
        passed = b""
        for packet in packets:
            fault = self._faults.draw() if packet else "none"
            if fault == "disconnect":
                return None
            passed += self._actions[fault](packet + bytes([FLAG]))
        if self._wait_reads:
            self._held += passed
            return b""
        return passed

    def wait(self) -> bytes:
        """What was held back long enough, when a read has given nothing."""
        self._wait_reads = max(0, self._wait_reads - 1)
        late = b"" if self._wait_reads else self._held
        self._held = b"" if not self._wait_reads else self._held
        return late

    def _flip(self, packet: bytes) -> bytes:
        damaged = bytearray(packet)
        damaged[self._faults.random.randrange(len(packet))] ^= 1 << self._faults.random.randrange(8)
        return bytes(damaged)

    def _delay(self, packet: bytes) -> bytes:
        self._wait_reads = DELAY_READS
        return packet
