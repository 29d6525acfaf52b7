"""Serial ports: pseudo-terminals stand for them."""

import os
import pty
import tty
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
import serial

from host.errors import DisconnectedError, TransportError
from host.transport import Transport, open_transport


@dataclass
class Terminal:
    board: int
    url: str


@pytest.fixture
def terminal() -> Generator[Terminal]:
    board, port = pty.openpty()
    tty.setraw(port)
    name = os.ttyname(port)
    os.close(port)
    made = Terminal(board, f"serial://{name}?baud=115200")
    yield made
    if made.board >= 0:
        os.close(made.board)


def unplug(terminal: Terminal) -> None:
    os.close(terminal.board)
    terminal.board = -1


def read_all(line: Transport, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += line.read(1.0)
    return data


def test_bytes_pass_both_ways(terminal: Terminal) -> None:
    every_byte = bytes(range(256))
    with open_transport(terminal.url) as line:
        line.write(every_byte)
        assert os.read(terminal.board, 1000) == every_byte
        os.write(terminal.board, every_byte)
        assert read_all(line, 256) == every_byte


def test_silence_is_no_error(terminal: Terminal) -> None:
    with open_transport(terminal.url) as line:
        assert line.read(0.01) == b""


def test_unplugging_is_noticed_when_reading_and_when_writing(terminal: Terminal) -> None:
    with open_transport(terminal.url) as line:
        unplug(terminal)
        with pytest.raises(DisconnectedError, match="the port is gone"):
            line.read(1.0)
        with pytest.raises(DisconnectedError, match="the port is gone"):
            line.write(b"x")


def test_a_closed_line_is_no_line(terminal: Terminal) -> None:
    line = open_transport(terminal.url)
    line.close()
    line.close()
    with pytest.raises(DisconnectedError):
        line.read(0.01)
    with pytest.raises(DisconnectedError):
        line.write(b"x")


def test_a_missing_port_is_said_to_be_missing() -> None:
    with pytest.raises(TransportError, match="there is no port /dev/ttyS99: is the board plugged"):
        open_transport("serial:///dev/ttyS99")


def test_a_busy_port_is_said_to_be_in_use(terminal: Terminal) -> None:
    with (
        open_transport(terminal.url),
        pytest.raises(TransportError, match="is in use by another program"),
    ):
        open_transport(terminal.url)


def test_a_file_is_no_port(tmp_path: Path) -> None:
    path = tmp_path / "port"
    path.touch()
    with pytest.raises(TransportError, match="is not a serial port"):
        open_transport(f"serial://{path}")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), "no permission to use /dev/x: join the group"),
        (ValueError("Invalid baud rate"), "cannot open /dev/x at 3000000 baud"),
        (OSError(16, "Device or resource busy"), "/dev/x is in use by another program"),
        (serial.SerialException(13, "could not open port"), "no permission to use /dev/x"),
    ],
)
def test_why_a_port_cannot_be_opened_is_said(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(TransportError) as refusal:
        open_transport("serial:///dev/x")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
