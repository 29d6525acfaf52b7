"""The host's end of a line at two pins, with a chip that sends back what it hears."""

from pathlib import Path
from random import Random

import pytest
from amaranth import Signal

from sim.bitstream.simulator import BitstreamSimulator
from sim.bitstream.uart import Uart
from tests.bitstream.build import Design, build, load
from tests.bitstream.designs import module

DELAY = 3


@pytest.fixture(scope="module")
def echo(builds: Path) -> BitstreamSimulator:
    m, clk = module()
    rx, tx = Signal(), Signal()
    line = Signal(DELAY, init=(1 << DELAY) - 1)
    m.d.sync += line.eq((line << 1) | rx)
    m.d.comb += tx.eq(line[-1])
    design = Design(m, clk, {"rx": rx}, {"tx": tx})
    return load(build(design, "hx1k", builds), "hx1k", builds)


@pytest.mark.parametrize("cycles_per_bit", [2, 4, 4.08, 28, 104.17])
def test_bytes_come_back(echo: BitstreamSimulator, cycles_per_bit: float) -> None:
    echo.power_on()
    uart = Uart(echo, "rx", "tx", cycles_per_bit)
    data = Random(1).randbytes(200)

    uart.send(data)
    got = uart.receive(len(data), 1_000_000)

    assert got == data
    assert (uart.sent_bytes, uart.received_bytes, uart.bad_frames) == (200, 200, 0)
    # Frames follow each other without a gap.
    assert echo.cycles <= 10 * cycles_per_bit * len(data) + cycles_per_bit + DELAY + 1


def test_time_ends_before_the_bytes(echo: BitstreamSimulator) -> None:
    echo.power_on()
    uart = Uart(echo, "rx", "tx", 4)
    uart.send(b"abc")

    assert uart.receive(3, 50) == b"a"
    assert uart.receive(2, 1000) == b"bc"
    assert uart.receive(1, 100) == b""


def test_a_bit_takes_two_cycles_at_least(echo: BitstreamSimulator) -> None:
    with pytest.raises(ValueError, match=r"a bit takes at least 2 cycles, not 1\.5"):
        Uart(echo, "rx", "tx", 1.5)
