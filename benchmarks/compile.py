"""How long it takes from a network to a program, and what each layer of it is bound by.

    python -m benchmarks.compile [NETWORK ...] [--config up5k] [--layers] [--json FILE]

NETWORK is an included network or a file (``.tflite``, ``.systolic-net``); ``ds_cnn``, the default
beside the included ones, is a network of the shape of MLPerf Tiny's keyword spotting (49 x 10 x 1
inputs, 2.66 million MACs) with random weights. Seconds are of CPU time in one thread, the best of
``--runs``; reading is from the file to the graph, compiling from the graph to the program's bytes,
all proofs and the choice of tilings included. A network that does not fit the configuration's
memory is compiled for 65,536 words instead, and marked.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from mapping.builder import Builder, Value
from mapping.cli.subject import load_config, load_subject
from mapping.compiler import compile_network
from mapping.errors import ScratchpadError
from mapping.graph import Graph
from mapping.network import Network
from mapping.networks import network_names
from mapping.ops import ActType
from mapping.program import Program
from mapping.program.file import to_bytes
from mapping.report import layer_lines
from systolic.spec.config import ArrayConfig

RNG_SEED = 1
DS_CNN = "ds_cnn"
LARGE_WORDS = 65536
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """What one network took.

    Parameters
    ----------
    network : str
        Its name.
    read_s, compile_s : float
        CPU seconds.
    layers, instructions : int
        Of the program.
    cycles : int
        Predicted for one image.
    words : int
        Of the scratchpad, in use.
    fits : bool
        Whether the configuration's memory was enough.
    """

    network: str
    read_s: float
    compile_s: float
    layers: int
    instructions: int
    cycles: int
    words: int
    fits: bool


def ds_cnn() -> Graph:
    """Depthwise-separable network of the shape of kws_ref, with random weights."""
    rng = np.random.default_rng(RNG_SEED)
    element = ActType(8, signed=True, zero_point=-128)

    def relu(value: Value) -> Value:
        channels = value.type.shape[-1]
        # As in real networks, every channel has its own scale.
        multipliers = rng.integers(1 << 30, 1 << 31, channels)
        return value.requantize(multipliers, np.full(channels, -7), element)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-127, 128, shape)

    builder = Builder()
    value = builder.input((49, 10, 1), zero_point=83, name="features")
    value = relu(value.conv2d(weights(10, 4, 1, 64), pad="same", stride=2, name="conv"))
    for block in range(1, 5):
        depthwise = weights(3, 3, 1, 64)
        name = f"depthwise_{block}"
        value = relu(value.conv2d(depthwise, pad="same", groups=64, name=name))
        value = relu(value.conv2d(weights(1, 1, 64, 64), name=f"pointwise_{block}"))
    pooled = value.avg_pool2d((25, 5), name="average").reshape(64)
    return builder.graph(pooled.matmul(weights(64, 12), name="dense").requantize(1 << 30, -6))


def best_of(runs: int, work: Callable[[], T]) -> tuple[float, T]:
    """Fewest CPU seconds of several runs, and the last one's result."""
    seconds: list[float] = []
    while True:
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
        if len(seconds) == runs:
            return min(seconds), result


def read(name: str) -> Graph:
    """Graph of an included network or a file."""
    if name == DS_CNN:
        return ds_cnn()
    subject = load_subject(name)
    if not isinstance(subject, Network):
        raise SystemExit(f"{name} is a program already")
    return subject.graph


def measure(name: str, config: ArrayConfig, runs: int) -> tuple[Result, Program]:
    """Read and compile one network."""
    read_s, graph = best_of(runs, lambda: read(name))

    def compiled(config: ArrayConfig) -> Program:
        program = compile_network(graph, config, name=Path(name).stem, stream=False)
        to_bytes(program)
        return program

    fits = True
    try:
        compile_s, program = best_of(runs, lambda: compiled(config))
    except ScratchpadError:
        fits, large = False, replace(config, scratchpad_words=LARGE_WORDS)
        compile_s, program = best_of(runs, lambda: compiled(large))
    words = program.load_address + len(program.image) // program.config.word_bytes
    result = Result(
        network=program.name,
        read_s=round(read_s, 3),
        compile_s=round(compile_s, 3),
        layers=len(program.layers),
        instructions=program.instruction_count,
        cycles=program.cycles,
        words=words,
        fits=fits,
    )
    return result, program


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", default=[*network_names(), DS_CNN])
    parser.add_argument("--config", default="up5k", help="preset or JSON file")
    parser.add_argument("--runs", type=int, default=3, help="runs, of which the best counts")
    parser.add_argument("--layers", action="store_true", help="show every layer and its bound")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    measured = [measure(name, config, arguments.runs) for name in arguments.networks]
    table = Table(title=f"compiling for {config}")
    for field in asdict(measured[0][0]):
        table.add_column(field, justify="left" if field == "network" else "right")
    for result, _ in measured:
        table.add_row(*(f"{v:,}" if type(v) is int else str(v) for v in asdict(result).values()))
    console = Console(width=120)
    console.print(table)
    for _, program in measured if arguments.layers else ():
        console.print(f"\n{program.name}")
        for line in layer_lines(program):
            console.print(line, highlight=False)
    if arguments.json:
        figures = [asdict(result) for result, _ in measured]
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
