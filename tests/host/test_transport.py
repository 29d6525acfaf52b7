"""URLs: what they lead to, and how wrong ones are refused."""

import pytest

from host.errors import TransportError
from host.transport import Address, open_transport
from sim.board.device import FunctionalDevice
from sim.board.faults import FaultyTransport
from sim.board.transport import SimTransport


def test_a_url_is_taken_apart() -> None:
    address = Address.parse("serial:///dev/ttyUSB1?baud=3000000")
    assert (address.scheme, address.place) == ("serial", "/dev/ttyUSB1")
    assert address.only("baud") == {"baud": "3000000"}
    assert Address.parse("serial://COM3").place == "COM3"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/dev/ttyUSB1", "not a URL"),
        ("", "not a URL"),
        ("serial://[", "not a URL"),
        ("carrier-pigeon://roof", "no kind of line; there are serial://, sim://, socket://"),
        ("serial://", "the port is missing"),
        ("serial:///dev/ttyS99?baud=fast", "baud must be 1..12000000, not 'fast'"),
        ("serial:///dev/ttyS99?baud=0", "baud must be 1..12000000, not '0'"),
        ("serial:///dev/ttyS99?baud=9600&baud=9600", "given twice"),
        ("serial:///dev/ttyS99?parity=odd", "no parameter 'parity' here, only baud"),
        ("serial:///dev/ttyS99?baud", "not a URL"),
        ("socket://localhost", "must be socket://HOST:PORT"),
        ("socket://localhost:http", "port must be 1..65535, not 'http'"),
        ("socket://localhost:70000", "port must be 1..65535, not '70000'"),
        ("sim://verilog", "must be sim:// and functional or rtl"),
        ("sim://functional?config=nothing", "neither a preset"),
        ("sim://functional?faults=gremlins=1", "'gremlins' is no fault"),
        ("sim://functional?faults=drop=often", "must be a number, not 'often'"),
        ("sim://functional?faults=all=0.5", "at most 1 together"),
        ("sim://functional?seed=-1", "seed must be 0..4294967295, not '-1'"),
    ],
)
def test_a_wrong_url_is_refused_in_one_line(url: str, message: str) -> None:
    with pytest.raises(TransportError) as refusal:
        open_transport(url)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.url == url


def test_simulated_devices_are_lines() -> None:
    with open_transport("sim://functional?config=tiny") as line:
        assert isinstance(line, SimTransport)
        assert isinstance(line.device, FunctionalDevice)
    assert isinstance(open_transport("sim://functional?faults=all=0.01&seed=3"), FaultyTransport)
