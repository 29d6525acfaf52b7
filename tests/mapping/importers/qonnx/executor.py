"""QONNX's meaning, executed independently of the importer: the oracle of these tests.

ONNX's own operators run in ONNX Runtime, one node at a time, as qonnx's executor runs them; the
quantizers are written here after QONNX's specification, and compared with that package's where it
is installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mapping.importers.qonnx.importer import DOMAINS

Values = dict[str, np.ndarray]


class Executor:
    """Runs a model on one image after the other.

    Parameters
    ----------
    data : bytes
        The model.
    adds_exactly : bool
        Whether MatMul and Conv add in float64 and round once.
    """

    def __init__(self, data: bytes, *, adds_exactly: bool = False) -> None:
        self.model = onnx.load_from_string(data)
        self.adds_exactly = adds_exactly
        graph = self.model.graph
        self.constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self.inputs = [each.name for each in graph.input if each.name not in self.constants]
        self.sessions: dict[int, onnxruntime.InferenceSession] = {}

    def __call__(self, *inputs: NDArray[np.float32]) -> list[np.ndarray]:
        """Outputs for one image, its batch axis included."""
        values = {**self.constants, **dict(zip(self.inputs, inputs, strict=True))}
        for index, node in enumerate(self.model.graph.node):
            operands = [values[name] if name else None for name in node.input]
            if node.domain in DOMAINS:
                attributes = {
                    each.name: helper.get_attribute_value(each) for each in node.attribute
                }
                result = QUANTIZERS[node.op_type](operands, attributes)
                values[node.output[0]] = np.asarray(result, np.float32)
            else:
                values[node.output[0]] = self._run(index, node, operands)
        return [values[each.name] for each in self.model.graph.output]

    def _run(self, index: int, node: onnx.NodeProto, operands: list[np.ndarray]) -> np.ndarray:
        is_double = self.adds_exactly and node.op_type in ("MatMul", "Conv")
        if is_double:
            operands = [each.astype(np.float64) for each in operands]
        if index not in self.sessions:
            self.sessions[index] = _session(node, operands, self.model)
        names = [name for name in node.input if name]
        (result,) = self.sessions[index].run(None, dict(zip(names, operands, strict=True)))
        return result.astype(np.float32) if is_double else result


def _session(
    node: onnx.NodeProto, operands: list[np.ndarray], model: onnx.ModelProto
) -> onnxruntime.InferenceSession:
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(each.dtype), None)
        for name, each in {n: o for n, o in zip(node.input, operands, strict=True) if n}.items()
    ]
    graph = helper.make_graph([node], "one", inputs, [onnx.ValueInfoProto(name=node.output[0])])
    opsets = [each for each in model.opset_import if each.domain == ""]
    alone = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(alone.SerializeToString(), options)


@dataclass(frozen=True)
class Range:
    """Smallest and largest integer of so many bits."""

    bits: int
    is_signed: bool
    is_narrow: bool

    @property
    def ends(self) -> tuple[int, int]:
        if self.is_signed:
            return -(2 ** (self.bits - 1)) + self.is_narrow, 2 ** (self.bits - 1) - 1
        return 0, 2**self.bits - 1 - self.is_narrow


def round_to(mode: bytes, values: np.ndarray) -> np.ndarray:
    """Round as QONNX's modes say, magnitude by magnitude."""
    name = mode.decode().upper()
    if name in ("ROUND", "HALF_EVEN"):
        return np.rint(values)
    if name in ("FLOOR", "CEIL"):
        return np.floor(values) if name == "FLOOR" else np.ceil(values)
    half, size = np.float32(0.5), np.abs(values)
    magnitude = {
        "UP": np.ceil(size),
        "DOWN": np.floor(size),
        "HALF_UP": np.floor(size + half),
        "HALF_DOWN": np.ceil(size - half),
    }[name]
    return np.copysign(magnitude, values)


def quant(operands: list[np.ndarray], attributes: Mapping) -> np.ndarray:
    values, scale, zero, bits = operands
    is_signed = bool(attributes["signed"])
    steps = values / scale + zero
    if bits == 1 and is_signed:
        levels = np.where(steps >= 0, np.float32(1), np.float32(-1))
    else:
        low, high = Range(int(bits), is_signed, bool(attributes["narrow"])).ends
        held = np.minimum(np.maximum(steps, np.float32(low)), np.float32(high))
        levels = round_to(attributes.get("rounding_mode", b"ROUND"), held)
    return (levels - zero) * scale


def bipolar_quant(operands: list[np.ndarray], attributes: Mapping) -> np.ndarray:
    values, scale = operands
    return np.where(values >= 0, np.float32(1), np.float32(-1)) * scale


def trunc(operands: list[np.ndarray], attributes: Mapping) -> np.ndarray:
    values, scale, zero, bits = operands[:4]
    steps = np.rint(values / scale + zero)
    mode = attributes.get("rounding_mode", b"FLOOR")
    if len(operands) == 5:
        shortened = steps / np.float32(2 ** (int(bits) - int(operands[4])))
        return (round_to(mode, shortened) - zero) * scale
    out_scale, out_bits = operands[4:]
    factor = np.float32(2 ** np.rint(np.log2(out_scale / scale)))
    low, high = Range(
        int(out_bits), bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))
    ).ends
    held = np.minimum(np.maximum(steps / factor, np.float32(low)), np.float32(high))
    return (round_to(mode, held) - zero / factor) * out_scale


def multi_threshold(operands: list[np.ndarray], attributes: Mapping) -> np.ndarray:
    values, thresholds = operands
    channels_last = np.moveaxis(values, 1, -1)[..., np.newaxis]
    count = np.count_nonzero(channels_last >= thresholds, axis=-1).astype(np.float32)
    scale, bias = (np.float32(attributes.get(n, d)) for n, d in (("out_scale", 1), ("out_bias", 0)))
    return np.moveaxis(scale * count + bias, -1, 1)


QUANTIZERS = {
    "Quant": quant,
    "IntQuant": quant,
    "BipolarQuant": bipolar_quant,
    "Trunc": trunc,
    "MultiThreshold": multi_threshold,
}
