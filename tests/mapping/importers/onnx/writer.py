"""Writing small ONNX models, node by node."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET = 21
IR_VERSION = 10
MICROSOFT = "com.microsoft"


class Writer:
    """Collects nodes, constants and ports of one model; values are known by their names."""

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []
        self._count = 0

    def name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def constant(self, values: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), self.name()))
        return self.constants[-1].name

    def input(self, shape: Sequence[int | str], dtype: Any) -> str:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.inputs.append(helper.make_tensor_value_info(self.name(), kind, shape))
        return self.inputs[-1].name

    def node(self, op: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        made = helper.make_node(op, inputs, [self.name()], domain=domain, **attributes)
        self.nodes.append(made)
        return made.output[0]

    def output(self, name: str, dtype: Any) -> None:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.outputs.append(helper.make_tensor_value_info(name, kind, None))

    def to_bytes(self) -> bytes:
        graph = helper.make_graph(self.nodes, "random", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return model.SerializeToString()
