"""Streams of programs whose parts are sent while the device computes; faults in their midst."""

from collections import Counter
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from host.device import Device
from host.errors import DisconnectedError, ProgramFailedError
from host.runtime import Runtime
from mapping import reference
from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.program import Program
from sim.board.device import FunctionalDevice
from sim.board.faults import FaultRates, FaultSource, FaultyTransport
from sim.board.rtl import RtlDevice
from sim.board.transport import SimTransport
from systolic.spec.packets import ABORT, FLAG, Command, Request
from tests.host.scripted import ScriptedFaults
from tests.host.small import CONFIG, connect
from tests.streamed import streamed_program


@cache
def graph() -> Graph:
    rng, builder = np.random.default_rng(5), Builder()
    value = builder.input((16,))
    for width in (24, 24, 24, 8):
        weights = rng.integers(-20, 20, (value.type.channels, width))
        value = value.matmul(weights).requantize(1 << 30, -4)
    return builder.graph(value)


@cache
def program() -> Program:
    return streamed_program(graph(), CONFIG, percent=70)


def images(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(count).integers(-128, 128, size=(count, 16))


def expected(inputs: NDArray[np.int64]) -> NDArray[np.int64]:
    return reference.run(graph(), inputs)[0]


@pytest.fixture
def simulated() -> FunctionalDevice:
    return FunctionalDevice(CONFIG)


def collect(stream: Iterator[tuple[NDArray[np.int64], ...]]) -> NDArray[np.int64]:
    return np.stack([output for (output,) in stream])


def test_the_program_has_parts_of_both_kinds() -> None:
    assert len(program().resident) == 1
    assert len(program().streamed) == len(program().parts) - 1 >= 4


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_outputs_come_in_order(simulated: FunctionalDevice, count: int) -> None:
    inputs = images(count)
    outputs = list(Runtime(connect(simulated), program()).stream(inputs))
    assert len(outputs) == count
    assert all((got == want).all() for (got,), want in zip(outputs, expected(inputs), strict=True))
    assert simulated.executed[Command.RUN] == count * len(program().parts)
    assert simulated.overflows == 0


def test_what_stays_is_written_once_and_the_rest_for_every_image(
    simulated: FunctionalDevice,
) -> None:
    runtime = Runtime(connect(simulated), program())
    runtime.load()
    before = simulated.executed[Command.WRITE]
    for image in images(3):
        runtime.infer(image)
    each = len(program().streamed) + 1  # and the input, all of them in one burst
    assert simulated.executed[Command.WRITE] == before + 3 * each


def test_words_come_while_the_part_before_theirs_runs() -> None:
    """The device ends a run only when something waits for it; each WRITE finds one running."""

    class Watched(FunctionalDevice):
        def _write(self, request: Request, rest: bytes) -> None:
            seen[self._running is not None] += request.addr in streamed
            super()._write(request, rest)

    seen = Counter[bool]()
    streamed = {part.address for part in program().streamed}
    list(Runtime(connect(Watched(CONFIG)), program()).stream(images(4)))
    assert (seen[True], seen[False]) == (4 * len(program().streamed), 0)


def test_a_part_that_fails_is_told(simulated: FunctionalDevice) -> None:
    device, (first,) = connect(simulated), program().resident
    runtime = Runtime(device, program())
    runtime.load()
    device.write(first.entry, b"\xff" * CONFIG.instruction_words * CONFIG.word_bytes)
    with pytest.raises(ProgramFailedError, match=f"word {first.entry} met an illegal instruction"):
        runtime.infer(images(1)[0])


# Faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_inferences_survive_faults_of_every_kind(simulated: FunctionalDevice, seed: int) -> None:
    inputs = images(60)
    faults = FaultSource(FaultRates.parse("all=0.01"), seed)
    device = connect(simulated, lambda line: FaultyTransport(line, faults))
    outputs = collect(Runtime(device, program()).stream(inputs, reconnects=1000))
    assert (outputs == expected(inputs)).all()
    assert len(faults.counts) == 7


def test_the_gateware_survives_faults_of_every_kind() -> None:
    inputs, simulated = images(15), RtlDevice(CONFIG)
    faults = FaultSource(FaultRates.parse("all=0.01"), seed=3)
    device = Device(
        lambda: FaultyTransport(SimTransport(simulated), faults), CONFIG, timeout_s=0.02
    )
    outputs = collect(Runtime(device, program()).stream(inputs, reconnects=1000))
    assert (outputs == expected(inputs)).all()


@pytest.mark.parametrize("packet", range(4, 60, 4))
def test_a_reconnect_starts_the_inference_again(simulated: FunctionalDevice, packet: int) -> None:
    inputs = images(4)
    faults = ScriptedFaults({packet: "disconnect"})
    device = Device(lambda: FaultyTransport(SimTransport(simulated), faults), CONFIG)
    stream = Runtime(device, program()).stream(inputs)
    outputs: list[NDArray[np.int64]] = []
    with pytest.raises(DisconnectedError):
        outputs.extend(output for (output,) in stream)
    for part in program().parts:  # as after a loss of power
        device_words = np.random.default_rng(packet).bytes(part.words * CONFIG.word_bytes)
        simulated.simulator.write(part.address, device_words)
    device.reconnect()
    outputs.extend(output for (output,) in stream)
    assert (np.stack(outputs) == expected(inputs)).all()


@pytest.mark.parametrize("when", range(3, 35, 2))
def test_a_reset_between_two_parts_starts_the_inference_again(when: int) -> None:
    """Noise that looks like an ABORT, behind each of the first requests."""

    class Noisy(FunctionalDevice):
        def _execute(self, request: Request) -> None:
            super()._execute(request)
            requests.append(request)
            if len(requests) == when:
                self._sending.clear()
                self.send(bytes([FLAG]) + ABORT)

    requests: list[Request] = []
    inputs = images(4)
    device = connect(Noisy(CONFIG))
    outputs = collect(Runtime(device, program()).stream(inputs))
    assert (outputs == expected(inputs)).all()
    assert device.generation == 2


@pytest.mark.parametrize("slots", [0, 1, 2])
def test_streams_may_take_turns_and_be_left(simulated: FunctionalDevice, slots: int) -> None:
    """What one leaves on its way does not touch what the other sends; 0 slots means in parts."""
    inputs = images(6)
    chosen = compile_network(graph(), CONFIG, slots=slots) if slots else program()
    runtime = Runtime(connect(simulated), chosen)
    left, right = runtime.stream(inputs), runtime.stream(inputs[::-1])
    outputs = [next(stream)[0] for _ in inputs for stream in (left, right)]
    assert (np.stack(outputs[::2]) == expected(inputs)).all()
    assert (np.stack(outputs[1::2]) == expected(inputs[::-1])).all()
    next(runtime.stream(inputs))  # and is never asked again
    assert (runtime.infer(inputs[3])[0] == expected(inputs)[3]).all()
