"""From a TensorFlow Lite file to a network: read, walk over the operators, collect what is refused.

Precondition: any bytes. Postcondition: a legal graph whose every value is what tflite-micro's int8
kernels compute, bit for bit; or one exception that names everything that is not supported.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mapping.builder import Value
from mapping.host_ends import HostEnds, OutputEnd
from mapping.importers.errors import (
    ModelError,
    Problem,
    RefusedError,
    UnsupportedModelError,
)
from mapping.importers.tflite import elementwise, ends, movement, pooling, weighted
from mapping.importers.tflite.parse import MAX_BYTES, parse_model
from mapping.importers.tflite.records import Model, Operator
from mapping.importers.tflite.walk import Walk, activations
from mapping.network import Network, NetworkInfo
from mapping.ops import ActType, GraphError

Importer = Callable[[Walk, Operator], Value | None]

IMPORTERS: Final[dict[str, tuple[int, Importer]]] = {
    "ADD": (3, elementwise.add),
    "AVERAGE_POOL_2D": (3, pooling.average_pool),
    "CONCATENATION": (3, movement.concatenate),
    "CONV_2D": (8, weighted.conv),
    "DEPTHWISE_CONV_2D": (7, weighted.depthwise_conv),
    "DEQUANTIZE": (6, ends.dequantize),
    "FULLY_CONNECTED": (12, weighted.fully_connected),
    "HARD_SWISH": (1, elementwise.hard_swish),
    "LOGISTIC": (3, elementwise.logistic),
    "MAX_POOL_2D": (3, pooling.max_pool),
    "MEAN": (3, pooling.mean),
    "PAD": (4, movement.pad),
    "QUANTIZE": (4, ends.quantize),
    "RELU": (3, elementwise.relu),
    "RELU6": (3, elementwise.relu6),
    "RESHAPE": (1, movement.reshape),
    "SOFTMAX": (3, ends.softmax),
    "TANH": (3, elementwise.tanh),
}
"""For each operator, the newest version that is known to mean the same, and how it is imported."""


@dataclass(frozen=True)
class Imported:
    """A network and where its tensors came from.

    Parameters
    ----------
    network : Network
        What the file holds.
    nodes : mapping of int to int
        For each tensor of the file that the array computes, the node whose result it is.
    """

    network: Network
    nodes: Mapping[int, int]


def load_tflite(path: str | os.PathLike[str]) -> Network:
    """Read a TensorFlow Lite file.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    Network
        Its int8 graph and what the host does before and after.

    Raises
    ------
    ModelError
        If it is no such file or a damaged one; :exc:`UnsupportedModelError` if it uses what is
        not supported.
    OSError
        If the file cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return import_model(data, Path(path).stem).network


def import_model(data: bytes, name: str = "") -> Imported:
    """Import the contents of a TensorFlow Lite file; see :func:`load_tflite`.

    Parameters
    ----------
    data : bytes
        A whole file.
    name : str
        Name for the network.
    """
    model = parse_model(data)
    walk = Walk(model)
    problems: list[Problem] = []
    for index in model.inputs:
        try:
            ends.add_input(walk, model.tensors[index])
        except (RefusedError, GraphError) as error:
            problems.append(Problem("model input", None, str(error)))
            _stand_in(walk, index)
    for operator in model.operators:
        try:
            _import_operator(walk, operator)
        except (RefusedError, GraphError) as error:
            problems.append(Problem(operator.name, operator.index, str(error)))
            for index in operator.outputs:
                _stand_in(walk, index)
    if problems:
        raise UnsupportedModelError(tuple(problems))
    return _finish(walk, model, name)


def _import_operator(walk: Walk, operator: Operator) -> None:
    """Import one operator and check that its result is what the file says."""
    if operator.name not in IMPORTERS:
        raise RefusedError("this operator is not supported")
    version, importer = IMPORTERS[operator.name]
    if operator.version > version:
        raise RefusedError(f"its version must be at most {version}, not {operator.version}")
    target = walk.output(operator)
    if target.index in walk.values or target.index in walk.ends or target.data is not None:
        raise RefusedError(f"{target.label} has a value already")
    value = importer(walk, operator)
    if value is None:
        return  # the host's
    _, declared = activations(target, "UINT8" if target.kind == "UINT8" else "INT8")
    if value.type != declared:
        raise RefusedError(f"{target.label} is {declared} in the file, but must be {value.type}")
    walk.values[target.index] = value


def _stand_in(walk: Walk, index: int) -> None:
    """Give a refused tensor a value, so that what uses it is looked at as well."""
    if index in walk.values or index in walk.ends:
        return
    try:
        _, declared = activations(walk.model.tensors[index])
        element = declared.element
        assert isinstance(element, ActType)  # activations() gives no other
        walk.values[index] = walk.builder.input(declared.shape, 8, True, element.zero_point)
    except (RefusedError, GraphError):
        return  # its users will be refused for the same reason


def _finish(walk: Walk, model: Model, name: str) -> Imported:
    found: list[tuple[int, OutputEnd]] = []
    for index in model.outputs:
        if index in walk.ends:
            found.append(walk.ends[index])
        elif index in walk.values:
            found.append((walk.values[index].node_id, OutputEnd()))
        else:
            raise ModelError(f"output {model.tensors[index].label} is never computed")
    if not found or not model.inputs:
        raise ModelError("a model must have an input and an output")
    try:
        graph = walk.builder.graph(*(Value(walk.builder, node_id) for node_id, _ in found))
    except GraphError as error:
        raise ModelError(str(error)) from None
    inputs = tuple(walk.quantized_inputs.get(index, (0, None))[1] for index in model.inputs)
    first = model.tensors[model.inputs[0]].quantization
    scale = inputs[0].scale if inputs[0] is not None else None
    if scale is None:
        scale = float(first.scales[0]) if first is not None else 1.0
    info = NetworkInfo(name=name, description=model.description, input_scale=scale)
    all_ends = HostEnds(inputs, tuple(end for _, end in found))
    nodes = {index: value.node_id for index, value in walk.values.items()}
    network = Network(graph, info, HostEnds() if all_ends.is_empty else all_ends)
    return Imported(network, nodes)
