"""TCP lines."""

import socket

import pytest

from host.errors import DisconnectedError, TransportError
from host.transport import open_transport


def test_bytes_pass_both_ways_until_the_other_end_closes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with open_transport(f"socket://127.0.0.1:{server.getsockname()[1]}") as line:
            client, _ = server.accept()
            line.write(b"to the board")
            assert client.recv(100) == b"to the board"
            client.sendall(b"and back")
            assert line.read(1.0) == b"and back"
            assert line.read(0.01) == b""
            client.close()
            with pytest.raises(DisconnectedError, match="has closed the connection"):
                line.read(1.0)
        line.close()
        with pytest.raises(DisconnectedError):
            line.write(b"x")


def test_nobody_there_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(TransportError, match=r"connection refused.*does systolic serve run there"):
        open_transport(url)
