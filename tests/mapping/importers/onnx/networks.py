"""A small network as ONNX Runtime's static quantization writes it, in all its forms."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

SHAPE = (3, 8, 8)


class Calibration(CalibrationDataReader):
    """Feeds random images."""

    def __init__(self) -> None:
        self.feeds = iter([{"x": image[np.newaxis]} for image in images(seed=1)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def images(seed: int, count: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, *SHAPE)).astype(np.float32)


def real_network(*, has_branches: bool) -> onnx.ModelProto:
    """Convolutions, a depthwise one, pools and a dense layer; perhaps with a sum and a mean."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, 1, 3, 3), "w3": (8, 8, 1, 1), "w4": (10, 128)}
    shapes |= {f"b{i}": (shapes[f"w{i}"][0],) for i in range(1, 5)}
    if has_branches:
        shapes["w4"] = (10, 8)
    constants = [
        numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], group=8),
        node("Relu", ["c2"], ["r2"]),
        node("MaxPool", ["r2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p2", "w3", "b3"], ["c3"]),
        node("Relu", ["c3"], ["r3"]),
    ]
    if has_branches:
        nodes += [
            node("Add", ["r3", "p2"], ["a"]),
            node("GlobalAveragePool", ["a"], ["g"]),
            node("Flatten", ["g"], ["f"]),
        ]
    else:
        nodes.append(node("Flatten", ["r3"], ["f"]))
    nodes.append(node("Gemm", ["f", "w4", "b4"], ["y"], transB=1))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *SHAPE])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "small", [x], [y], constants)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def quantized_network(folder: Path, *, has_branches: bool = False, **options: object) -> bytes:
    """Network as a file; the options are ``quantize_static``'s."""
    onnx.save(real_network(has_branches=has_branches), folder / "real.onnx")
    options.setdefault("activation_type", QuantType.QInt8)
    quantize_static(folder / "real.onnx", folder / "small.onnx", Calibration(), **options)
    return (folder / "small.onnx").read_bytes()
