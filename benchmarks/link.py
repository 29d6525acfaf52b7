"""How much of the line, or of the array, a stream of inferences uses, in simulated time.

    python -m benchmarks.link [--config up5k] [--clock-mhz 24] [--baud 3000000] [--json FILE]

The host's driver streams images through the gateware's UART, at its pins, cycle by cycle; nothing
is measured on this machine's clock, and the host answers at once. The first and last inferences,
which have nothing to overlap with, are left out. Each network is bound by what takes longer:

- the line: share of the time in which the host sends (start and stop bits, frames and requests
  included), and share of it that is words of inputs;
- the array: predicted cycles of an inference over those from one output to the next.

It fails if the larger share is below 95 %, an output is wrong or the counters are not as predicted.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from host.device import Device
from host.runtime import Runtime
from mapping import reference
from mapping.builder import Builder, Value
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.networks import load_included
from mapping.presets import PRESETS
from sim.board.rtl import FRAME_BITS, UartDevice
from sim.board.transport import SimTransport

RNG_SEED = 1
MARGIN = 4
"""Inferences at each end that are left out."""
WANTED_SHARE = 0.95


@dataclass(frozen=True)
class Share:
    """What a stream used.

    Parameters
    ----------
    network : str
        Its name.
    slots : int
        Slots of its program.
    cycles : float
        Cycles from one output to the next.
    predicted_cycles : int
        Cycles that the array needs for an inference.
    input_bytes : int
        Words of an input, in bytes.
    line, payload, array : float
        Shares of the time: the host sends; it sends words of inputs; the array works.
    """

    network: str
    slots: int
    cycles: float
    predicted_cycles: int
    input_bytes: int
    line: float
    payload: float
    array: float

    @property
    def bound(self) -> str:
        """What it is bound by."""
        return "line" if self.line > self.array else "array"


def maximum() -> Graph:
    """Next to no computing."""
    builder = Builder()
    return builder.graph(builder.input((8, 8, 16)).max_pool2d(8))


def convolutions(depth: int, bits: int) -> Callable[[], Graph]:
    """Convolutions 3 x 3 of 16 channels over 8 x 8 pixels, one after the other.

    The input has so many bits, all else eight.
    """

    def build() -> Graph:
        builder, rng = Builder(), np.random.default_rng(RNG_SEED)
        value: Value = builder.input((8, 8, 16), bits=bits)
        for _ in range(depth):
            weights = rng.integers(-127, 128, (3, 3, 16, 16))
            multipliers = rng.integers(1 << 30, 1 << 31, 16)
            value = value.conv2d(weights, pad="same").requantize(multipliers, np.full(16, -9))
        return builder.graph(value.max_pool2d(8))

    return build


NETWORKS: dict[str, Callable[[], Graph]] = {
    "maximum of 8 x 8 x 16": maximum,
    "digits_int8": lambda: load_included("digits_int8").graph,
    "16 convolutions": convolutions(16, bits=8),
    "20 convolutions, 4-bit input": convolutions(20, bits=4),
}


def measure(name: str, device: UartDevice, config_name: str, images: int) -> Share:
    """Stream random images through a device."""
    graph, config = NETWORKS[name](), PRESETS[config_name]
    program = compile_network(graph, config, name=name, slots="auto")
    tensor = program.inputs[0]
    low, high = tensor.q_min, tensor.q_min + (1 << tensor.bits)
    inputs = np.random.default_rng(RNG_SEED).integers(low, high, size=(images, *tensor.shape))
    expected = reference.run(graph, inputs)[0]
    marks: list[tuple[int, int]] = []
    with Device(lambda: SimTransport(device), config) as opened:
        for index, (output,) in enumerate(Runtime(opened, program).stream(inputs)):
            if not np.array_equal(output, expected[index]):
                raise SystemExit(f"{name}: output {index} differs from the reference")
            marks.append((device.model.cycles, device.sent_bytes))
    (first, sent), (last, sent_last) = marks[MARGIN], marks[-MARGIN]
    inferences, cycles = len(marks) - 2 * MARGIN, last - first
    input_bytes = tensor.words(config) * config.word_bytes
    byte_cycles = FRAME_BITS * device.bit_cycles
    return Share(
        network=name,
        slots=len(program.slots),
        cycles=cycles / inferences,
        predicted_cycles=program.cycles,
        input_bytes=input_bytes,
        line=(sent_last - sent) * byte_cycles / cycles,
        payload=inferences * input_bytes * byte_cycles / cycles,
        array=inferences * program.cycles / cycles,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", choices=PRESETS, default="up5k")
    parser.add_argument("--clock-mhz", type=float, default=24.0)
    parser.add_argument("--baud", type=int, default=3_000_000)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    device = UartDevice(
        PRESETS[options.config], clock_hz=options.clock_mhz * 1e6, baud=options.baud
    )
    table = Table(title=f"{options.config}, {options.clock_mhz:g} MHz, {options.baud:,} baud")
    for column in ("network", "slots", "cycles", "array needs", "input bytes", "line", "payload",
                   "array", "bound by"):  # fmt: skip
        table.add_column(column, justify="left" if column in ("network", "bound by") else "right")
    shares: list[Share] = []
    for name in NETWORKS:
        share = measure(name, device, options.config, options.images)
        shares.append(share)
        table.add_row(
            name, str(share.slots), f"{share.cycles:,.0f}", f"{share.predicted_cycles:,}",
            f"{share.input_bytes:,}", f"{share.line:.1%}", f"{share.payload:.1%}",
            f"{share.array:.1%}", share.bound,
        )  # fmt: skip
    Console(width=110).print(table)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(share) for share in shares], indent=2))
    slow = [share.network for share in shares if max(share.line, share.array) < WANTED_SHARE]
    if slow:
        raise SystemExit(f"below {WANTED_SHARE:.0%} of line and array: {', '.join(slow)}")


if __name__ == "__main__":
    main()
