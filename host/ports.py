"""Serial ports that boards may be on, found by the USB ids of their bridges."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from serial.tools import list_ports

from host.errors import TransportError
from systolic.spec.boards import Board, all_boards

__all__ = ["Port", "board_url", "candidates", "list_usb_ports", "port_url"]

NO_INTERFACE: Final = -1


@dataclass(frozen=True)
class Port:
    """A serial port of a USB device.

    Parameters
    ----------
    name : str
        Device file, or name such as ``COM3``.
    vendor, product : int
        USB ids of the bridge.
    interface : int
        Which of the bridge's ports, counted from 0; -1 if it has only one.
    title : str
        What the bridge calls itself.
    serial_number : str
        The bridge's, or nothing.
    """

    name: str
    vendor: int
    product: int
    interface: int = NO_INTERFACE
    title: str = ""
    serial_number: str = ""


def list_usb_ports() -> list[Port]:
    """Serial ports of all USB devices that are plugged in, by name."""
    return number_interfaces(list_ports.comports())


def number_interfaces(infos: Iterable[Any]) -> list[Port]:
    """Ports of what pyserial lists; those of one bridge are counted.

    Parameters
    ----------
    infos : iterable of serial.tools.list_ports_common.ListPortInfo
        Ports; those that are not on USB are left out.
    """
    bridges: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for info in sorted(infos, key=lambda info: str(info.device)):
        if info.vid is not None:
            # A location is "1-2:1.0": the socket, and behind the colon the interface.
            place = str(info.location or "").partition(":")[0]
            bridges[info.vid, info.pid, info.serial_number, place].append(info)
    return [
        Port(
            name=str(info.device),
            vendor=info.vid,
            product=info.pid,
            interface=_interface(info, index) if _has_several(ports) else NO_INTERFACE,
            title=str(info.product or info.description or ""),
            serial_number=str(info.serial_number or ""),
        )
        for ports in bridges.values()
        for index, info in enumerate(ports)
    ]


def candidates(port: Port) -> list[Board]:
    """Boards that have such a port; only the device itself knows which of them it is."""
    return [
        board
        for board in all_boards()
        if (board.uart.usb_vendor, board.uart.usb_product) == (port.vendor, port.product)
        and (board.uart.usb_interface is None or port.interface in (board.uart.usb_interface, -1))
    ]


def port_url(port: Port, board: Board) -> str:
    """URL by which a board on a port is opened."""
    return f"serial://{port.name}?baud={board.uart.baud}"


def board_url(board: Board, ports: Iterable[Port]) -> str:
    """URL of the only port that a board can be on.

    Raises
    ------
    TransportError
        If there is none, or more than one.
    """
    found = [port for port in ports if board in candidates(port)]
    ids = f"{board.uart.usb_vendor:04x}:{board.uart.usb_product:04x}"
    if not found:
        raise TransportError(
            board.name,
            f"no port with its USB ids ({ids}) is there: is it plugged in, and may you use it?",
        )
    if len(found) > 1:
        names = ", ".join(port_url(port, board) for port in found)
        raise TransportError(
            board.name, f"{len(found)} ports have its USB ids ({ids}): choose by --device: {names}"
        )
    return port_url(found[0], board)


def _has_several(ports: list[Any]) -> bool:
    return len(ports) > 1 or ":" in str(ports[0].location or "")


def _interface(info: Any, index: int) -> int:
    """Interface as the system tells it (Linux), or by the order of names."""
    text = str(info.location or "").partition(":")[2].rpartition(".")[2]
    return int(text) if text.isdigit() else index
