"""Streams: every output, in order, whatever happens."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from host.check import check_network
from host.device import Device
from host.errors import (
    ConfigMismatchError,
    CounterError,
    DisconnectedError,
    ProgramFailedError,
    StateLostError,
)
from host.runtime import Runtime
from mapping.compiler import compile_network
from mapping.presets import PRESETS
from sim.board.device import FunctionalDevice
from sim.board.faults import FaultRates, FaultSource, FaultyTransport
from sim.board.transport import SimTransport
from systolic.spec.packets import ABORT, FLAG, Command
from tests.host.scripted import ScriptedFaults
from tests.host.small import CONFIG, SHAPE, connect, expected, graph, images, program


@pytest.fixture
def simulated() -> FunctionalDevice:
    return FunctionalDevice(CONFIG)


def collect(stream: Iterator[tuple[NDArray[np.int64], ...]]) -> NDArray[np.int64]:
    return np.stack([output for (output,) in stream])


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_outputs_come_in_order(simulated: FunctionalDevice, count: int, slots: int) -> None:
    inputs = images(count)
    outputs = list(Runtime(connect(simulated), program(slots)).stream(inputs))
    assert len(outputs) == count
    assert all((got == want).all() for (got,), want in zip(outputs, expected(inputs), strict=True))
    assert simulated.executed[Command.RUN] == count
    assert simulated.overflows == 0


def test_an_inference_of_its_own(simulated: FunctionalDevice) -> None:
    inputs = images(2)
    runtime = Runtime(connect(simulated), program())
    for image, right in zip(inputs, expected(inputs), strict=True):
        (output,) = runtime.infer(image)
        assert (output == right).all()


def test_the_program_is_loaded_once(simulated: FunctionalDevice) -> None:
    runtime = Runtime(connect(simulated), program())
    list(runtime.stream(images(3)))
    before = simulated.executed[Command.WRITE]
    list(runtime.stream(images(3)))
    assert simulated.executed[Command.WRITE] == before + 3


@pytest.mark.parametrize(("slots", "ahead"), [(1, 2), (2, 4)])
def test_inputs_are_taken_only_as_they_can_be_sent(
    simulated: FunctionalDevice, slots: int, ahead: int
) -> None:
    taken: list[int] = []

    def endless() -> Iterator[NDArray[np.int64]]:
        image = images(1)[0]
        while True:
            taken.append(1)
            yield image

    stream = Runtime(connect(simulated), program(slots)).stream(endless())
    for done in range(20):
        next(stream)
        assert len(taken) <= done + ahead


def test_while_one_image_runs_the_next_is_sent(simulated: FunctionalDevice) -> None:
    """The device ends a run only when something waits for it: here it never has to be asked."""
    list(Runtime(connect(simulated), program(2)).stream(images(50)))
    assert simulated.executed[Command.WAIT] == 1


def test_a_wrong_input_is_refused_and_the_others_are_not_lost(
    simulated: FunctionalDevice,
) -> None:
    inputs = images(6)
    mixed = [*inputs[:4], inputs[0][:2], *inputs[4:]]
    stream = Runtime(connect(simulated), program()).stream(mixed)
    outputs = [next(stream)[0] for _ in range(2)]
    with pytest.raises(ValueError, match="must have shape"):
        next(stream)
    outputs += [output for (output,) in stream]
    assert (np.stack(outputs) == expected(inputs)).all()


def test_inputs_that_do_not_fit_are_refused(simulated: FunctionalDevice) -> None:
    runtime = Runtime(connect(simulated), program())
    with pytest.raises(ValueError, match=r"has 1 input\(s\), not 2"):
        runtime.infer(images(1)[0], images(1)[0])
    with pytest.raises(ValueError, match=r"must be -128\.\.127, not 200"):
        runtime.infer(np.full(SHAPE, 200))


def test_a_program_for_another_configuration_is_refused(simulated: FunctionalDevice) -> None:
    other = compile_network(graph(), PRESETS["up5k"], name="other")
    with pytest.raises(ConfigMismatchError, match="compile the network for it"):
        Runtime(connect(simulated), other)


def test_a_program_that_fails_is_told(simulated: FunctionalDevice) -> None:
    device = connect(simulated)
    runtime = Runtime(device, program())
    runtime.load()
    device.write(program().entry, b"\xff" * CONFIG.instruction_words * CONFIG.word_bytes)
    with pytest.raises(ProgramFailedError, match="illegal instruction"):
        list(runtime.stream(images(4)))


def test_a_stream_that_takes_other_cycles_is_told(
    simulated: FunctionalDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("host.counters.predicted_counters", lambda program, runs: (5, 5))
    with pytest.raises(CounterError, match=r"3 run\(s\) took \d+ cycles.*not 5 and 5") as failure:
        list(Runtime(connect(simulated), program()).stream(images(3)))
    assert failure.value.runs == 3


def test_a_check_counts_what_differs(simulated: FunctionalDevice) -> None:
    inputs = images(10)
    runtime = Runtime(connect(simulated), program())
    report = check_network(runtime, graph(), [inputs])
    assert (report.compared, report.differing, report.is_good) == (120, 0, True)
    assert (report.outputs[0] == expected(inputs)).all()


def test_a_check_bites(simulated: FunctionalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = expected(images(10))
    wrong[3, 0, 0, 1] += 1
    monkeypatch.setattr("mapping.reference.run", lambda *_: (wrong,))
    report = check_network(Runtime(connect(simulated), program()), graph(), [images(10)])
    assert (report.differing, report.is_good) == (1, False)


# Faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_thousand_inferences_survive_faults_of_every_kind(
    simulated: FunctionalDevice, seed: int, slots: int
) -> None:
    """Each kind once in 100 packets: one packet in 17 meets something."""
    inputs = images(1000)
    faults = FaultSource(FaultRates.parse("all=0.01"), seed)
    device = connect(simulated, lambda line: FaultyTransport(line, faults))
    outputs = collect(Runtime(device, program(slots)).stream(inputs, reconnects=1000))
    assert (outputs == expected(inputs)).all()
    assert len(faults.counts) == 7
    assert min(faults.counts.values()) > 50


@pytest.mark.parametrize("kind", ["drop", "flip", "duplicate", "delay", "truncate"])
def test_no_inference_runs_twice_nor_is_one_dropped(simulated: FunctionalDevice, kind: str) -> None:
    inputs = images(1000)
    faults = FaultSource(FaultRates.parse(f"{kind}=0.01"), seed=3)
    device = connect(simulated, lambda line: FaultyTransport(line, faults))
    outputs = collect(Runtime(device, program()).stream(inputs))
    assert (outputs == expected(inputs)).all()
    assert faults.counts[kind] > 40
    assert device.generation == 1
    assert simulated.executed[Command.RUN] == 1000


def unplugged_at(
    simulated: FunctionalDevice, packet: int
) -> tuple[Device, Callable[[], FaultyTransport]]:
    faults = ScriptedFaults({packet: "disconnect"})

    def plug_in() -> FaultyTransport:
        return FaultyTransport(SimTransport(simulated), faults)

    return Device(plug_in, CONFIG), plug_in


@pytest.mark.parametrize("packet", range(4, 40, 3))
def test_unplugging_is_an_error_and_a_reconnect_goes_on(
    simulated: FunctionalDevice, packet: int
) -> None:
    inputs = images(8)
    device, _ = unplugged_at(simulated, packet)
    stream = Runtime(device, program()).stream(inputs)
    outputs: list[NDArray[np.int64]] = []
    with pytest.raises(DisconnectedError, match="the line was broken"):
        outputs.extend(output for (output,) in stream)
    with pytest.raises(DisconnectedError):  # still out
        next(stream)
    device.reconnect()
    outputs.extend(output for (output,) in stream)
    assert (np.stack(outputs) == expected(inputs)).all()


def test_a_device_that_was_reset_by_noise_is_loaded_again(simulated: FunctionalDevice) -> None:
    inputs = images(20)
    device = connect(simulated)
    stream = Runtime(device, program()).stream(inputs)
    outputs = [next(stream)[0] for _ in range(5)]
    simulated.send(bytes([FLAG]) + ABORT)
    outputs += [output for (output,) in stream]
    assert (np.stack(outputs) == expected(inputs)).all()
    assert device.generation == 2


def test_a_device_that_is_reset_again_and_again_is_given_up(simulated: FunctionalDevice) -> None:
    class Nasty(SimTransport):
        is_nasty = False

        def write(self, data: bytes) -> None:
            super().write(data)
            if self.is_nasty:
                super().write(bytes([FLAG]) + ABORT)

    line = Nasty(simulated)
    device = Device(lambda: line, CONFIG)
    stream = Runtime(device, program()).stream(images(20))
    next(stream)
    line.is_nasty = True
    with pytest.raises((StateLostError, TimeoutError)):
        list(stream)
