"""ONNX Runtime as the oracle: every output of a model, bit for bit."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from mapping.importers.onnx.importer import Imported, import_model
from mapping.network import Network, from_bytes, to_bytes
from mapping.ops import ActType
from mapping.reference import run


def session(data: bytes, *, is_optimised: bool = False) -> onnxruntime.InferenceSession:
    """Session on one thread; as a rule it does exactly what the file says."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not is_optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def operators(data: bytes) -> set[str]:
    """Operators that ONNX Runtime runs when it may put others in the place of the file's."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        optimised = onnx.load(options.optimized_model_filepath)
    return {node.op_type for node in optimised.graph.node}


def infer(runtime: onnxruntime.InferenceSession, batches: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Outputs of a batch, one inference each: the models are of a batch of one."""
    inputs = runtime.get_inputs()
    results: list[list[np.ndarray]] = []
    for image in zip(*batches, strict=True):
        feeds = {
            port.name: np.ascontiguousarray(values).reshape(shape_of(port.shape))
            for port, values in zip(inputs, image, strict=True)
        }
        results.append(runtime.run(None, feeds))
    return [np.stack(outputs) for outputs in zip(*results, strict=True)]


def shape_of(shape: Sequence[int | str | None]) -> tuple[int, ...]:
    """Shape of an input with a batch of one."""
    return tuple(extent if isinstance(extent, int) and extent > 0 else 1 for extent in shape)


def begin(network: Network, batches: Sequence[np.ndarray]) -> list[NDArray[np.int64]]:
    """Inputs of the file as the graph's."""
    graph, started = network.graph, []
    for index, (node, values) in enumerate(zip(graph.input_ids, batches, strict=True)):
        element = graph.types[node].element
        assert isinstance(element, ActType)
        started.append(network.ends.begin(index, values, element.q_min, element.q_max))
    return started


def results(network: Network, batches: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Outputs of an imported model, a batch of its inputs at once."""
    assert from_bytes(to_bytes(network)) == network  # files keep all of it
    return network.ends.finish(run(network.graph, *begin(network, batches)))


def assert_same(
    data: bytes, batches: Sequence[np.ndarray], *, is_optimised: bool = False, strict: bool = True
) -> Imported:
    """Compare every output of a model, over a batch per input.

    Parameters
    ----------
    data : bytes
        The model.
    batches : sequence of ndarray, shape (n, ...)
        In the model's own types, shapes as in the file but for a batch of one.
    is_optimised : bool
        Whether ONNX Runtime may put integer kernels in the place of float ones.
    strict : bool
        Whether every node has to be proven.
    """
    imported = import_model(data, strict=strict)
    outputs = results(imported.network, batches)
    wanted = infer(session(data, is_optimised=is_optimised), batches)
    for got, right in zip(outputs, wanted, strict=True):
        np.testing.assert_array_equal(got.ravel(), right.ravel())
        if right.dtype.kind == "f":
            assert got.dtype == right.dtype
    return imported
