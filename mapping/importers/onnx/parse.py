"""From an ONNX file to plain records, by way of the package ``onnx``.

Only its protobuf classes are used: its checker and its loader believe paths and lengths, and are
not asked. Nothing that is read here is trusted. Messages are counted before the file is parsed,
tensors have to fill their shapes, and every name a node uses has to be given before it.
"""

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from mapping.importers.errors import ModelError
from mapping.importers.onnx.records import Attribute, Constant, Model, Node, Port, Unread
from mapping.importers.onnx.tensors import MAX_AXES, TensorReader, text
from mapping.importers.onnx.wire import check_messages

MAX_BYTES: Final = 32 << 20
MAX_NODES: Final = 4096
MAX_OPERANDS: Final = 256
MAX_SHOWN: Final = 40
MIN_IR, MAX_IR = 3, 14
OPSETS: Final = {"": (7, 28), "com.microsoft": (1, 1)}
"""Domains and the versions whose operators are known; others' need not even be imported."""

CONSTANT_VALUES: Final = ("value", "value_float", "value_floats", "value_int", "value_ints")


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a file and the external data beside it.

    Parameters
    ----------
    path : path
        File to read; its external data may only lie in its own folder.

    Raises
    ------
    ModelError
        See :func:`parse_model`.
    OSError
        If the file cannot be read.
    """
    file_path = Path(path)
    with file_path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return parse_model(data, file_path.parent)


def parse_model(data: bytes, folder: Path | None = None) -> Model:
    """Read a model.

    Parameters
    ----------
    data : bytes
        A whole file.
    folder : Path or None
        Folder that external data may lie in; None refuses them.

    Returns
    -------
    Model
        Values in an order in which they can be computed, constants as long as their shapes say.

    Raises
    ------
    ModelError
        If it is no ONNX file, of another version, damaged, larger than the limits, or if an input
        has no fixed shape.
    """
    if len(data) > MAX_BYTES:
        raise ModelError(f"a model must have at most {MAX_BYTES:,} bytes, not {len(data):,}")
    package = _package()
    check_messages(package.ModelProto.DESCRIPTOR, data)
    proto = package.ModelProto()
    decode_error = import_module("google.protobuf.message").DecodeError
    try:
        proto.ParseFromString(data)
        return _Reader(package, folder).model(proto)
    except ModelError:
        raise
    except (decode_error, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:MAX_SHOWN]
        raise ModelError(f"no ONNX file, or one that is damaged ({reason})") from None


def _package() -> Any:
    try:
        return import_module("onnx")
    except ModuleNotFoundError:
        raise ModelError("reading ONNX files needs the package onnx: pip install onnx") from None


class _Reader:
    """One reading of one model."""

    def __init__(self, package: Any, folder: Path | None) -> None:
        types = {number: name for name, number in package.TensorProto.DataType.items()}
        self._kinds = {
            number: name for name, number in package.AttributeProto.AttributeType.items()
        }
        self._tensors = TensorReader(types, folder)

    def model(self, proto: Any) -> Model:
        """Read everything, then look whether it fits together."""
        if not MIN_IR <= proto.ir_version <= MAX_IR:
            raise ModelError(
                f"its IR version must be {MIN_IR}..{MAX_IR}, not {proto.ir_version}: "
                "export it with another version of onnx"
            )
        opsets = _opsets(proto)
        if len(proto.functions):
            raise ModelError("functions of a model's own are not supported: inline them")
        graph = proto.graph
        if len(graph.sparse_initializer):
            raise ModelError("sparse initializers are not supported: store them dense")
        constants = {
            text(each.name): self._tensors.read(each, text(each.name)) for each in graph.initializer
        }
        if len(constants) < len(graph.initializer) or "" in constants:
            raise ModelError("every initializer must have a name of its own")
        inputs = tuple(self._input(each) for each in graph.input if each.name not in constants)
        nodes = tuple(self._nodes(graph, opsets))
        constants.update(_computed(nodes))
        model = Model(
            name=text(graph.name),
            description=text(proto.doc_string or graph.doc_string),
            opsets=opsets,
            inputs=inputs,
            outputs=tuple(self._output(each) for each in graph.output),
            nodes=tuple(node for node in nodes if not _is_constant(node)),
            constants=constants,
        )
        _check_names(model, nodes)
        return model

    def _input(self, value: Any) -> Port:
        """Port of fixed shape; a batch of any size may be a batch of 1."""
        name = text(value.name)
        kind, axes = self._port_type(value)
        if axes is None:
            raise ModelError(f"input {name!r:.{MAX_SHOWN}} must be a tensor with a shape")
        shape: list[int] = []
        for axis, (extent, symbol) in enumerate(axes):
            if extent < 1 and axis > 0:
                raise ModelError(
                    f"input {name!r:.{MAX_SHOWN}}: axis {axis} "
                    f"({symbol or 'without a name'!r:.{MAX_SHOWN}}) has no fixed length: "
                    "export the model with fixed shapes"
                )
            shape.append(max(extent, 1))
        return Port(name, kind, tuple(shape))

    def _output(self, value: Any) -> Port:
        name = text(value.name)
        kind, axes = self._port_type(value)
        if axes is None or any(extent < 1 for extent, _ in axes[1:]):
            return Port(name, kind, None)
        return Port(name, kind, tuple(max(extent, 1) for extent, _ in axes))

    def _port_type(self, value: Any) -> tuple[str, list[tuple[int, str]] | None]:
        """Element type, and for each axis its length (below 1 if open) and its symbol."""
        if not value.type.HasField("tensor_type"):
            return "", None
        tensor = value.type.tensor_type
        kind = self._tensors.kind(tensor.elem_type) if tensor.elem_type else ""
        if not tensor.HasField("shape"):
            return kind, None
        if len(tensor.shape.dim) > MAX_AXES:
            raise ModelError(f"{value.name!r:.{MAX_SHOWN}} must have at most {MAX_AXES} axes")
        return kind, [(int(axis.dim_value), axis.dim_param) for axis in tensor.shape.dim]

    def _nodes(self, graph: Any, opsets: dict[str, int]) -> Iterator[Node]:
        if len(graph.node) > MAX_NODES:
            raise ModelError(
                f"a model must have at most {MAX_NODES} nodes, not {len(graph.node):,}"
            )
        for index, proto in enumerate(graph.node):
            domain, operator = _domain(proto.domain), text(proto.op_type)
            what = f"node {index} ({operator!r:.{MAX_SHOWN}})"
            if domain in OPSETS and domain not in opsets:
                raise ModelError(
                    f"{what}: the model imports no operators of the domain "
                    f"{domain or 'ai.onnx'!r:.{MAX_SHOWN}}"
                )
            if max(len(proto.input), len(proto.output)) > MAX_OPERANDS:
                raise ModelError(f"{what} must have at most {MAX_OPERANDS} inputs and outputs")
            attributes = {text(each.name): self._attribute(each, what) for each in proto.attribute}
            if len(attributes) < len(proto.attribute):
                raise ModelError(f"{what} has an attribute twice")
            yield Node(index, operator, domain, text(proto.name), tuple(map(text, proto.input)),
                       tuple(map(text, proto.output)), attributes)  # fmt: skip

    def _attribute(self, proto: Any, what: str) -> Attribute:
        kind = self._kinds.get(proto.type, f"type {proto.type}")
        if proto.ref_attr_name:
            return Unread("reference")
        match kind:
            case "INT":
                return int(proto.i)
            case "FLOAT":
                return float(proto.f)
            case "STRING":
                return bytes(proto.s)
            case "INTS":
                return tuple(proto.ints)
            case "FLOATS":
                return tuple(proto.floats)
            case "STRINGS":
                return tuple(proto.strings)
            case "TENSOR":
                return self._tensors.read(proto.t, f"{proto.name} of {what}")
            case _:
                return Unread(kind)


def _opsets(proto: Any) -> dict[str, int]:
    """Version of each domain, within what is known."""
    opsets: dict[str, int] = {}
    for entry in proto.opset_import:
        domain = _domain(entry.domain)
        if opsets.setdefault(domain, entry.version) != entry.version:
            raise ModelError(f"it imports the domain {domain or 'ai.onnx'!r:.{MAX_SHOWN}} twice")
    for domain, (oldest, newest) in OPSETS.items():
        version = opsets.get(domain, oldest)
        if not oldest <= version <= newest:
            raise ModelError(
                f"the opset of {domain or 'ai.onnx'} must be {oldest}..{newest}, not {version}: "
                "convert the model with onnx.version_converter or export it again"
            )
    return opsets


def _domain(value: Any) -> str:
    return "" if text(value) == "ai.onnx" else text(value)


def _is_constant(node: Node) -> bool:
    return node.op == "Constant" and node.domain == ""


def _computed(nodes: tuple[Node, ...]) -> Iterator[tuple[str, Constant]]:
    """Results of the ``Constant`` nodes."""
    for node in filter(_is_constant, nodes):
        given = [name for name in CONSTANT_VALUES if name in node.attributes]
        if len(given) != 1 or len(node.outputs) != 1 or len(node.attributes) != 1:
            raise ModelError(f"node {node.index} (Constant) must have one number or tensor")
        yield node.outputs[0], _as_constant(node, given[0])


def _as_constant(node: Node, attribute: str) -> Constant:
    value = node.attributes[attribute]
    if isinstance(value, Constant):
        return Constant(node.outputs[0], value.kind, value.values)
    is_real = attribute.startswith("value_float")
    if isinstance(value, bytes | Unread) or attribute == "value":
        raise ModelError(f"node {node.index} (Constant): {attribute} is of another type")
    values = np.array(value, np.float32 if is_real else np.int64)
    values.flags.writeable = False
    return Constant(node.outputs[0], "float" if is_real else "int64", values)


def _check_names(model: Model, nodes: tuple[Node, ...]) -> None:
    """Refuse values that are used before they are given, or given twice."""
    computed = {name for node in nodes for name in node.outputs}
    known = {port.name for port in model.inputs}
    if len(known) < len(model.inputs) or "" in known:
        raise ModelError("every input must have a name of its own")
    known.update(name for name in model.constants if name not in computed)
    for node in nodes:
        what = f"node {node.index} ({node.op!r:.{MAX_SHOWN}})"
        for name in filter(None, node.inputs):
            if name not in known:
                raise ModelError(
                    f"{what} uses {name!r:.{MAX_SHOWN}}, which nothing before it gives"
                )
        for name in filter(None, node.outputs):
            if name in known:
                raise ModelError(f"{what} gives {name!r:.{MAX_SHOWN}}, which has a value already")
            known.add(name)
    for port in model.outputs:
        if port.name not in known:
            raise ModelError(f"output {port.name!r:.{MAX_SHOWN}} is never computed")
    if not model.inputs or not model.outputs:
        raise ModelError("a model must have an input and an output")
