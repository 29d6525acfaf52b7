"""Ports: which of them a board may be on."""

from dataclasses import dataclass

import pytest

from host.errors import TransportError
from host.ports import Port, board_url, candidates, number_interfaces, port_url
from systolic.spec.boards import board_named


@dataclass
class Listed:
    """What pyserial tells of a port."""

    device: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None
    location: str | None = None
    product: str | None = None
    description: str | None = None


BREAKER = Port("/dev/ttyUSB1", 0x0403, 0x6010, 1, "iCEBreaker V1.0e", "ib7")


def names(port: Port) -> set[str]:
    return {board.name for board in candidates(port)}


def test_interfaces_are_what_linux_says() -> None:
    listed = [
        Listed("/dev/ttyUSB1", 0x0403, 0x6010, "ib7", "1-2:1.1", "iCEBreaker V1.0e"),
        Listed("/dev/ttyUSB0", 0x0403, 0x6010, "ib7", "1-2:1.0", "iCEBreaker V1.0e"),
        Listed("/dev/ttyS0"),
    ]
    assert number_interfaces(listed) == [
        Port("/dev/ttyUSB0", 0x0403, 0x6010, 0, "iCEBreaker V1.0e", "ib7"),
        BREAKER,
    ]


def test_a_second_interface_is_known_even_if_the_first_is_bound_to_nothing() -> None:
    (port,) = number_interfaces([Listed("/dev/ttyUSB0", 0x0403, 0x6010, "ib7", "1-2:1.1")])
    assert port.interface == 1


def test_elsewhere_interfaces_are_counted_by_name() -> None:
    listed = [
        Listed("/dev/cu.usbserial-ib71", 0x0403, 0x6010, "ib7", "20-2"),
        Listed("/dev/cu.usbserial-ib70", 0x0403, 0x6010, "ib7", "20-2"),
        Listed("/dev/cu.usbmodem3", 0x1D50, 0x602B, "07", "20-3", description="iCELink"),
    ]
    assert [(port.interface, port.title) for port in number_interfaces(listed)] == [
        (-1, "iCELink"), (0, ""), (1, ""),
    ]  # fmt: skip


def test_two_boards_of_a_kind_are_two_bridges() -> None:
    listed = [
        Listed(f"/dev/ttyUSB{index}", 0x0403, 0x6010, None, f"1-{2 + index // 2}:1.{index % 2}")
        for index in range(4)
    ]
    assert [port.interface for port in number_interfaces(listed)] == [0, 1, 0, 1]


def test_the_first_interface_of_an_ftdi_is_the_flash_not_the_port() -> None:
    assert "icebreaker" in names(BREAKER)
    assert names(Port("/dev/ttyUSB0", 0x0403, 0x6010, 0)) == set()
    assert "hx8k-b-evn" in names(Port("/dev/ttyUSB0", 0x0403, 0x6010))


def test_ids_tell_boards_apart() -> None:
    assert names(Port("x", 0x1D50, 0x602B)) == {"icesugar"}
    assert names(Port("x", 0x0403, 0x6014)) == {"upduino-v3"}
    assert "ulx3s-85f" in names(Port("x", 0x0403, 0x6015))
    assert names(Port("x", 0x1234, 0x5678)) == set()


def test_a_board_is_found_at_its_only_port() -> None:
    board = board_named("icebreaker")
    others = [Port("/dev/ttyACM0", 0x1D50, 0x602B), Port("/dev/ttyUSB0", 0x0403, 0x6010, 0)]
    assert board_url(board, [*others, BREAKER]) == "serial:///dev/ttyUSB1?baud=3000000"
    assert port_url(BREAKER, board) == "serial:///dev/ttyUSB1?baud=3000000"


def test_no_port_and_several_ports_are_said() -> None:
    board = board_named("icebreaker")
    with pytest.raises(TransportError, match=r"no port with its USB ids \(0403:6010\) is there"):
        board_url(board, [])
    other = Port("/dev/ttyUSB3", 0x0403, 0x6010, 1)
    with pytest.raises(TransportError, match=r"2 ports have its USB ids.*--device.*ttyUSB3"):
        board_url(board, [BREAKER, other])
