"""Train the two digit classifiers that come with the mapper, and quantize them.

A small convolutional network learns scikit-learn's digits (8 x 8 pixels of 0..16) in float, then
goes on learning with its weights and activations rounded to 8 or 4 bits (quantization-aware
training: rounded forwards, straight through backwards). What is written is integers only, and the
accuracy printed is the integer reference interpreter's on 450 images it has never seen.

Run from a checkout with the ``train`` extra installed; takes under a minute on one core::

    python examples/train_digits.py
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from mapping.builder import Builder, Value
from mapping.graph import Graph
from mapping.network import Network, NetworkInfo, save_network
from mapping.networks.digits import FOLDER, HELD_OUT_FILE, SUFFIX
from mapping.ops import ActType
from mapping.reference import run

SEED = 2026
PIXEL_MAX = 16.0
LAYER_NAMES = ("stem", "depthwise", "pointwise", "strided", "dense")
POOL_AFTER = 2  # the pointwise layer: 8 x 8 becomes 4 x 4
LOGIT_BITS = 8  # also of the 4-bit network: 16 levels would leave ties between classes


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pixels, uint8 (n, 8, 8, 1) of 0..16, and the digit on each, int64 (n,)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @property
    def images(self) -> Tensor:
        """Pixels as the model takes them, float32 (n, 1, 8, 8)."""
        return torch.tensor(self.pixels, dtype=torch.float32).permute(0, 3, 1, 2)


def round_through(values: Tensor) -> Tensor:
    """Round half to even; the gradient passes as if nothing had happened."""
    return values + (torch.round(values) - values).detach()


class DigitsNet(nn.Module):
    """3x3 convolution, depthwise, pointwise, max-pool, strided 3x3 convolution, dense.

    Each layer but the last ends in a ReLU whose upper bound ``ceilings[i]`` is learnt; the bound
    fixes the scale of the layer's quantized result.
    """

    def __init__(self, channels: int = 16, wide: int = 32) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(1, channels, 3, padding=1),
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
                nn.Conv2d(channels, wide, 1),
                nn.Conv2d(wide, wide, 3, padding=1, stride=2),
                nn.Linear(4 * wide, 10),
            ]
        )
        self.ceilings = nn.Parameter(torch.full((4,), 4.0))

    def forward(self, images: Tensor, bits: int | None = None) -> Tensor:
        """Logits of images (n, 1, 8, 8) of 0..16; rounded to ``bits`` unless that is None."""
        act = round_unit(images / PIXEL_MAX, bits)
        for index, layer in enumerate(self.layers):
            weights = layer.weight if bits is None else round_weights(layer.weight, bits)
            if isinstance(layer, nn.Linear):
                return functional.linear(act.permute(0, 2, 3, 1).flatten(1), weights, layer.bias)
            act = functional.conv2d(
                act, weights, layer.bias, layer.stride, layer.padding, groups=layer.groups
            )
            ceiling = self.ceilings[index]
            act = ceiling * round_unit(torch.clamp(act / ceiling, 0, 1), bits)
            if index == POOL_AFTER:
                act = functional.max_pool2d(act, 2)
        raise AssertionError("the last layer is dense")


def round_unit(values: Tensor, bits: int | None) -> Tensor:
    """Values of 0..1 rounded to ``2**bits`` equal levels, or as they are if that is None."""
    if bits is None:
        return values
    steps = 2**bits - 1
    return round_through(values * steps) / steps


def weight_scale(weights: Tensor, bits: int) -> Tensor:
    """Size of one step per output channel (first axis): the largest weight takes the last step."""
    return weights.detach().abs().flatten(1).amax(1) / (2 ** (bits - 1) - 1)


def round_weights(weights: Tensor, bits: int) -> Tensor:
    """Weights as the integer network will hold them, still in float."""
    scale = per_channel(weight_scale(weights, bits), weights)
    return round_through(weights / scale) * scale


def per_channel(values: Tensor, weights: Tensor) -> Tensor:
    """One value per output channel, shaped to go with weights (out_channels, ...)."""
    return values.reshape(-1, *[1] * (weights.dim() - 1))


def split(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the indices to train with and to hold out: every fourth of a shuffled, sorted list."""
    shuffled = np.random.default_rng(SEED).permutation(len(labels))
    by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
    held_out = np.sort(by_label[::4])
    return np.setdiff1d(by_label, held_out), held_out


def shift_images(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by up to one pixel in both directions, filling with background."""
    padded = functional.pad(images, (1, 1, 1, 1))
    windows = padded.unfold(2, 8, 1).unfold(3, 8, 1)  # (n, 1, 3, 3, 8, 8)
    # Half of the moves are none: the pixels lost at the border matter in 8 x 8.
    steps = torch.tensor([0, 1, 1, 2])
    down, right = steps[torch.randint(0, 4, (2, len(images)), generator=generator)]
    return windows[torch.arange(len(images)), :, down, right]


def train(model: DigitsNet, seen: Labelled, *, epochs: int, rate: float, bits: int | None) -> None:
    """Minimise the cross-entropy with Adam, the learning rate falling to zero along a cosine."""
    images, labels = seen.images, torch.tensor(seen.labels)
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    name = "float" if bits is None else f"int{bits}"
    for _ in tqdm(range(epochs), desc=f"training {name}", unit="epoch"):
        for batch in torch.randperm(len(images), generator=generator).split(64):
            logits = model(shift_images(images[batch], generator), bits)
            loss = functional.cross_entropy(logits, labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()


def logit_type(model: DigitsNet, images: Tensor, bits: int) -> tuple[ActType, float]:
    """Type and scale that hold the logits of all training images."""
    with torch.no_grad():
        logits = model(images, bits)
    low, high = float(logits.min()), float(logits.max())
    scale = (high - low) / (2**LOGIT_BITS - 1)
    return ActType(LOGIT_BITS, signed=True, zero_point=round(-128 - low / scale)), scale


def fixed_point(scale: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Multiplier and shift of TensorFlow Lite's scale, ``multiplier * 2**(shift - 31)``."""
    mantissa, exponent = np.frexp(scale)
    multiplier = np.rint(mantissa * (1 << 31)).astype(np.int64)
    is_carry = multiplier == 1 << 31  # a mantissa that rounds up to 1
    return np.where(is_carry, 1 << 30, multiplier), exponent.astype(np.int64) + is_carry


def to_graph(model: DigitsNet, logits: ActType, logit_scale: float, bits: int) -> Graph:
    """Write the trained network down in integers."""
    steps = 2**bits - 1
    element = ActType(bits, signed=True, zero_point=-(2 ** (bits - 1)))
    builder = Builder()
    value = builder.input((8, 8, 1), bits, zero_point=element.zero_point, name="image")
    scale = 1 / steps
    for index, layer in enumerate(model.layers):
        is_last = isinstance(layer, nn.Linear)
        out_scale = logit_scale if is_last else float(model.ceilings[index].detach()) / steps
        acc, sum_scale = append_layer(value, layer, scale, bits, LAYER_NAMES[index])
        multiplier, shift = fixed_point(sum_scale / out_scale)
        value = acc.requantize(multiplier, shift, logits if is_last else element)
        if index == POOL_AFTER:
            value = value.max_pool2d(2)
        scale = out_scale
    return builder.graph(value)


def append_layer(
    value: Value, layer: nn.Module, scale: float, bits: int, name: str
) -> tuple[Value, NDArray[np.float64]]:
    """Append one weighted layer; also give the real value of one step of its sums per channel."""
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double().numpy()
    steps = weight_scale(layer.weight, bits).double()
    integers = torch.round(weight / per_channel(steps, weight)).int().numpy()
    sum_scale = scale * steps.numpy()
    offsets = np.rint(bias / sum_scale).astype(np.int32)
    if isinstance(layer, nn.Linear):
        flat = value.flatten()
        return flat.matmul(integers.T, offsets, weight_bits=bits, name=name), sum_scale
    side = layer.padding[0]
    acc = value.conv2d(
        integers.transpose(2, 3, 1, 0),  # (out, in, h, w) to (h, w, in, out)
        offsets,
        stride=layer.stride,
        pad=(side, side, side, side),
        groups=layer.groups,
        weight_bits=bits,
        name=name,
    )
    return acc, sum_scale


def write_network(
    graph: Graph, bits: int, float_accuracy: float, folder: Path, unseen: Labelled
) -> None:
    """Measure the integer network on images it has not seen, and write its file."""
    info = NetworkInfo(
        name=f"digits_int{bits}",
        description=f"handwritten digits, 8x8 pixels of 0..16; {bits}-bit weights and activations",
        labels=tuple("0123456789"),
        input_scale=PIXEL_MAX / (2**bits - 1),
        float_accuracy=float_accuracy,
    )
    network = Network(graph, info)
    guesses = run(graph, network.quantize_input(unseen.pixels))[0].argmax(axis=1)
    accuracy = np.mean(guesses == unseen.labels)
    print(f"{info.name}: {accuracy:.2%} of {len(guesses)} held-out images")
    save_network(network, folder / f"{info.name}{SUFFIX}")


def main() -> None:
    """Train, quantize, measure, write."""
    parser = argparse.ArgumentParser(description="Train and quantize the digit classifiers.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write")
    parser.add_argument("--epochs", type=int, default=150, help="in float; half as many rounded")
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # the order of additions, hence the result, depends on it
    digits = load_digits()
    trained, held_out = split(digits.target)
    pixels = digits.images.astype(np.uint8)[..., np.newaxis]
    seen, unseen = (Labelled(pixels[part], digits.target[part]) for part in (trained, held_out))

    model = DigitsNet()
    train(model, seen, epochs=arguments.epochs, rate=4e-3, bits=None)
    with torch.no_grad():
        guesses = model(unseen.images).argmax(1).numpy()
    float_accuracy = float(np.mean(guesses == unseen.labels))
    print(f"float: {float_accuracy:.2%} of {len(guesses)} held-out images")
    for bits in (8, 4):
        train(model, seen, epochs=arguments.epochs // 2, rate=1e-3, bits=bits)
        graph = to_graph(model, *logit_type(model, seen.images, bits), bits)
        write_network(graph, bits, float_accuracy, arguments.folder, unseen)
    np.savez_compressed(
        arguments.folder / HELD_OUT_FILE,
        images=unseen.pixels,
        labels=unseen.labels.astype(np.uint8),
        indices=held_out.astype(np.uint16),
    )


if __name__ == "__main__":
    main()
