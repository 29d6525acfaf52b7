"""Write docs/operators.md: what each importer takes, and which of ONNX's node tests it refuses.

    python -m benchmarks.operators

That all others of these tests pass is what ``tests/mapping/importers/onnx/test_conformance.py``
tests, and that the page is up to date.
"""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from mapping.importers.onnx import importer as onnx
from mapping.importers.onnx.parse import OPSETS
from mapping.importers.qonnx import importer as qonnx
from mapping.importers.tflite import importer as tflite
from tests.mapping.importers.onnx.conformance import CASES, PASSING, REFUSED, refusal_of

PAGE = Path(__file__).parent.parent / "docs" / "operators.md"

TEXT = """\
# Operators

Made by `python -m benchmarks.operators`. What is not here, or not in this form, is refused by its
name and the reason, all of it in one message.

## TensorFlow Lite

int8 models with a batch of one, as TensorFlow's converter writes them; each operator up to the
version in brackets. Every tensor is tflite-micro's. The host quantizes real inputs, makes outputs
real, and does a softmax at the end.

{tflite}

## ONNX

What `onnxruntime.quantization.quantize_static` writes, in either format, opset {oldest} to
{newest}: activations of int8 or uint8 (also of 4 and 2 bits) with one scale, constant weights with
one scale or one per output channel, fixed shapes, images or lines (1-D) of a batch of one. Inputs
and outputs may have a scale per index of an axis or per block: the host does those.

{onnx}

## QONNX

What Brevitas, QKeras and FINN write: activations and weights of 1 to 8 bits between quantizers.
Batch norms, scales and biases in between become thresholds, or a multiplication, exactly.

{qonnx}

## ONNX's node tests

Of {cases} tests of quantized operators in `onnx.backend.test`, {passing} pass on the functional
simulator:

{passed}

The others are refused:

| because of | tests |
|---|---|
{refused}
"""


def page() -> str:
    """Text of the page."""
    oldest, newest = OPSETS[""]
    rows = [(refusal.why, [n for n in CASES if refusal_of(n) is refusal]) for refusal in REFUSED]
    return TEXT.format(
        tflite=_listed(f"{name} ({version})" for name, (version, _) in tflite.IMPORTERS.items()),
        onnx=_listed(f"{domain}.{name}".strip(".") for domain, name in onnx.IMPORTERS),
        qonnx=_listed({*qonnx.IMPORTERS, *qonnx.QUANTIZERS}),
        oldest=oldest,
        newest=newest,
        cases=len(CASES),
        passing=len(PASSING),
        passed=_listed(PASSING),
        refused="\n".join(f"| {why} | {_listed(names)} |" for why, names in rows),
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    Console().print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
