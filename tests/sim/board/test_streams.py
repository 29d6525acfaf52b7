"""Streams through the gateware's own link: right under faults, and bound by what is slower."""

from functools import cache

import numpy as np
import pytest

from benchmarks.link import measure
from host.device import Device
from host.runtime import Runtime
from mapping.presets import PRESETS
from sim.board.faults import FaultRates, FaultSource, FaultyTransport
from sim.board.rtl import UartDevice
from sim.board.transport import SimTransport
from tests.host.small import CONFIG, expected, images, program
from tests.sim.board.test_device import make


@cache
def board() -> UartDevice:
    return UartDevice(PRESETS["up5k"], clock_hz=24e6, baud=3_000_000)


@pytest.mark.parametrize("slots", [1, 2])
def test_the_gateware_survives_faults_of_every_kind(slots: int) -> None:
    inputs = images(200)
    simulated = make("rtl")
    faults = FaultSource(FaultRates.parse("all=0.01"), seed=slots)
    device = Device(
        lambda: FaultyTransport(SimTransport(simulated), faults), CONFIG, timeout_s=0.02
    )
    stream = Runtime(device, program(slots)).stream(inputs, reconnects=1000)
    outputs = [output for (output,) in stream]
    assert (np.stack(outputs) == expected(inputs)).all()
    assert len(faults.counts) == 7


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rtl", "uart"])
def test_a_thousand_inferences_on_the_gateware_survive_faults(kind: str) -> None:
    inputs = images(1000)
    simulated = make(kind)
    faults = FaultSource(FaultRates.parse("all=0.01"), seed=7)
    device = Device(
        lambda: FaultyTransport(SimTransport(simulated), faults), CONFIG, timeout_s=0.002
    )
    stream = Runtime(device, program()).stream(inputs, reconnects=1000)
    outputs = [output for (output,) in stream]
    assert (np.stack(outputs) == expected(inputs)).all()


@pytest.mark.parametrize(
    ("network", "bound"),
    [("digits_int8", "line"), ("20 convolutions, 4-bit input", "array")],
)
def test_a_stream_is_bound_by_the_slower_of_line_and_array(network: str, bound: str) -> None:
    share = measure(network, board(), "up5k", images=12)
    assert share.slots == 2
    assert share.bound == bound
    assert max(share.line, share.array) >= 0.95
