"""From PyTorch to the array: train, export to ONNX, quantize, compile, run.

The images are scikit-learn's 8 x 8 digits. Quantization is ONNX Runtime's ``quantize_static``, as
for any other network. With the extra ``pytorch``::

    python examples/pytorch_digits.py
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from sklearn.datasets import load_digits
from torch import nn

from mapping.compiler import compile_network
from mapping.importers.onnx import load_onnx
from mapping.presets import PRESETS
from sim.functional import FunctionalSimulator
from sim.runner import run_network

EPOCHS = 20
TESTED = 200


class Calibration(CalibrationDataReader):
    """Feeds images one by one."""

    def __init__(self, images: np.ndarray) -> None:
        self.feeds = iter([{"image": image[np.newaxis]} for image in images])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Next image, or None."""
        return next(self.feeds, None)


def train(images: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """Train a small convolutional network."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    return model.eval()


def main() -> None:
    """Do it all, and print the accuracy before and after."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    model = train(torch.tensor(images[TESTED:]), torch.tensor(labels[TESTED:]))
    scores = model(torch.tensor(images[:TESTED])).detach().numpy()
    with tempfile.TemporaryDirectory() as folder:
        real, quantized = Path(folder) / "real.onnx", Path(folder) / "digits.onnx"
        torch.onnx.export(
            model, (torch.tensor(images[:1]),), real, input_names=["image"], dynamo=False
        )
        quantize_static(real, quantized, Calibration(images[TESTED : TESTED + 100]))
        network = load_onnx(quantized)
    program = compile_network(network.graph, PRESETS["up5k"], name="digits")
    codes = network.ends.begin(0, images[:TESTED], -128, 127)
    outputs, _ = run_network(FunctionalSimulator(program.config), program, codes)
    answers = network.ends.finish(outputs)[0]
    print(f"{program.cycles:,} cycles for an image on {program.config}")
    for title, given in (("PyTorch", scores), ("the array", answers)):
        print(f"{title}: {np.mean(given.argmax(1) == labels[:TESTED]):.1%} of {TESTED} images")


if __name__ == "__main__":
    main()
