"""From a QONNX file (Brevitas, QKeras, FINN) to a network: walk over the nodes, collect refusals.

Precondition: any bytes. Postcondition: a legal graph whose every activation is the level that the
file's float32 arithmetic gives for the layer's exact sum, and whose outputs, once the host has
finished them, are its real numbers; or one exception that names everything that is not supported.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from mapping.builder import Value
from mapping.host_ends import HostEnds, OutputEnd
from mapping.importers.errors import (
    ModelError,
    Problem,
    RefusedError,
    UnsupportedModelError,
    printable,
)
from mapping.importers.onnx.parse import load_model, parse_model
from mapping.importers.onnx.records import Model, Node
from mapping.importers.qonnx import elementwise, movement, weighted
from mapping.importers.qonnx.activations import quantize
from mapping.importers.qonnx.outputs import output
from mapping.importers.qonnx.values import RealSteps
from mapping.importers.qonnx.walk import Held, MissingError, Walk
from mapping.importers.remarks import remarks
from mapping.network import Network, NetworkInfo
from mapping.ops.types import MAX_ELEMENTS

DOMAINS: Final = frozenset({"qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"})
"""Where quantizers come from; the same operators under the names of several exporters."""

MAX_DESCRIPTION: Final = 200
ADDED_EXACTLY: Final = "sums are exact here, where the file's float32 rounds them on their way"

QUANTIZERS: Final = frozenset({"Quant", "IntQuant", "BipolarQuant", "Trunc", "MultiThreshold"})

IMPORTERS: Final[Mapping[str, Callable[[Walk, Node], Held]]] = MappingProxyType(
    {
        "Add": elementwise.arithmetic,
        "AveragePool": weighted.average_pool,
        "BatchNormalization": elementwise.batch_normalization,
        "Cast": movement.cast,
        "Clip": elementwise.clip,
        "Concat": movement.concat,
        "Conv": weighted.conv,
        "Div": elementwise.arithmetic,
        "Dropout": movement.identity,
        "Flatten": movement.flatten,
        "Gather": movement.gather,
        "Gemm": weighted.gemm,
        "GlobalAveragePool": weighted.global_average_pool,
        "Identity": movement.identity,
        "MatMul": weighted.matmul,
        "MaxPool": movement.max_pool,
        "Mul": elementwise.arithmetic,
        "Pow": elementwise.fold,
        "Relu": elementwise.relu,
        "Reshape": movement.reshape,
        "Shape": movement.shape_of,
        "Sqrt": elementwise.square_root,
        "Squeeze": movement.squeeze,
        "Sub": elementwise.arithmetic,
        "Transpose": movement.transpose,
        "Unsqueeze": movement.unsqueeze,
    }
)
"""For each of ONNX's own operators, how it is imported."""


@dataclass(frozen=True)
class Imported:
    """A network and what to know about it.

    Parameters
    ----------
    network : Network
        What the file holds.
    rounded : tuple of str
        Layers whose scales are no powers of two, or whose sums are too large, so that float32
        rounds them on their way. They are computed exactly here, and rounded once; a program that
        adds in float32 may see another level where a sum lies that close to a threshold.
    """

    network: Network
    rounded: tuple[str, ...]


def is_qonnx(model: Model) -> bool:
    """Whether a model has quantizers of QONNX's domains."""
    return any(node.domain in DOMAINS for node in model.nodes)


def load_qonnx(path: str | os.PathLike[str]) -> Network:
    """Read a QONNX file.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    Network
        Its graph and what the host does before and after.

    Raises
    ------
    ModelError
        If it is no such file or a damaged one; :exc:`UnsupportedModelError` if it uses what is
        not supported.
    OSError
        If the file cannot be read.
    """
    return import_records(load_model(path), Path(path).stem).network


def import_model(data: bytes, name: str = "") -> Imported:
    """Import the contents of a file; see :func:`load_qonnx`."""
    return import_records(parse_model(data), name)


def import_records(model: Model, name: str = "") -> Imported:
    """Import a model that has been read.

    Parameters
    ----------
    model : Model
        Any model; one without QONNX's quantizers is refused.
    name : str
        Name for the network.
    """
    walk = Walk(model)
    problems: list[Problem] = []
    for port, given in enumerate(model.inputs):
        if given.kind != "float" or given.shape is None or given.shape[0] != 1:
            problems.append(Problem("model input", port, "must be float32, batch 1", given.name))
        elif np.prod(given.shape, dtype=np.float64) > MAX_ELEMENTS:
            problems.append(Problem("model input", port, "has too many elements", given.name))
        else:
            places = np.arange(np.prod(given.shape)).reshape(given.shape)
            walk.values[given.name] = RealSteps(port, given.shape, places)
    for node in model.nodes:
        try:
            walk.values[_result(node)] = _import_node(walk, node)
        except MissingError:
            continue  # what it needs was refused, and is named already
        except ValueError as error:  # RefusedError, GraphError and those of records
            problems.append(Problem(node.qualified_op, node.index, str(error), node.name))
    outputs: list[tuple[int, OutputEnd]] = []
    for number, port in enumerate(model.outputs):
        if port.name in walk.values:
            try:
                outputs.append(output(walk.values[port.name]))
            except ValueError as error:
                problems.append(Problem("model output", number, str(error), port.name))
    if problems:
        raise UnsupportedModelError(tuple(problems))
    return _finish(walk, tuple(outputs), name)


def _import_node(walk: Walk, node: Node) -> Held:
    """Value of a node's only result that matters."""
    if node.domain in DOMAINS:
        importer = quantize if node.op in QUANTIZERS else None
    else:
        importer = IMPORTERS.get(node.op) if node.domain == "" else None
    if importer is None:
        raise RefusedError("this operator is not supported")
    return importer(walk, node)


def _result(node: Node) -> str:
    if not node.outputs or not node.outputs[0]:
        raise RefusedError("it must have an output")
    return node.outputs[0]


def _finish(walk: Walk, outputs: tuple[tuple[int, OutputEnd], ...], name: str) -> Imported:
    model = walk.model
    if len(outputs) < len(model.outputs) or not outputs:
        raise ModelError("a model must have outputs, all of them computed")
    missing = [port.name for number, port in enumerate(model.inputs) if number not in walk.inputs]
    if missing or not model.inputs:
        raise ModelError(f"input {missing[0] if missing else ''!r:.40} is never quantized")
    inputs = [walk.inputs[port] for port in range(len(model.inputs))]
    if sorted(node_id for node_id, _ in inputs) != [node_id for node_id, _ in inputs]:
        raise ModelError("its inputs must be quantized in the order in which they are declared")
    graph = walk.builder.graph(*(Value(walk.builder, node_id) for node_id, _ in outputs))
    ends = HostEnds(
        outputs=tuple(end for _, end in outputs), real_inputs=tuple(end for _, end in inputs)
    )
    rounded = tuple(dict.fromkeys(walk.rounded))
    said = remarks((ADDED_EXACTLY, printable(node)) for node in rounded)
    description = printable(model.description, MAX_DESCRIPTION)
    info = NetworkInfo(name=name, description=description, remarks=said)
    return Imported(Network(graph, info, ends), rounded)
