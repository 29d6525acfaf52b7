"""How often ONNX Runtime's float32 rounds otherwise than exact sums, over random models.

    python -m benchmarks.onnx_rounding [--models N] [--json FILE]

Each model is one float operator between quantizations, with scales of any value; the last rows are
a convolutional network that ONNX Runtime's static quantization wrote. Results are compared with
ONNX Runtime without optimisations, where float32 adds, and as it is by default, where integer
kernels stand in for some operators. *Undecided* are results that float32 may round either way,
depending on the order it adds in. Ends with two inputs of the same integers' sum, of which ONNX
Runtime gives two results: what no system that adds integers can follow.
"""

import argparse
import json
import logging
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from onnxruntime.quantization import QuantType
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mapping.importers import UnsupportedModelError
from mapping.importers.onnx import import_model
from tests.mapping.importers.onnx.draw import Draw
from tests.mapping.importers.onnx.float_models import FLOAT_MODELS, NOT_RUN_BY_DEFAULT, quarter
from tests.mapping.importers.onnx.limits import limits
from tests.mapping.importers.onnx.networks import images, quantized_network
from tests.mapping.importers.onnx.oracle import infer, results, session

IMAGES = 10
NETWORK_IMAGES = 1000
COLUMNS = ("models", "proven", "results", "undecided", "differ", "differ by default")


def compared(
    data: bytes, batches: list[np.ndarray], *, is_whole: bool = False, is_run: bool = True
) -> Counter[str]:
    """Counts of one model; which results are undecided is known of single operators only.

    Some models are not run as ONNX Runtime would by default, as it refuses them then.
    """
    imported = import_model(data)
    (ours,) = results(imported.network, batches)
    counts = Counter(models=1, proven=int(not imported.unproven), results=ours.size)
    ways = {"differ": False, "differ by default": True} if is_run else {"differ": False}
    for name, is_optimised in ways.items():
        (theirs,) = infer(session(data, is_optimised=is_optimised), batches)
        counts[name] = int((ours.ravel() != theirs.ravel()).sum())
    if not is_whole:
        counts["undecided"] = int((~limits(data, batches).is_certain).sum())
    return counts


def random_models(name: str, count: int) -> Counter[str]:
    """Counts of many models of one kind; few of them are not supported."""
    total: Counter[str] = Counter()
    for seed in track(range(count), name, transient=True):
        try:
            model = FLOAT_MODELS[name](Draw(seed, images=IMAGES))
            total.update(compared(*model, is_run=name not in NOT_RUN_BY_DEFAULT))
        except UnsupportedModelError:
            continue
    return total


def networks() -> dict[str, Counter[str]]:
    """Counts of a network, with one scale per tensor and with one per channel."""
    found: dict[str, Counter[str]] = {}
    for per_channel in (False, True):
        with TemporaryDirectory() as folder:
            data = quantized_network(
                Path(folder), activation_type=QuantType.QInt8, per_channel=per_channel
            )
        name = f"network, per {'channel' if per_channel else 'tensor'}"
        found[name] = compared(data, [images(2, NETWORK_IMAGES)], is_whole=True)
    return found


def two_results() -> str:
    """Inputs of one sum whose mean ONNX Runtime gives as two numbers, without optimisations."""
    inputs = np.random.default_rng(0).integers(-128, 128, (4000, 1, 2, 2)).astype(np.int8)
    (means,) = infer(session(quarter(1)), [inputs])
    first: dict[int, tuple[list[int], int]] = {}
    for image, mean in zip(inputs.reshape(-1, 4), means.ravel(), strict=True):
        known = first.setdefault(int(image.sum()), (image.tolist(), int(mean)))
        if known[1] != mean:
            return (
                f"{known[0]} -> {known[1]}, {image.tolist()} -> {mean}: both sum to {image.sum()}"
            )
    return "none found"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=1000, help="of each kind (default 1000)")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # the quantizer's advice to simplify the network first
    rows = {name: random_models(name, arguments.models) for name in FLOAT_MODELS} | networks()
    table = Table(title=f"onnxruntime {onnxruntime.__version__}")
    for name in ("operator", *COLUMNS):
        table.add_column(name, justify="left" if name == "operator" else "right")
    for name, counts in rows.items():
        figures = (f"{counts[each]:,}" if each in counts else "-" for each in COLUMNS)
        table.add_row(name, *figures)
    console = Console(width=120)
    console.print(table)
    console.print(two_results())
    if arguments.json:
        found = {
            name: {column: counts[column] for column in COLUMNS} for name, counts in rows.items()
        }
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
