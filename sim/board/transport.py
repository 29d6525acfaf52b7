"""``sim://``: simulated devices within this process, as lines to the host.

``sim://functional`` is the device in Python, ``sim://rtl`` the gateware, compiled. Parameters:
``config`` (a preset's name or a JSON file); ``faults`` and ``seed``, such as
``sim://rtl?config=tiny&faults=all=0.01&seed=7`` (see :mod:`sim.board.faults`). A line that is
opened leads to a device that has just been switched on.
"""

from typing import Final, Literal, get_args

import click

from host.errors import TransportError
from host.transport import Address, Transport
from mapping.cli.failure import Failure
from mapping.cli.subject import load_config
from mapping.presets import DEFAULT_PRESET
from sim.board.device import ByteDevice, FunctionalDevice
from sim.board.faults import FaultRates, FaultSource, FaultyTransport
from systolic.spec.config import ArrayConfig

__all__ = ["DeviceKind", "SimTransport", "make_device", "open_sim"]

DeviceKind = Literal["functional", "rtl"]

MAX_SEED: Final = (1 << 32) - 1


class SimTransport(Transport):
    """A line to a device in this process; it gives up waiting as soon as nothing can come.

    Parameters
    ----------
    device : ByteDevice
        The other end.
    url : str
        For messages.
    """

    def __init__(self, device: ByteDevice, url: str = "sim://") -> None:
        super().__init__(url)
        self.device = device

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.device.send(data)

    def read(self, timeout_s: float) -> bytes:
        """Bytes that have come; the timeout is in simulated time."""
        return self.device.receive(timeout_s)

    def close(self) -> None:
        """Do nothing: the device goes with its last user."""


def make_device(kind: DeviceKind, config: ArrayConfig) -> ByteDevice:
    """Device of a kind, switched on.

    Raises
    ------
    sim.compiled.CompilerError, sim.compiled.YosysError
        If the gateware cannot be compiled.
    """
    if kind == "functional":
        return FunctionalDevice(config)
    from sim.board.rtl import RtlDevice  # noqa: PLC0415 - Amaranth, which the other does without

    return RtlDevice(config)


def open_sim(address: Address) -> Transport:
    """Open ``sim://functional`` or ``sim://rtl``.

    Raises
    ------
    TransportError
        If the URL is wrong.
    """
    values = address.only("config", "faults", "seed")
    if address.place not in get_args(DeviceKind):
        raise TransportError(address.url, f"must be sim:// and {' or '.join(get_args(DeviceKind))}")
    seed = address.number("seed", values.get("seed", "0"), low=0, high=MAX_SEED)
    try:
        config = load_config(values.get("config", DEFAULT_PRESET))
        rates = FaultRates.parse(values["faults"]) if "faults" in values else None
    except click.UsageError as error:
        raise TransportError(address.url, error.format_message()) from None
    except (Failure, ValueError) as error:
        raise TransportError(address.url, str(error)) from None
    kind: DeviceKind = "rtl" if address.place == "rtl" else "functional"
    line = SimTransport(make_device(kind, config), address.url)
    return line if rates is None else FaultyTransport(line, FaultSource(rates, seed))
