"""Devices: who they are, their memory, their runs."""

import pytest

from host.device import Device, board_name, identify
from host.errors import (
    BoardMismatchError,
    ConfigMismatchError,
    DeviceError,
    DeviceTimeoutError,
    DisconnectedError,
    IdentityError,
    ProgramFailedError,
)
from host.transport import Transport
from mapping.presets import PRESETS
from sim.board.device import FunctionalDevice
from sim.board.transport import SimTransport
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from sim.timing import predict_counters
from systolic.spec.boards import board_named
from systolic.spec.registers import Identity
from tests.host.small import CONFIG, connect, expected, images, program

WORD = CONFIG.word_bytes


class Plug(SimTransport):
    """A line that can be pulled out."""

    is_out = False

    def read(self, timeout_s: float) -> bytes:
        if self.is_out:
            raise DisconnectedError(self.url, "pulled out")
        return super().read(timeout_s)


class Echo(Transport):
    """Something that is no accelerator."""

    def __init__(self) -> None:
        super().__init__("echo://")
        self._data = b""

    def write(self, data: bytes) -> None:
        self._data += data

    def read(self, timeout_s: float) -> bytes:
        data, self._data = self._data, b""
        return data

    def close(self) -> None:
        pass


@pytest.fixture
def simulated() -> FunctionalDevice:
    return FunctionalDevice(CONFIG, board_id=1, clock_mhz=24)


def test_what_was_written_is_read(simulated: FunctionalDevice) -> None:
    with connect(simulated) as device:
        data = bytes(range(256)) * (600 * WORD // 256 + 1)
        device.write(10, data[: 600 * WORD])
        assert device.read(10, 600) == data[: 600 * WORD]
        assert device.read(300, 5) == data[290 * WORD : 295 * WORD]


def test_a_device_runs_programs_as_a_simulator_does(simulated: FunctionalDevice) -> None:
    inputs = images(5)
    with connect(simulated) as device:
        (outputs,), counters = run_network(device, program(), inputs)
        assert (outputs == expected(inputs)).all()
        counts = [[(mark.cycles, mark.busy_cycles) for mark in marks] for marks in counters]
        predicted = [(mark.cycles, mark.busy_cycles) for mark in predict_counters(program())]
        assert counts == [predicted] * 5


def test_a_run_without_steps_gives_the_last_counters(simulated: FunctionalDevice) -> None:
    with connect(simulated) as device:
        run_network(device, program(), images(1))
        (last,) = device.run(program().entry)
        assert last.cycles == program().cycles


def test_it_says_who_it_is(simulated: FunctionalDevice) -> None:
    with connect(simulated) as device:
        assert device.identity == Identity(CONFIG.digest, 8, 1, 24)
        assert device.clock_hz == 24e6
        assert device.link.window_bytes == 256
    assert board_name(device.identity) == "icebreaker"
    assert board_name(Identity(bytes(8))) == "no board"
    assert board_name(Identity(bytes(8), board_id=255)) == "unknown board 255"


def test_anybody_can_be_asked_who_he_is() -> None:
    assert identify("sim://functional?config=tiny").digest == CONFIG.digest


def test_another_configuration_is_refused(simulated: FunctionalDevice) -> None:
    with pytest.raises(ConfigMismatchError, match="built for another configuration") as refusal:
        Device(lambda: SimTransport(simulated), PRESETS["up5k"])
    assert (refusal.value.wanted, refusal.value.found) == (
        PRESETS["up5k"].digest, CONFIG.digest,
    )  # fmt: skip


def test_another_board_is_refused(simulated: FunctionalDevice) -> None:
    with pytest.raises(BoardMismatchError, match="a bitstream for icebreaker, not for icestick"):
        Device(lambda: SimTransport(simulated), CONFIG, board=board_named("icestick"))


def test_what_is_no_accelerator_is_refused() -> None:
    with pytest.raises(IdentityError, match="no accelerator of ours: wrong port"):
        Device(Echo, CONFIG)


def test_another_version_is_refused(simulated: FunctionalDevice) -> None:
    simulated._identity = b"SYST\x63" + bytes(11)
    simulated._abort()
    with pytest.raises(IdentityError, match="version 99, not 2"):
        connect(simulated)


def test_a_line_is_closed_again_if_nobody_answers() -> None:
    closed: list[bool] = []

    class Silent(Echo):
        def read(self, timeout_s: float) -> bytes:
            return b""

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(DeviceTimeoutError, match="no answer: is the bitstream loaded"):
        Device(Silent, CONFIG, timeout_s=0.01, attempts=2)
    assert closed == [True]


def test_every_error_is_one_line_and_a_device_error() -> None:
    for error in (
        BoardMismatchError("x://", "a", "b"),
        ConfigMismatchError("x://", bytes(8), bytes(8)),
        DeviceTimeoutError("x://", "no answer", 1.0, 8),
        ProgramFailedError("x://", 7),
    ):
        assert isinstance(error, DeviceError)
        assert str(error).startswith(("x://: ",))
        assert "\n" not in str(error)


def test_an_illegal_instruction_is_told(simulated: FunctionalDevice) -> None:
    with connect(simulated) as device:
        device.write(0, b"\xff" * (CONFIG.instruction_words * WORD))
        with pytest.raises(ProgramFailedError, match="the program at word 0 met an illegal"):
            device.run(0)
        device.write(100, bytes(WORD))  # and it goes on


def test_words_beyond_the_scratchpad_are_refused(simulated: FunctionalDevice) -> None:
    words = CONFIG.scratchpad_words
    with connect(simulated) as device:
        with pytest.raises(ValueError, match=f"words must be 0..{words - 1}, not {words - 1}.."):
            device.write(words - 1, bytes(2 * WORD))
        with pytest.raises(ValueError, match="words must be"):
            device.read(-1, 1)
        with pytest.raises(ValueError, match=f"whole words of {WORD} bytes, not 3 bytes"):
            device.write(0, bytes(3))


def test_after_unplugging_a_reconnect_finds_the_device_again(simulated: FunctionalDevice) -> None:
    lines: list[Plug] = []

    def plug_in() -> Plug:
        lines.append(Plug(simulated))
        return lines[-1]

    device = Device(plug_in, CONFIG)
    lines[-1].is_out = True
    with pytest.raises(DisconnectedError, match="pulled out"):
        device.registers()
    device.reconnect()
    assert device.registers().cycles == 0
    assert device.generation == 2


def test_a_device_and_the_functional_simulator_agree_on_memory(
    simulated: FunctionalDevice,
) -> None:
    alone = FunctionalSimulator(CONFIG)
    inputs = images(2)
    with connect(simulated) as device:
        run_network(device, program(), inputs)
        run_network(alone, program(), inputs)
        for slot in program().slots:
            tensor = slot.outputs[0]
            count = tensor.words(CONFIG)
            assert device.read(tensor.address, count) == alone.read(tensor.address, count)
