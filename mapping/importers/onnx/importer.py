"""From an ONNX file to a network: every node in order, and every refusal in one report."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mapping.builder import Value
from mapping.graph import Graph
from mapping.host_ends import HostEnds, Layout, OutputEnd
from mapping.importers.errors import (
    ModelError,
    Problem,
    RefusedError,
    UnsupportedModelError,
    printable,
)
from mapping.importers.onnx.operators import (
    ends,
    movement,
    pointwise,
    pooling,
    quantization,
    weighted,
)
from mapping.importers.onnx.parse import load_model, parse_model
from mapping.importers.onnx.records import Model, Node, Port
from mapping.importers.onnx.values import AxisGrid, Codes, Ended, Grid, Real, Thing
from mapping.importers.onnx.walk import SkippedError, Walk, layout, without_batch
from mapping.importers.remarks import remarks
from mapping.network import Network, NetworkInfo
from mapping.ops import GraphError, Input

Importer = Callable[[Walk, Node], Thing]

ONNX: Final = ""
MICROSOFT: Final = "com.microsoft"

IMPORTERS: Final[Mapping[tuple[str, str], Importer]] = {
    (ONNX, "Add"): pointwise.add,
    (ONNX, "AveragePool"): pooling.average_pool,
    (ONNX, "Cast"): quantization.cast,
    (ONNX, "Clip"): pointwise.clip,
    (ONNX, "Concat"): pointwise.concat,
    (ONNX, "Conv"): weighted.conv,
    (ONNX, "ConvInteger"): weighted.conv_integer,
    (ONNX, "DequantizeLinear"): quantization.dequantize,
    (ONNX, "Dropout"): movement.identity,
    (ONNX, "Flatten"): movement.flatten,
    (ONNX, "Gemm"): weighted.gemm,
    (ONNX, "GlobalAveragePool"): pooling.global_average_pool,
    (ONNX, "HardSigmoid"): pointwise.hard_sigmoid,
    (ONNX, "HardSwish"): pointwise.hard_swish,
    (ONNX, "Identity"): movement.identity,
    (ONNX, "MatMul"): weighted.matmul,
    (ONNX, "MatMulInteger"): weighted.matmul_integer,
    (ONNX, "MaxPool"): pooling.max_pool,
    (ONNX, "Mul"): pointwise.multiply,
    (ONNX, "Pad"): movement.pad,
    (ONNX, "QLinearConv"): weighted.qlinear_conv,
    (ONNX, "QLinearMatMul"): weighted.qlinear_matmul,
    (ONNX, "QuantizeLinear"): quantization.quantize,
    (ONNX, "ReduceMean"): pooling.reduce_mean,
    (ONNX, "Relu"): pointwise.relu,
    (ONNX, "Reshape"): movement.reshape,
    (ONNX, "Sigmoid"): pointwise.sigmoid,
    (ONNX, "Softmax"): ends.softmax,
    (ONNX, "Squeeze"): movement.squeeze,
    (ONNX, "Tanh"): pointwise.tanh,
    (ONNX, "Transpose"): movement.transpose,
    (ONNX, "Unsqueeze"): movement.unsqueeze,
    (MICROSOFT, "DequantizeLinear"): quantization.dequantize,
    (MICROSOFT, "QGemm"): weighted.qgemm,
    (MICROSOFT, "QLinearAdd"): pointwise.qlinear_add,
    (MICROSOFT, "QLinearAveragePool"): pooling.qlinear_average_pool,
    (MICROSOFT, "QLinearConcat"): pointwise.qlinear_concat,
    (MICROSOFT, "QLinearGlobalAveragePool"): pooling.qlinear_global_average_pool,
    (MICROSOFT, "QuantizeLinear"): quantization.quantize,
}
"""How each operator of each domain is imported."""

REFUSED: Final[Mapping[str, str]] = {
    "QLinearSoftmax": "quantize with QuantFormat.QDQ, which leaves softmax to the host",
    "ConvTranspose": "transposed convolutions are not supported: resize and convolve",
    "DynamicQuantizeLinear": "scales that depend on data are not supported: use quantize_static",
}
"""What more can be said of some operators."""

REAL_KINDS: Final = ("float", "double", "float16")
HOW_TO_QUANTIZE: Final = (
    "it is not quantized: quantize it with onnxruntime.quantization.quantize_static (int8 or uint8)"
)


@dataclass(frozen=True)
class Imported:
    """A network, and what can be said of its results.

    Parameters
    ----------
    network : Network
        What the file holds. Its inputs and outputs are in ONNX's shapes and order, by way of
        :class:`mapping.host_ends.HostEnds`.
    unproven : tuple of Problem
        Nodes whose results ONNX Runtime, told not to optimise, may round otherwise near ties.
    """

    network: Network
    unproven: tuple[Problem, ...]


def load_onnx(path: str | os.PathLike[str]) -> Network:
    """Read an ONNX file of a quantized network.

    Parameters
    ----------
    path : path
        File to read; external data may lie beside it.

    Returns
    -------
    Network
        Its graph of 8-bit integers and what the host does before and after.

    Raises
    ------
    ModelError
        If it is no such file or a damaged one; :exc:`UnsupportedModelError` if it uses what is
        not supported.
    OSError
        If the file cannot be read.
    """
    return import_records(load_model(path), Path(path).stem).network


def import_model(data: bytes, name: str = "", *, strict: bool = False) -> Imported:
    """Import the contents of an ONNX file; see :func:`load_onnx`.

    Parameters
    ----------
    data : bytes
        A whole file.
    name : str
        Name for the network.
    strict : bool
        Whether to refuse nodes whose results are not proven to be those of ONNX Runtime without
        optimisations.
    """
    imported = import_records(parse_model(data), name)
    if strict and imported.unproven:
        raise UnsupportedModelError(imported.unproven)
    return imported


def import_records(model: Model, name: str = "") -> Imported:
    """Import a model that is read already."""
    is_real = all(port.kind in REAL_KINDS for port in model.inputs)
    if is_real and not any("Quantize" in node.op for node in model.nodes):
        raise ModelError(HOW_TO_QUANTIZE)
    walk = Walk(model)
    problems: list[Problem] = []
    for node in model.nodes:
        try:
            _import_node(walk, node)
        except SkippedError:
            walk.refused.update(node.outputs)
        except (RefusedError, GraphError) as error:
            problems.append(Problem(node.qualified_op, node.index, str(error), node.name))
            walk.refused.update(node.outputs)
    results: list[_Result] = []
    for port in model.outputs:
        try:
            if port.name not in walk.refused:
                results.append(_result(walk, port))
        except RefusedError as error:
            problems.append(Problem("output", None, str(error), port.name))
    if problems:
        raise UnsupportedModelError(tuple(problems))
    return Imported(_finish(walk, results, name), tuple(walk.unproven))


def _import_node(walk: Walk, node: Node) -> None:
    importer = IMPORTERS.get((node.domain, node.op))
    if importer is None:
        raise RefusedError(REFUSED.get(node.op, "this operator is not supported"))
    if not node.outputs or not node.outputs[0]:
        raise RefusedError("it has no output")
    walk.things[node.outputs[0]] = importer(walk, node)
    walk.refused.update(filter(None, node.outputs[1:]))


@dataclass(frozen=True)
class _Result:
    """One output: the graph's, the order of its elements, and what the host makes of them."""

    value: Value
    layout: Layout
    end: OutputEnd


def _result(walk: Walk, port: Port) -> _Result:
    thing = walk.things.get(port.name)
    match thing:
        case Codes():
            codes, end = thing, OutputEnd()
        case Real(grid=grid) if grid is not None:
            codes, end = thing.codes, OutputEnd(real=grid.affine)
        case Ended():
            codes, end = thing.codes, thing.end
        case _:
            raise RefusedError(
                "it must be quantized activations, or those dequantized, perhaps with a softmax"
            )
    found = layout(codes.index, codes.value.type.shape, without_batch(codes.index.shape))
    if found is None:
        raise RefusedError("its elements would have to be ordered in several steps")
    return _Result(codes.value, found, end)


def _finish(walk: Walk, results: list[_Result], name: str) -> Network:
    unused = [port.name for port in walk.model.inputs if port.name not in walk.inputs]
    if unused:
        raise ModelError(f"input {unused[0]!r:.40} is never used: remove it from the model")
    inputs = [walk.inputs[port.name] for port in walk.model.inputs]
    try:
        graph = walk.builder.graph(*(result.value for result in results))
    except GraphError as error:
        raise ModelError(str(error)) from None
    graph = _inputs_in_order(graph, [value.node_id for value, _, _ in inputs])
    grids = [grid for _, grid, _ in inputs]
    host = HostEnds(
        inputs=tuple(each.affine if isinstance(each, Grid) else None for each in grids),
        outputs=tuple(result.end for result in results),
        input_layouts=tuple(layout for _, _, layout in inputs),
        output_layouts=tuple(result.layout for result in results),
        halves_to_even=True,
        inputs_by_axis=tuple(each.affine if isinstance(each, AxisGrid) else None for each in grids),
    )
    scale = grids[0].scale if isinstance(grids[0], Grid) else 1.0
    info = NetworkInfo(
        name=name or printable(walk.model.name),
        description=printable(walk.model.description),
        input_scale=scale,
        remarks=remarks((each.reason, each.place) for each in walk.unproven),
    )
    return Network(graph, info, host)


def _inputs_in_order(graph: Graph, input_ids: list[int]) -> Graph:
    """The graph with its inputs first, in the model's order; they use nothing."""
    others = [i for i, node in enumerate(graph.nodes) if not isinstance(node, Input)]
    order = [*input_ids, *others]
    place = {old: new for new, old in enumerate(order)}
    nodes = tuple(
        replace(graph.nodes[old], inputs=tuple(place[i] for i in graph.nodes[old].inputs))
        for old in order
    )
    return Graph(nodes, tuple(place[output] for output in graph.outputs))
