"""Random QONNX models, as Brevitas, QKeras and FINN write them: small, of every form supported."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

DOMAINS = ("onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general")
EVEN_ROUNDINGS = ("ROUND", "FLOOR", "CEIL", "HALF_UP", "HALF_DOWN", "HALF_EVEN")
"""Roundings whose levels all have as many numbers."""

ROUNDINGS = (*EVEN_ROUNDINGS, "UP", "DOWN")
OPSET = 13


class Writer:
    """Writes a model node by node; every method returns the name of its result.

    Parameters
    ----------
    seed : int
        For whatever is random.
    is_exact : bool
        Whether scales are powers of two, so that float32 adds without rounding.
    """

    def __init__(self, seed: int, *, is_exact: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        self.is_exact = is_exact
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.domain = str(self.rng.choice(DOMAINS))
        self.version = 1  # of the quantizers' domain
        self.shape: tuple[int, ...] = ()

    def constant(self, values: object, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], domain=domain, **attributes))
        return name

    def input(self, *shape: int) -> str:
        self.shape = (1, *shape)
        return "image"

    def finish(self, *outputs: str) -> bytes:
        graph = helper.make_graph(
            self.nodes, "random",
            [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, None) for each in outputs],
            self.constants,
        )  # fmt: skip
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(self.domain, self.version)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()

    def scale(self) -> np.float32:
        if self.is_exact:
            return np.float32(2.0 ** self.rng.integers(-4, 3))
        return np.float32(self.rng.uniform(0.05, 2))

    def quant(self, value: str, bits: int, scale: object, *, signed: bool, zero: int = 0) -> str:
        rounding = str(self.rng.choice(ROUNDINGS if bits < 5 else EVEN_ROUNDINGS))
        narrow = int(self.rng.integers(0, 2)) if bits > 1 else 0
        return self.node(
            "Quant", value, self.constant(scale), self.constant(zero), self.constant(bits),
            domain=self.domain, signed=int(signed), narrow=narrow, rounding_mode=rounding,
        )  # fmt: skip

    def bipolar(self, value: str, scale: object) -> str:
        return self.node("BipolarQuant", value, self.constant(scale), domain=self.domain)

    def activation(self, value: str, bits: int, scale: object) -> str:
        """Any quantizer of so many bits; one that pads with zero is asked for as Quant."""
        kind = self.rng.integers(0, 3)
        if bits == 1 and kind:
            return self.bipolar(value, scale)
        if kind == 2:
            half = 1 << bits - 1
            zero = int(self.rng.integers(-half, half))
            return self.quant(value, bits, scale, signed=True, zero=zero if bits > 1 else 0)
        return self.quant(value, bits, scale, signed=bool(kind) and bits > 1)

    def weights(self, shape: tuple[int, ...], axis: int, bits: int) -> str:
        """Quantized constants, with one scale or one per output channel."""
        values = self.constant(self.rng.normal(0, 1, shape))
        per_channel = [1] * len(shape)
        per_channel[axis] = shape[axis]
        if self.rng.integers(0, 2):
            scale = np.array([self.scale() for _ in range(shape[axis])]).reshape(per_channel)
        else:
            scale = self.scale()
        if bits == 1:
            return self.bipolar(values, scale)
        return self.quant(values, bits, scale / 2 ** (bits - 1), signed=True)

    def batch_norm(self, value: str, channels: int, spread: float) -> str:
        """Gains of both signs, means within what the sums can be."""
        gain = self.rng.uniform(0.1, 3, channels) * self.rng.choice([-1, 1], channels)
        parts = [
            gain, self.rng.normal(0, 1, channels), self.rng.normal(0, spread / 4, channels),
            self.rng.uniform(0.1, 1, channels) * spread**2,
        ]  # fmt: skip
        return self.node("BatchNormalization", value, *map(self.constant, parts))

    def arithmetic(self, value: str, channels: int, pixels: int) -> str:
        """Some of what stands between sums and a quantizer."""
        shape = (channels, *[1] * pixels) if self.rng.integers(0, 2) else ()
        for op in self.rng.permutation(["Mul", "Add", "Sub", "Div"])[: self.rng.integers(0, 4)]:
            constants = self.rng.uniform(0.3, 2, shape) * self.rng.choice([-1, 1], shape)
            operands = [value, self.constant(constants)]
            if op != "Div" and self.rng.integers(0, 2):
                operands.reverse()
            value = self.node(str(op), *operands)
        return self.node("Relu", value) if self.rng.integers(0, 2) else value


def dense(seed: int, *, is_exact: bool = True, few_bits: bool = False) -> bytes:
    """Fully connected layers, the last one's sums are the scores."""
    net = Writer(seed, is_exact=is_exact)
    rng = net.rng
    features = int(rng.integers(3, 20))
    value = net.input(1, features, 1)
    value = net.node("Reshape", value, net.constant([1, -1], np.int64))
    value = net.node("Sub", net.node("Mul", value, net.constant(2)), net.constant([1]))
    top = 2 if few_bits else 5
    value = net.activation(value, int(rng.integers(1, top)), net.scale())
    for _ in range(int(rng.integers(1, 3))):
        outputs = int(rng.integers(2, 12))
        value = _dense_layer(net, value, features, outputs, int(rng.integers(1, top)))
        value = net.batch_norm(value, outputs, features) if rng.integers(0, 3) else value
        value = net.arithmetic(value, outputs, 0)
        value = net.activation(value, int(rng.integers(1, top)), net.scale())
        features = outputs
    return net.finish(net.arithmetic(_dense_layer(net, value, features, 3, 2), 3, 0))


def _dense_layer(net: Writer, value: str, features: int, outputs: int, bits: int) -> str:
    if net.rng.integers(0, 2) or not net.is_exact:
        weights = net.weights((outputs, features), 0, bits)
        return net.node("MatMul", value, net.node("Transpose", weights, perm=[1, 0]))
    weights = net.weights((features, outputs), 1, bits)
    # Multiples of a power of two, as a bias' quantizer makes them: float32 adds them exactly.
    bias = net.constant(net.rng.integers(-40, 40, outputs) / 4)
    return net.node("Gemm", value, weights, bias)


def conv(seed: int) -> bytes:
    """Convolutions with borders, groups and pools, then a fully connected layer."""
    net = Writer(seed)
    rng = net.rng
    height, width, channels = int(rng.integers(5, 8)), 6, int(rng.integers(1, 4))
    value = net.input(channels, height, width)
    value = net.quant(value, int(rng.integers(2, 5)), net.scale(), signed=True)
    outputs = channels * int(rng.integers(1, 4))
    is_padded = bool(rng.integers(0, 2))
    weights = net.weights((outputs, channels, 3, 3), 0, int(rng.integers(1, 4)))
    value = net.node("Conv", value, weights, pads=[1, 0, 1, 0] if is_padded else [0] * 4)
    height, width = height - (0 if is_padded else 2), width - 2
    value = net.batch_norm(value, outputs, 8)
    bits = int(rng.integers(1, 3))
    value = (
        net.bipolar(value, net.scale())
        if bits == 1
        else net.quant(value, bits, net.scale(), signed=True)
    )
    if rng.integers(0, 2):
        value = net.node("MaxPool", value, kernel_shape=[2, 2], strides=[1, 1])
        height, width = height - 1, width - 1
    weights = net.weights((outputs, 1, 2, 3), 0, 2)
    value = net.node("Conv", value, weights, group=outputs, pads=[0, 1, 1, 0])
    value = net.quant(net.arithmetic(value, outputs, 2), 3, net.scale(), signed=False)
    weights = net.weights((outputs * height * (width - 1), 4), 1, 2)
    return net.finish(net.node("MatMul", net.node("Flatten", value), weights))


def wide(seed: int) -> bytes:
    """Activations of 5 to 8 bits, which are multiplied and not compared."""
    net = Writer(seed)
    rng = net.rng
    features = int(rng.integers(4, 30))
    value = net.input(features)
    value = net.quant(value, int(rng.integers(5, 9)), net.scale() / 16, signed=True)
    outputs = int(rng.integers(2, 8))
    value = net.node("MatMul", value, net.weights((features, outputs), 1, int(rng.integers(1, 4))))
    value = net.batch_norm(value, outputs, features)
    signed = bool(rng.integers(0, 2))
    bits = int(rng.integers(5, 9))
    value = net.quant(value, bits, 2.0 ** (2 - bits), signed=signed)
    return net.finish(value)


def pooled(seed: int) -> bytes:
    """An average that is truncated, as Brevitas exports TruncAvgPool."""
    net = Writer(seed)
    rng = net.rng
    channels, scale = int(rng.integers(1, 6)), net.scale()
    value = net.quant(net.input(channels, 4, 4), 3, scale, signed=False)
    if rng.integers(0, 2):
        value, window = net.node("GlobalAveragePool", value), 16
    else:
        value = net.node("AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
        window = 4
    value = net.node("Mul", value, net.constant(float(window)))
    bits = 3 + window.bit_length() - 1
    operands = [value, *map(net.constant, (scale, 0, bits))]
    attributes: dict[str, object] = {"rounding_mode": "FLOOR"}
    if rng.integers(0, 2):
        operands.append(net.constant(3))
    else:  # with a scale and bounds of its own; the older domain knows no versions
        net.domain, net.version = DOMAINS[1], 2
        operands += [net.constant(scale * 2 ** (bits - 3)), net.constant(3)]
        attributes |= {"signed": 0, "narrow": 0}
    return net.finish(net.node("Trunc", *operands, domain=net.domain, **attributes))


def residual(seed: int) -> bytes:
    """Two branches that are added and quantized again; and a concatenation."""
    net = Writer(seed)
    rng = net.rng
    scale, channels = net.scale(), int(rng.integers(1, 5))
    value = net.quant(net.input(channels, 3, 3), 3, scale, signed=True)
    weights = net.weights((channels, channels, 1, 1), 0, 2)
    branch = net.node("Conv", value, weights)
    ratio = 2.0 ** rng.integers(-1, 2)
    branch = net.quant(branch, 2, scale * ratio, signed=True)
    total = net.node("Add", branch, value) if rng.integers(0, 2) else net.node("Add", value, branch)
    total = net.quant(total, 3, net.scale(), signed=bool(rng.integers(0, 2)))
    joined = net.node("Concat", total, total, axis=1)
    weights = net.weights((2, 2 * channels, 2, 2), 0, 2)
    return net.finish(net.node("Conv", joined, weights))


def finn(seed: int) -> bytes:
    """Thresholds of any distances, integer weights, scales behind the quantizer."""
    net = Writer(seed)
    rng = net.rng
    features, outputs, steps = (int(rng.integers(3, 9)) for _ in range(3))
    value = net.quant(net.input(features), 4, 1.0, signed=False)
    weights = net.constant(rng.integers(-2, 2, (features, outputs)))
    value = net.node("MatMul", value, weights)
    rows = 1 if rng.integers(0, 2) else outputs
    thresholds = np.sort(rng.integers(-20, 20, (rows, steps)) / 2, axis=1)
    value = net.node(
        "MultiThreshold", value, net.constant(thresholds), domain=net.domain,
        out_dtype=f"UINT{steps.bit_length()}", out_scale=2.0, out_bias=-1.0,
    )  # fmt: skip
    value = net.node("Mul", net.node("Add", value, net.constant(3)), net.constant(0.25))
    return net.finish(net.node("MatMul", value, net.constant(rng.integers(-3, 4, (outputs, 2)))))


MODELS: dict[str, Callable[[int], bytes]] = {
    "dense": dense,
    "conv": conv,
    "wide": wide,
    "pooled": pooled,
    "residual": residual,
    "finn": finn,
}
