"""Faults: each does what it says, as often as it is told to."""

import pytest

from host.errors import DisconnectedError
from host.transport import Transport
from sim.board.faults import DELAY_READS, FaultRates, FaultSource, FaultyTransport
from tests.host.scripted import ScriptedFaults

PACKET = b"0123456789~"


class Pipe(Transport):
    """What is written comes back."""

    def __init__(self) -> None:
        super().__init__("pipe://")
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def read(self, timeout_s: float) -> bytes:
        data, self.data = self.data, b""
        return data

    def close(self) -> None:
        pass


def sent(kind: str, packets: int = 3) -> bytes:
    """What arrives of some packets of which the second meets a fault."""
    pipe = Pipe()
    line = FaultyTransport(pipe, ScriptedFaults({1: kind}, seed=1))
    for _ in range(packets):
        line.write(PACKET)
    return pipe.data


def test_nothing_happens_without_a_fault() -> None:
    assert sent("none") == 3 * PACKET


def test_a_packet_is_dropped() -> None:
    assert sent("drop") == 2 * PACKET


def test_a_bit_is_flipped() -> None:
    arrived = sent("flip")
    differing = [a ^ b for a, b in zip(arrived, 3 * PACKET, strict=True)]
    assert sum(value.bit_count() for value in differing) == 1
    assert any(differing[len(PACKET) : 2 * len(PACKET)])


def test_a_packet_is_duplicated() -> None:
    assert sent("duplicate") == 4 * PACKET


def test_a_packet_is_cut() -> None:
    arrived = sent("truncate")
    assert len(arrived) < 3 * len(PACKET)
    assert arrived.startswith(PACKET)
    assert arrived.endswith(PACKET)


def test_a_packet_is_late_with_all_that_follows_but_in_order() -> None:
    pipe = Pipe()
    line = FaultyTransport(pipe, ScriptedFaults({1: "delay"}))
    for letter in (b"a~", b"b~", b"c~"):
        line.write(letter)
    assert line.read(0) == b"a~"
    for _ in range(DELAY_READS):
        assert line.read(0) == b""
    assert line.read(0) == b"b~c~"


def test_a_broken_line_stays_broken() -> None:
    pipe = Pipe()
    line = FaultyTransport(pipe, ScriptedFaults({1: "disconnect"}))
    line.write(PACKET)
    with pytest.raises(DisconnectedError, match="by a simulated fault"):
        line.write(PACKET)
    with pytest.raises(DisconnectedError):
        line.read(0)
    assert pipe.data == PACKET


def test_packets_that_come_in_parts_are_one_packet() -> None:
    pipe = Pipe()
    line = FaultyTransport(pipe, ScriptedFaults({0: "drop"}))
    for index in range(len(PACKET)):
        line.write(PACKET[index : index + 1])
    line.write(PACKET)
    assert pipe.data == PACKET


def test_rates_are_met_and_seeds_repeat() -> None:
    rates = FaultRates.parse("drop=0.1,flip=0.2")
    source, again = FaultSource(rates, 5), FaultSource(rates, 5)
    assert [source.draw() for _ in range(1000)] == [again.draw() for _ in range(1000)]
    assert 60 < source.counts["drop"] < 140
    assert 140 < source.counts["flip"] < 260
    assert source.counts["delay"] == 0


def test_all_is_each_of_them() -> None:
    assert set(FaultRates.parse("all=0.01").by_name.values()) == {0.01}
    assert FaultRates.parse("all=0.01,drop=0.05").drop == 0.05


@pytest.mark.parametrize("text", ["all=0.2", "drop=-0.1", "drop=2", "drop", "", "drop=x", "fire=1"])
def test_impossible_rates_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate|no fault"):
        FaultRates.parse(text)
