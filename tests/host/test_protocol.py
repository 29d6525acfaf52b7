"""The link: sending ahead, matching replies, recovering."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.errors import DeviceTimeoutError, IdentityError, StateLostError
from host.protocol import Link
from host.runtime import Runtime
from host.transport import Transport
from sim.board.device import FunctionalDevice
from sim.board.faults import FaultyTransport
from sim.board.transport import SimTransport
from systolic.spec.packets import ABORT, FLAG, Code, Command, Reply, Request
from systolic.spec.registers import Identity, Registers
from tests.host.scripted import ScriptedFaults
from tests.host.small import CONFIG, connect, expected, images, program

KINDS = ("drop", "flip", "duplicate", "delay", "truncate")
WORD = CONFIG.word_bytes


def write(addr: int, words: int, value: int) -> Request:
    payload = bytes([value]) * (words * WORD)
    return Request(Command.WRITE, addr=addr, last=addr + words - 1, payload=payload)


def read(addr: int, words: int) -> Request:
    return Request(Command.READ, addr=addr, last=addr + words - 1)


def open_link(line: Transport, window_bytes: int = 256, attempts: int = 8) -> Link:
    link = Link(line, timeout_s=0.1, attempts=attempts)
    link.reset()
    link.window_bytes, link.word_bytes = window_bytes, WORD
    return link


class Recorder(SimTransport):
    """Remembers what was written, call by call."""

    def __init__(self, device: FunctionalDevice) -> None:
        super().__init__(device)
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)
        super().write(data)


class Canned(Transport):
    """Gives prepared answers, whatever it is asked."""

    def __init__(self, answers: Iterable[bytes]) -> None:
        super().__init__("canned://")
        self._answers = iter(answers)

    def write(self, data: bytes) -> None:
        pass

    def read(self, timeout_s: float) -> bytes:
        return next(self._answers, b"")

    def close(self) -> None:
        pass


# Sending ------------------------------------------------------------------------------------------


def test_requests_are_sent_ahead_of_replies() -> None:
    line = Recorder(FunctionalDevice(CONFIG))
    link = open_link(line)
    pendings = [link.post(write(4 * i, 4, i)) for i in range(10)]
    assert len(line.written) == 2 + 10
    assert [link.finish(pending).expected for pending in pendings] == list(range(1, 11))
    assert link.request(read(36, 4), reply_bytes=4 * WORD).payload == bytes([9]) * (4 * WORD)


def test_without_a_receive_buffer_requests_go_one_at_a_time() -> None:
    line = Recorder(FunctionalDevice(CONFIG, window_log2=0))
    link = open_link(line, window_bytes=0)
    pendings = [link.post(write(i, 1, i)) for i in range(3)]
    assert len(line.written) == 2 + 1
    link.finish_all(pendings)
    assert link.statistics.recoveries == 0


def test_nothing_follows_a_wait_before_its_answer() -> None:
    line = Recorder(FunctionalDevice(CONFIG))
    link = open_link(line)
    link.post(Request(Command.WAIT))
    behind = link.post(read(0, 1), reply_bytes=WORD)
    assert len(line.written) == 2 + 1
    link.finish(behind)
    assert len(line.written) == 2 + 2


def test_behind_a_run_no_more_is_sent_than_the_receive_buffer_holds() -> None:
    device = FunctionalDevice(CONFIG)
    line = Recorder(device)
    link = open_link(line)
    link.post(Request(Command.RUN))
    link.post(Request(Command.RUN))
    before = sum(map(len, line.written))
    large = link.post(write(0, 256, 1))
    assert sum(map(len, line.written)) - before < 256
    device.error = None
    link.finish(large)
    assert (device.overflows, link.statistics.recoveries) == (0, 0)


def test_behind_a_long_reply_no_more_is_sent_than_the_receive_buffer_holds() -> None:
    device = FunctionalDevice(CONFIG)
    link = open_link(SimTransport(device))
    pendings = [link.post(read(0, 256), reply_bytes=256 * WORD), link.post(write(0, 256, 1))]
    link.finish_all(pendings)
    assert (device.overflows, link.statistics.recoveries) == (0, 0)


def test_a_host_that_ignores_the_receive_buffer_overflows_it() -> None:
    """The two tests above can fail."""
    device = FunctionalDevice(CONFIG)
    link = open_link(SimTransport(device), window_bytes=1 << 14)
    pendings = [link.post(read(0, 256), reply_bytes=256 * WORD), link.post(write(0, 256, 1))]
    link.finish_all(pendings)
    assert device.overflows > 0
    assert link.statistics.recoveries > 0


def test_the_last_sequence_number_is_spent_on_nothing() -> None:
    device = FunctionalDevice(CONFIG)
    link = open_link(SimTransport(device))
    link.finish_all([link.post(write(i % 100, 1, i % 256)) for i in range(1000)])
    assert device.executed[Command.WRITE] == 1000
    assert device.executed[Command.WAIT] == device.executed[Command.READ] == 3
    assert link.statistics.recoveries == 0


# Recovering ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_one_fault_anywhere_changes_nothing(kind: str, slots: int) -> None:
    inputs = images(3)
    right = expected(inputs)
    packets, number = 1, 0
    while number < packets:
        device = FunctionalDevice(CONFIG)
        faults = ScriptedFaults({number: kind}, seed=number)
        opened = connect(device, lambda line, faults=faults: FaultyTransport(line, faults))
        outputs = [output for (output,) in Runtime(opened, program(slots)).stream(inputs)]
        assert (right == outputs).all(), number
        assert device.executed[Command.RUN] == 3, number
        packets, number = faults.packets, number + 1
    assert packets > 20


@settings(max_examples=200)
@given(
    script=st.dictionaries(st.integers(0, 60), st.sampled_from(KINDS), max_size=12),
    seed=st.integers(0, 1 << 16),
    slots=st.sampled_from([1, 2]),
)
def test_many_faults_change_nothing(script: dict[int, str], seed: int, slots: int) -> None:
    inputs = images(4)
    device = FunctionalDevice(CONFIG)
    faults = ScriptedFaults(script, seed)
    opened = connect(device, lambda line: FaultyTransport(line, faults))
    opened.link._attempts = 30
    outputs = [output for (output,) in Runtime(opened, program(slots)).stream(inputs)]
    assert (expected(inputs) == outputs).all()
    # More only if noise looked like an ABORT.
    assert device.executed[Command.RUN] == 4 or opened.generation > 1


def test_a_reply_that_got_lost_does_not_repeat_its_request() -> None:
    device = FunctionalDevice(CONFIG)
    link = open_link(FaultyTransport(SimTransport(device), ScriptedFaults({4: "drop"})))
    link.request(write(0, 2, 7))  # packet 3, and its reply 4
    assert device.executed[Command.WRITE] == 1
    assert link.statistics.recoveries == 1
    assert link.statistics.resent == 0


def test_words_that_got_lost_are_read_again() -> None:
    device = FunctionalDevice(CONFIG)
    link = open_link(FaultyTransport(SimTransport(device), ScriptedFaults({6: "flip"})))
    link.request(write(0, 2, 7))
    assert link.request(read(0, 2), reply_bytes=2 * WORD).payload == bytes([7]) * (2 * WORD)
    assert device.executed[Command.READ] == 2


# Giving up ----------------------------------------------------------------------------------------


def test_a_device_that_is_silent_is_given_up() -> None:
    with pytest.raises(DeviceTimeoutError, match=r"no answer.*in 3 attempts of 0.1 s") as failure:
        open_link(Canned([]), attempts=3)
    assert isinstance(failure.value, TimeoutError)
    assert failure.value.attempts == 3


def test_a_device_that_falls_silent_is_given_up() -> None:
    device = FunctionalDevice(CONFIG)
    line = SimTransport(device)
    link = open_link(line, attempts=3)
    device.send = lambda data: None  # type: ignore[method-assign]
    with pytest.raises(DeviceTimeoutError, match="no answer to a request in 3 attempts"):
        link.request(write(0, 1, 0))


def test_noise_without_end_is_given_up() -> None:
    noise = (bytes([value % 251]) * 4096 for value in range(100_000))
    with pytest.raises(IdentityError, match="no accelerator of ours: wrong port, wrong baud"):
        open_link(Canned(noise), attempts=3)


def test_a_device_that_was_reset_by_others_is_noticed() -> None:
    device = FunctionalDevice(CONFIG)
    link = open_link(SimTransport(device))
    link.finish_all([link.post(write(0, 1, 0)) for _ in range(10)])
    device.send(bytes([FLAG]) + ABORT)
    with pytest.raises(StateLostError, match="the device was reset meanwhile") as failure:
        link.request(write(0, 1, 0))
    assert failure.value.expected == 0


def test_an_accelerator_of_another_protocol_is_not_taken_for_ours() -> None:
    registers = b"SYST" + bytes([1]) + bytes(17)
    reply = Reply(Code.DONE, 0, Registers.decode(registers).identity[4] and 0, payload=registers)
    link = Link(Canned([reply.encode()] * 9), timeout_s=0.1)
    with pytest.raises(ValueError, match="version 1, not 2"):
        Identity.decode(link.reset().identity)
