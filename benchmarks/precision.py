"""Fewer bits run faster: cycles of one network at every precision of activations and weights.

    python benchmarks/precision.py [--rtl] [--json FILE]

Activations enter the array one digit per cycle and weights in passes of ``weight_bits``, so cycles
follow the bits of both. Cycles are the cycle model's; with ``--rtl`` each network also runs on the
gateware, and counted cycles and every output are compared.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mapping import reference
from mapping.builder import Builder, Value
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.ops import ActType
from sim.rtl import RtlSimulator
from sim.runner import run_network
from systolic.spec.config import ArrayConfig

CONFIG = ArrayConfig(
    rows=16, cols=16, pe_cols=4, weight_bits=2, digit_bits=1, acc_bits=28, requantize_cycles=1
)
"""One bit of an activation and two of a weight per cycle; a word is 16 bits."""

ACT_BITS = (1, 2, 4, 8)
WEIGHT_BITS = (2, 4, 8)
RNG_SEED = 1


def network(act_bits: int, weight_bits: int) -> Graph:
    """Convolutions and a fully connected layer with random weights, all of one precision."""
    rng = np.random.default_rng(RNG_SEED)
    builder = Builder()
    half = 1 << weight_bits - 1

    def quantized(sums: Value) -> Value:
        # Scaled so that most results lie within the type, whatever the precision.
        shift = 3 - act_bits if weight_bits == 2 else 3 - act_bits - weight_bits
        return sums.requantize(
            rng.integers(1 << 30, 1 << 31, sums.type.channels),
            np.full(sums.type.channels, min(shift, -1)), ActType(act_bits, signed=False),
        )  # fmt: skip

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-half, half, shape)

    bits = {"weight_bits": weight_bits}
    value = builder.input((16, 16, 16), bits=act_bits, signed=False)
    value = quantized(value.conv2d(weights(3, 3, 16, 32), pad="same", **bits))
    value = quantized(value.conv2d(weights(3, 3, 32, 64), pad="same", stride=2, **bits))
    value = quantized(value.conv2d(weights(1, 1, 64, 64), **bits)).max_pool2d(2)
    return builder.graph(quantized(value.flatten().matmul(weights(1024, 16), **bits)))


def measure(act_bits: int, weight_bits: int, rtl: RtlSimulator | None) -> dict[str, int]:
    """Cycles and multiply-accumulates of a network; what the gateware said, if asked."""
    graph = network(act_bits, weight_bits)
    program = compile_network(graph, CONFIG, prune=False)
    result = {"act_bits": act_bits, "weight_bits": weight_bits, "macs": program.macs,
              "cycles": program.cycles}  # fmt: skip
    if rtl is not None:
        shape = graph.types[graph.input_ids[0]].shape
        images = np.random.default_rng(RNG_SEED).integers(0, 1 << act_bits, (1, *shape))
        (outputs,), counters = run_network(rtl, program, images)
        result["counted"] = counters[0][-1].cycles
        result["differing"] = int((outputs != reference.run(graph, images)[0]).sum())
    return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rtl", action="store_true", help="run on the gateware as well")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    arguments = parser.parse_args()
    rtl = RtlSimulator(CONFIG) if arguments.rtl else None
    rows = [measure(act, weight, rtl) for weight in WEIGHT_BITS for act in ACT_BITS]
    slowest = {row["weight_bits"]: row["cycles"] for row in rows}  # the last of each: most bits
    table = Table(title=f"one network at every precision, on {CONFIG}")
    for name in (*rows[0], "MACs per cycle", f"against {ACT_BITS[-1]}-bit activations"):
        table.add_column(name, justify="right")
    for row in rows:
        gain = slowest[row["weight_bits"]] / row["cycles"]
        table.add_row(
            *(f"{value:,}" for value in row.values()),
            f"{row['macs'] / row['cycles']:.1f}", f"{gain:.2f}x",
        )  # fmt: skip
    Console(width=120).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
