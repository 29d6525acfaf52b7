"""A simulated board behind real ports: the host's own transports talk to it, and a plain socket."""

import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import serial

from host.device import Device, identify
from host.errors import DisconnectedError
from host.runtime import Runtime
from host.transport import Transport, open_transport
from sim.board.device import ByteDevice, FunctionalDevice
from sim.board.faults import FaultRates, FaultSource, FaultyTransport
from sim.board.server import Server, open_door
from sim.board.transport import SimTransport
from systolic.spec.packets import Command, Deframer, Reply, Request, frame
from tests.cli.conftest import Systolic, systolic
from tests.host.small import CONFIG, expected, images, program
from tests.sim.board.test_device import make

__all__ = ["systolic"]


@contextmanager
def serving(device: ByteDevice, *ports: str, faults: str = "") -> Generator[list[str]]:
    """URLs of a device that is served in the background."""
    source = FaultSource(FaultRates.parse(faults), 1) if faults else None

    def connect() -> Transport:
        line = SimTransport(device)
        return line if source is None else FaultyTransport(line, source)

    with ExitStack() as opened:
        doors = [open_door(port) for port in ports]
        for door in doors:
            opened.callback(door.close)
        server = opened.enter_context(Server(connect, doors))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server.urls
        finally:
            server.stop()
            thread.join()


@pytest.mark.parametrize("port", ["tcp:0", "pty"])
@pytest.mark.parametrize("kind", ["functional", "rtl"])
def test_a_stream_passes_through_a_real_port(port: str, kind: str) -> None:
    inputs = images(20)
    with (
        serving(make(kind), port) as (url,),
        Device.open(url, CONFIG, timeout_s=5.0) as device,
    ):
        outputs = [output for (output,) in Runtime(device, program()).stream(inputs)]
        assert (np.stack(outputs) == expected(inputs)).all()
        assert device.link.statistics.recoveries == 0


def test_the_pins_can_be_served_too() -> None:
    inputs = images(5)
    with (
        serving(make("uart"), "pty") as (url,),
        Device.open(url, CONFIG, timeout_s=5.0) as device,
    ):
        assert device.identity.clock_mhz == 12
        outputs = [output for (output,) in Runtime(device, program()).stream(inputs)]
        assert (np.stack(outputs) == expected(inputs)).all()


def test_one_device_has_several_doors() -> None:
    with serving(FunctionalDevice(CONFIG, clock_mhz=7), "tcp:0", "pty") as urls:
        assert [identify(url).clock_mhz for url in urls] == [7, 7]
        assert [url.partition(":")[0] for url in urls] == ["socket", "serial"]


def test_any_client_can_talk_to_it() -> None:
    """Neither our driver nor its transports: a socket, and pyserial."""
    request = frame(b"") + Request(Command.REGISTERS).encode()
    with serving(FunctionalDevice(CONFIG), "tcp:0", "pty") as (tcp, pty):
        host, port = tcp.removeprefix("socket://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(request)
            answers = [client.recv(100)]
        with serial.Serial(pty.removeprefix("serial://"), 115_200, timeout=5) as client:
            client.write(request)
            answers.append(client.read_until(b"~"))
    for answer in answers:
        (content,) = Deframer().feed(answer)
        assert CONFIG.digest in Reply.decode(content or b"").payload


def test_the_device_stays_when_the_client_goes() -> None:
    with serving(FunctionalDevice(CONFIG), "tcp:0") as (url,):
        with Device.open(url, CONFIG) as device:
            device.write(9, bytes(range(CONFIG.word_bytes)))
        with Device.open(url, CONFIG) as device:
            assert device.read(9, 1) == bytes(range(CONFIG.word_bytes))


def test_a_second_client_is_sent_away() -> None:
    with (
        serving(FunctionalDevice(CONFIG), "tcp:0") as (url,),
        Device.open(url, CONFIG) as first,
    ):
        with (
            open_transport(url) as second,
            pytest.raises(DisconnectedError, match=r"has closed|is gone"),
        ):
            second.read(5.0)
        assert first.registers().cycles == 0


@pytest.mark.parametrize("port", ["tcp:0", "pty"])
def test_faults_of_a_served_line_are_survived(port: str) -> None:
    inputs = images(40)
    faults = "all=0.01,disconnect=0.005" if port == "tcp:0" else "all=0.01,disconnect=0"
    with (
        serving(FunctionalDevice(CONFIG), port, faults=faults) as (url,),
        Device.open(url, CONFIG, timeout_s=0.05, attempts=20) as device,
    ):
        stream = Runtime(device, program()).stream(inputs, reconnects=100)
        outputs = [output for (output,) in stream]
        assert (np.stack(outputs) == expected(inputs)).all()


@pytest.mark.parametrize("text", ["udp:1", "tcp", "tcp:http", "tcp:70000", "pty:1", ""])
def test_an_impossible_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="port must be tcp:NUMBER"):
        open_door(text)


def test_serve_offers_a_board_that_run_uses(systolic: Systolic, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from mapping.cli.main import main; main()", "serve"]
    options = ["--port", "tcp:0", "--port", "pty", "--config", "tiny", "--simulator", "functional"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for _ in range(2):
                url = process.stdout.readline().split()[-1]
                outcome = systolic("run", "digits", "--device", url, "--images", "3")
                assert outcome.status == 0, outcome.err
                assert "30 compared with the reference, 0 differ" in outcome.out
        finally:
            process.terminate()


def test_serve_refuses_what_it_cannot_do(systolic: Systolic) -> None:
    quick = ("serve", "--simulator", "functional")
    systolic(*quick, "--port", "usb").assert_fails(2, "tcp:NUMBER")
    systolic(*quick, "--faults", "fire=1").assert_fails(1, "'fire' is no fault")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"tcp:{taken.getsockname()[1]}"
        systolic(*quick, "--port", port).assert_fails(1, "in use: choose another port")
