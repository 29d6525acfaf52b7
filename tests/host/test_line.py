"""What the mapper says of the line is what the host driver puts on it."""

from dataclasses import replace

import numpy as np
import pytest

from host.runtime import Runtime
from host.transport import Transport
from mapping.line import BITS_PER_BYTE, LineLoad, line_lines, line_load
from mapping.program import Program
from sim.board.device import FunctionalDevice
from systolic.spec.packets import FCS_BYTES, FLAG_RESUME, Code, Command, Deframer, Reply, Request
from systolic.spec.registers import Status
from tests.host import small, test_streamed
from tests.host.small import CONFIG, connect


class Recorder(Transport):
    """A line that keeps what the host sends."""

    def __init__(self, line: Transport) -> None:
        super().__init__(line.url)
        self._line, self.sent = line, bytearray()

    def write(self, data: bytes) -> None:
        self.sent += data
        self._line.write(data)

    def read(self, timeout_s: float) -> bytes:
        return self._line.read(timeout_s)

    def close(self) -> None:
        self._line.close()


def requests_of(program: Program, image: np.ndarray) -> list[Request]:
    """All requests of one inference of a program that is loaded, their numbers taken away."""
    lines: list[Recorder] = []

    def record(line: Transport) -> Transport:
        lines.append(Recorder(line))
        return lines[-1]

    runtime = Runtime(connect(FunctionalDevice(CONFIG), record), program)
    runtime.load()
    lines[-1].sent.clear()
    next(runtime.stream([image]))
    requests: list[Request] = []
    for content in Deframer().feed(bytes(lines[-1].sent)):
        assert content is not None
        request, rest = Request.decode_header(content)
        # The first RUN of a stream clears the counters, the others do not.
        flags = FLAG_RESUME if request.command is Command.RUN else 0
        requests.append(replace(request, sequence=0, flags=flags, payload=rest[:-FCS_BYTES]))
    return requests


@pytest.mark.parametrize(
    ("program", "image"),
    [
        (test_streamed.program(), np.full(16, -128)),
        (small.program(1), np.full(small.SHAPE, -128)),
    ],
    ids=["streamed", "resident"],
)
def test_the_load_is_what_the_host_sends_and_asks_for(program: Program, image: np.ndarray) -> None:
    """Codes are 0 here, so that no byte of the input has to be escaped."""
    requests, load = requests_of(program, image), line_load(program)
    places = [part.place for part in program.streamed]
    bytes_of = dict.fromkeys(("parts", "inputs", "runs", "reads"), 0)
    for request in requests:
        match request.command:
            case Command.WRITE:
                is_part = any(request.addr in place for place in places)
                kind = "parts" if is_part else "inputs"
            case Command.READ:
                kind = "reads"
            case _:
                kind = "runs"
        bytes_of[kind] += len(request.encode())
    assert bytes_of["parts"] == load.parts
    assert bytes_of["inputs"] == load.inputs
    assert bytes_of["runs"] == load.runs
    words = sum(tensor.words(CONFIG) for tensor in program.outputs)
    reply = Reply(Code.DONE, 0, Status.HALTED, payload=bytes(words * CONFIG.word_bytes))
    assert bytes_of["reads"] + len(reply.encode()) == load.outputs
    assert load.total == load.parts + load.inputs + load.outputs + load.runs


def test_a_resident_program_streams_nothing() -> None:
    assert line_load(small.program(2)).parts == 0


def test_seconds_count_start_and_stop_bits() -> None:
    assert LineLoad(1000, 100, 50, 50).seconds(1_200_000) == 1200 * BITS_PER_BYTE / 1.2e6 == 0.01


@pytest.mark.parametrize(
    ("clock_mhz", "baud", "wanted"),
    [
        (None, None, {}),
        (24, None, {"bound": "by the line, unless it carries"}),
        (None, 3_000_000, {"line": "ms per image at 3,000,000 baud"}),
        (24, 3_000_000, {"line": "ms per image", "bound": "by the line; the array is busy for"}),
        (0.001, 3_000_000, {"line": "ms", "bound": "by the array; the line is busy for"}),
    ],
)
def test_what_bounds_a_stream_is_said(
    clock_mhz: float | None, baud: int | None, wanted: dict[str, str]
) -> None:
    lines = line_lines(test_streamed.program(), clock_mhz, baud)
    assert lines.keys() == wanted.keys()
    assert all(text in lines[name] for name, text in wanted.items())


def test_where_nothing_overlaps_both_take_their_time() -> None:
    lines = line_lines(small.program(1), 24, 3_000_000)
    assert lines["bound"].startswith("by both, one after the other: ")
    assert line_lines(small.program(2), 24, 3_000_000)["bound"].startswith("by the line; ")
