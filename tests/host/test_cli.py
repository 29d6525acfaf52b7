"""devices, and run on a device: what is shown, and how each failure is one line."""

import pytest

from host import cli
from host.ports import Port
from tests.cli.conftest import Systolic, systolic

__all__ = ["systolic"]

TINY = "sim://functional?config=tiny"
BREAKER = Port("/dev/ttyUSB1", 0x0403, 0x6010, 1, "iCEBreaker V1.0e", "ib7")


@pytest.fixture
def no_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "list_usb_ports", list)
    monkeypatch.setattr("sim.board.run.list_usb_ports", list)


def test_ports_of_known_boards_are_listed(
    systolic: Systolic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "list_usb_ports", lambda: [BREAKER, Port("/dev/mouse", 1, 2)])
    outcome = systolic("devices")
    assert outcome.status == 0
    assert "serial:///dev/ttyUSB1?baud=3000000" in outcome.out
    assert "/dev/ttyUSB1: USB 0403:6010 iCEBreaker V1.0e ib7\n" in outcome.out
    assert "icebreaker, hx8k-b-evn" in outcome.out
    assert "/dev/mouse" not in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_ports_are_asked_who_is_there(systolic: Systolic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "list_usb_ports", lambda: [BREAKER])
    monkeypatch.setattr(cli, "port_url", lambda *_: TINY)
    outcome = systolic("devices", "--identify")
    assert outcome.status == 0
    assert "no board, clock not known, configuration" in outcome.out
    assert "(tiny)" in outcome.out


def test_urls_are_asked(systolic: Systolic) -> None:
    outcome = systolic("devices", TINY)
    assert outcome.status == 0
    assert "(tiny)" in outcome.out
    outcome = systolic("devices", TINY, "serial:///dev/ttyS99")
    assert outcome.status == 1
    assert "there is no port /dev/ttyS99" in outcome.out
    assert outcome.err == "systolic: 1 of 2 did not answer as an accelerator\n"


@pytest.mark.usefixtures("no_ports")
def test_no_port_is_said(systolic: Systolic) -> None:
    systolic("devices").assert_fails(1, "no port of a known board", "0403:6010")
    systolic("run", "digits", "--board", "icebreaker").assert_fails(
        1, "icebreaker: no port with its USB ids (0403:6010)"
    )


def test_a_network_runs_on_a_device(systolic: Systolic) -> None:
    outcome = systolic("run", "digits", "--device", TINY, "--images", "10")
    assert outcome.status == 0
    assert f"digits_int8 on 8x4 w8 d2, {TINY}" in outcome.out
    assert "100 compared with the reference, 0 differ" in outcome.out
    assert "as predicted, in every layer of every image" in outcome.out
    assert "streamed   10 images" in outcome.out


def test_a_network_runs_on_a_device_that_loses_packets(systolic: Systolic) -> None:
    url = f"{TINY}&faults=drop=0.01,flip=0.01&seed=4"
    outcome = systolic("run", "digits", "--device", url, "--images", "10", "--config", "tiny")
    assert outcome.status == 0
    assert "100 compared with the reference, 0 differ" in outcome.out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--device", "/dev/ttyUSB1"), 1, "not a URL"),
        (("--device", "serial:///dev/ttyS99"), 1, "there is no port /dev/ttyS99"),
        (("--device", TINY, "--config", "up5k"), 1, "built for another configuration"),
        (("--device", TINY, "--board", "icebreaker"), 1, "for no board, not for icebreaker"),
        (("--board", "icebraker"), 2, "there is no board 'icebraker': perhaps icebreaker"),
        (("--device", TINY, "--simulator", "rtl"), 2, "--simulator and --vcd are for runs without"),
        (("--device", TINY, "--timeout", "0"), 2, "--timeout"),
    ],
)
def test_what_cannot_be_run_is_refused(
    systolic: Systolic, words: tuple[str, ...], status: int, message: str
) -> None:
    systolic("run", "digits", *words).assert_fails(status, message)


def test_an_unknown_configuration_has_to_be_named(
    systolic: Systolic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.board.run.PRESETS", {})
    monkeypatch.setattr("sim.board.run.all_boards", tuple)
    systolic("run", "digits", "--device", TINY).assert_fails(1, "not known here", "--config")
