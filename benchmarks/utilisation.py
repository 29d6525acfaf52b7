"""How busy single layers keep the array, all overheads counted: fetches, tables, drains, stores.

    python benchmarks/utilisation.py [--rtl] [--json FILE]

Utilisation is useful multiply-accumulates over what rows x cols processing elements could do in the
layer's cycles (one digit of an activation per cycle). Cycles are the cycle model's; with ``--rtl``
each layer also runs on the gateware, and counted cycles and every output are compared.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mapping import reference
from mapping.builder import Builder, Value
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.presets import PRESETS
from sim.rtl import RtlSimulator
from sim.runner import run_network

CONFIG = PRESETS["up5k"]
RNG_SEED = 1


def _layer(shape: tuple[int, ...], build: Callable[[Value, np.random.Generator], Value]) -> Graph:
    """Network of one int8 layer with random weights, requantized to int8."""
    builder = Builder()
    rng = np.random.default_rng(RNG_SEED)
    image = builder.input(shape, bits=8, signed=True, zero_point=-128)
    value = build(image, rng)
    # As in real networks, every channel has its own scale.
    channels = value.type.shape[-1]
    multipliers = rng.integers(1 << 30, 1 << 31, channels)
    return builder.graph(value.requantize(multipliers, np.full(channels, -7)))


def conv(shape: tuple[int, int, int], out: int, kernel: int, groups: int = 1) -> Graph:
    """2-D convolution with stride 1 and "same" padding."""
    size = (kernel, kernel, shape[2] // groups, out)
    return _layer(
        shape,
        lambda x, rng: x.conv2d(rng.integers(-127, 128, size), pad="same", groups=groups),
    )


def dense(features: int, out: int) -> Graph:
    """Fully connected layer."""
    return _layer((features,), lambda x, rng: x.matmul(rng.integers(-127, 128, (features, out))))


LAYERS = {
    "pointwise 64 -> 64 over 25 x 5": lambda: conv((25, 5, 64), 64, 1),
    "3 x 3 16 -> 16 over 32 x 32": lambda: conv((32, 32, 16), 16, 3),
    "3 x 3 32 -> 32 over 16 x 16": lambda: conv((16, 16, 32), 32, 3),
    "3 x 3 64 -> 64 over 8 x 8": lambda: conv((8, 8, 64), 64, 3),
    "depthwise 3 x 3, 64 over 25 x 5": lambda: conv((25, 5, 64), 64, 3, groups=64),
    "depthwise 3 x 3, 16 over 16 x 16": lambda: conv((16, 16, 16), 16, 3, groups=16),
    "fully connected 640 -> 128": lambda: dense(640, 128),
    "fully connected 64 -> 12": lambda: dense(64, 12),
}


def measure(graph: Graph, *, rtl: bool) -> dict[str, int | float | str]:
    """Cycles, utilisation and bound of a network's one layer; what the gateware said, if asked."""
    program = compile_network(graph, CONFIG)
    (record,) = program.layers
    result: dict[str, int | float | str] = {
        "macs": record.macs,
        "cycles": record.cycles,
        "busy_cycles": record.busy_cycles,
        "utilisation": round(record.utilisation, 4),
        "bound": str(record.bound),
    }
    if rtl:
        shape = graph.types[graph.input_ids[0]].shape
        images = np.random.default_rng(RNG_SEED).integers(-128, 128, (1, *shape))
        (outputs,), counters = run_network(RtlSimulator(CONFIG), program, images)
        result["counted"] = counters[0][-1].cycles
        result["differing"] = int((outputs != reference.run(graph, images)[0]).sum())
    return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rtl", action="store_true", help="run on the gateware as well")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    arguments = parser.parse_args()
    results = {name: measure(build(), rtl=arguments.rtl) for name, build in LAYERS.items()}
    table = Table(title=f"int8 layers on {CONFIG}")
    columns = list(next(iter(results.values())))
    for name in ("layer", *columns):
        table.add_column(name, justify="left" if name in ("layer", "bound") else "right")
    for name, row in results.items():
        cells = [f"{v:.1%}" if k == "utilisation" else f"{v:,}" if isinstance(v, int) else str(v)
                 for k, v in row.items()]  # fmt: skip
        table.add_row(name, *cells)
    Console(width=120).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
