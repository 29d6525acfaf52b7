"""What every image moves over the line to a device, and whether that or the array bounds it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mapping.program.data import ProgramData
from mapping.program.tensor import StoredTensor
from systolic.spec.packets import FLAG_RESUME, Code, Command, Reply, Request, bursts
from systolic.spec.registers import Status

BITS_PER_BYTE: Final = 10
"""On a serial line: a start bit, eight data bits, a stop bit."""


@dataclass(frozen=True)
class LineLoad:
    """Bytes on the line for one image, with the frames around them.

    Parts are counted exactly but for their sequence numbers; inputs and outputs as if no byte of
    theirs had to be escaped. Answers that carry nothing pass the other way meanwhile.

    Parameters
    ----------
    parts : int
        What is streamed of the program.
    inputs, outputs : int
        Inputs, and outputs with the requests for them.
    runs : int
        Requests to run, and to wait for the end.
    """

    parts: int
    inputs: int
    outputs: int
    runs: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.parts + self.inputs + self.outputs + self.runs

    def seconds(self, baud: float) -> float:
        """How long they take on a serial line of so many bits per second."""
        return self.total * BITS_PER_BYTE / baud


def line_load(program: ProgramData) -> LineLoad:
    """Bytes on the line for one image of a program."""
    word_bytes = program.config.word_bytes
    runs = program.runs(program.slots[0])
    parts = sum(
        _write_bytes(part.address, program.words_of(part), word_bytes) for part in program.streamed
    )
    inputs = sum(
        _write_bytes(tensor.address, bytes(words * word_bytes), word_bytes)
        for tensor, words in _sizes(program, program.inputs)
    )
    outputs = sum(
        len(Request(Command.READ, addr=first, last=first + count - 1).encode())
        + len(Reply(Code.DONE, 0, Status.HALTED, payload=bytes(count * word_bytes)).encode())
        for tensor, words in _sizes(program, program.outputs)
        for first, count in bursts(tensor.address, words)
    )
    requests = [Request(Command.RUN, addr=part.entry, flags=FLAG_RESUME) for part in runs]
    requests.append(Request(Command.WAIT))
    return LineLoad(parts, inputs, outputs, sum(len(request.encode()) for request in requests))


def line_lines(program: ProgramData, clock_mhz: float | None, baud: int | None) -> dict[str, str]:
    """What to say about the line, and what bounds the stream of images; by name."""
    load = line_load(program)
    lines: dict[str, str] = {}
    if baud is not None:
        lines["line"] = (
            f"{load.seconds(baud) * 1e3:,.2f} ms per image at {baud:,} baud: {load.total:,} bytes"
        )
    if clock_mhz is None:
        return lines
    array_s = program.cycles / (clock_mhz * 1e6)
    if baud is None:
        if program.is_streamed and array_s:
            rate = load.total / array_s
            lines["bound"] = f"by the line, unless it carries {rate / 1e6:,.2f} MB/s or more"
        return lines
    line_s = load.seconds(baud)
    lines["bound"] = _bound_text(line_s, array_s, overlaps=program.transfers_overlap)
    return lines


def _bound_text(line_s: float, array_s: float, *, overlaps: bool) -> str:
    if not overlaps:
        return f"by both, one after the other: {(line_s + array_s) * 1e3:,.2f} ms per image"
    slower, faster = ("line", "array") if line_s > array_s else ("array", "line")
    share = min(line_s, array_s) / max(line_s, array_s)
    return f"by the {slower}; the {faster} is busy for {share:.1%} of the time"


def _sizes(
    program: ProgramData, tensors: Iterable[StoredTensor]
) -> Iterable[tuple[StoredTensor, int]]:
    return ((tensor, tensor.words(program.config)) for tensor in tensors)


def _write_bytes(addr: int, data: bytes, word_bytes: int) -> int:
    """Bytes of the frames that write words."""
    total = 0
    for first, count in bursts(addr, len(data) // word_bytes):
        start = (first - addr) * word_bytes
        payload = data[start : start + count * word_bytes]
        request = Request(Command.WRITE, addr=first, last=first + count - 1, payload=payload)
        total += len(request.encode())
    return total
