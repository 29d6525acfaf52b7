"""What a float operator may give that rounds each of its steps to float32, in any order.

A model's last float operator is computed in double precision by ONNX's own reference evaluator,
from the float32 numbers that go into it, and so is the sum of its terms' magnitudes. Every order of
adding, fused or not, stays within (terms + few) units of 2**-24 of that sum (Higham, Accuracy and
Stability of Numerical Algorithms, section 4.2). Where both ends of that interval are rounded to one
integer, every implementation has to give it; elsewhere ONNX Runtime's answer is a matter of the
machine it runs on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from tests.mapping.importers.onnx.oracle import shape_of

ADDING = ("AveragePool", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "ReduceMean")
OTHER_ROUNDINGS = 9
"""Of a term: three to make it, three for a mean and the grid, one for a bias, and some slack."""


class Conv(OpRun):
    """Convolution of images; the evaluator's own mistakes borders and dilations in onnx 1.22."""

    op_domain = ""

    def _run(  # the evaluator calls it with every attribute
        self, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None = None,
        auto_pad: str = "NOTSET", dilations: Sequence[int] | None = None, group: int = 1,
        kernel_shape: Sequence[int] | None = None, pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[np.ndarray]:  # fmt: skip
        if x.ndim == 3:  # a line is an image of height 1
            (start, end), (tap,), (step,) = pads or (0, 0), dilations or (1,), strides or (1,)
            (sums,) = self._run(
                x[:, :, np.newaxis], kernel[:, :, np.newaxis], bias, auto_pad, (1, tap), group,
                None, (0, start, 0, end), (1, step),
            )  # fmt: skip
            return (sums[:, :, 0],)
        taps, steps = dilations or (1, 1), strides or (1, 1)
        spans = tuple((k - 1) * tap + 1 for k, tap in zip(kernel.shape[2:], taps, strict=True))
        low, high = (pads or (0, 0, 0, 0))[:2], (pads or (0, 0, 0, 0))[2:]
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            sizes = zip(x.shape[2:], steps, spans, strict=True)
            lacking = [max(-(-e // step) * step - step + span - e, 0) for e, step, span in sizes]
            low, high = [each // 2 for each in lacking], [-(-each // 2) for each in lacking]
            low, high = (high, low) if auto_pad == "SAME_LOWER" else (low, high)
        padded = np.pad(x, ((0, 0), (0, 0), *zip(low, high, strict=True)))
        seen = sliding_window_view(padded, spans, (2, 3))[:, :, :: steps[0], :: steps[1]]
        seen = seen[..., :: taps[0], :: taps[1]]
        seen = seen.reshape(len(x), group, -1, *seen.shape[2:])
        weights = kernel.reshape(group, -1, *kernel.shape[1:])
        sums = np.einsum("ngchwij,gocij->ngohw", seen, weights)
        sums = sums.reshape(len(x), -1, *sums.shape[3:])
        return (sums if bias is None else sums + bias.reshape(-1, 1, 1),)


@dataclass(frozen=True)
class Limits:
    """Smallest and largest results, one array of an output's shape and type per batch."""

    low: np.ndarray
    high: np.ndarray

    @property
    def is_certain(self) -> np.ndarray:
        """Where all implementations agree."""
        return self.low == self.high

    def hold(self, results: np.ndarray) -> np.ndarray:
        """Which results are possible."""
        return (self.low <= results) & (results <= self.high)


def limits(data: bytes, batches: Sequence[np.ndarray]) -> Limits:
    """Limits of a model's only output, which a float operator gives that is then quantized.

    Parameters
    ----------
    data : bytes
        The model.
    batches : sequence of ndarray, shape (n, ...)
        As for ONNX Runtime.
    """
    sums, magnitudes = _evaluator(data, "Identity"), _evaluator(data, "Abs")
    model = onnx.load_from_string(data)
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    grid = [each for each in model.graph.node if each.op_type == "QuantizeLinear"][-1].input[1:]
    scale, zero = (constants[name] for name in grid)
    is_real = model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    held = np.iinfo(zero.dtype)

    def quantized(reals: np.ndarray) -> np.ndarray:
        steps = np.clip(np.rint(reals / np.float64(scale)) + zero, held.min, held.max)
        return np.float32(steps - zero) * scale if is_real else steps.astype(zero.dtype)

    found: list[tuple[np.ndarray, np.ndarray]] = []
    for image in zip(*batches, strict=True):
        feeds = {
            port.name: values.reshape(_shape(port)).copy()
            for port, values in zip(model.graph.input, image, strict=True)
        }
        terms = max(values.size for values in image) + 1  # no sum has more
        result, _ = sums.run(None, feeds)
        _, magnitude = magnitudes.run(None, feeds)
        error = magnitude * (terms + OTHER_ROUNDINGS) * 2.0**-24
        found.append((quantized(result - error), quantized(result + error)))
    low, high = zip(*found, strict=True)
    return Limits(np.stack(low), np.stack(high))


def _evaluator(data: bytes, op: str) -> Any:
    """Evaluator in double precision of what is quantized last, and of the sum behind it.

    What DequantizeLinear gives goes through ``op`` first.
    """
    model = onnx.load_from_string(data)
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "MaxPool":  # the evaluator knows none of integers
            (kernel,) = (each.ints for each in node.attribute if each.name == "kernel_shape")
            assert set(kernel) == {1}
            nodes.append(helper.make_node("Identity", node.input, node.output))
            continue
        nodes.append(node)
        if node.op_type == "DequantizeLinear":
            (name,) = node.output
            node.output[0] = f"{name} of 32 bits"
            wide = f"{name} of 64 bits"
            nodes.append(helper.make_node("Cast", node.output, [wide], to=TensorProto.DOUBLE))
            nodes.append(helper.make_node(op, [wide], [name]))
    last = max(i for i, node in enumerate(nodes) if node.op_type == "QuantizeLinear")
    names = [nodes[last].input[0]]
    names += [node.output[0] for node in nodes[:last] if node.op_type in ADDING][-1:]
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(nodes[:last])
    for name in names:
        port = helper.make_tensor_value_info(name, TensorProto.DOUBLE, None)
        model.graph.output.append(port)
    return ReferenceEvaluator(model, new_ops=[Conv])


def _shape(port: onnx.ValueInfoProto) -> list[int]:
    dims = port.type.tensor_type.shape.dim
    return list(shape_of([each.dim_value for each in dims]))
