"""tflite-micro as the oracle: every tensor of a model, compared with the imported graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tflite_micro import runtime

from mapping.importers.tflite import Imported, import_model
from mapping.reference import run_all

ARENA_BYTES = 1 << 20


@dataclass(frozen=True)
class Oracle:
    """What tflite-micro computed for one inference."""

    interpreter: runtime.Interpreter

    def tensor(self, index: int) -> NDArray[np.int64]:
        """All elements of a tensor, flat."""
        return self.interpreter.GetTensor(index, 0)["tensor_data"].astype(np.int64).ravel()

    def output(self, index: int) -> np.ndarray:
        """An output in its own type, flat."""
        return self.interpreter.get_output(index).ravel()


def load(data: bytes) -> runtime.Interpreter:
    """Interpreter that keeps all tensors."""
    return runtime.Interpreter.from_bytes(
        data,
        arena_size=max(ARENA_BYTES, 10 * len(data)),
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
    )


def infer(interpreter: runtime.Interpreter, inputs: Sequence[np.ndarray]) -> Oracle:
    """Run one inference; each input has a batch of 1."""
    for index, values in enumerate(inputs):
        interpreter.set_input(values, index)
    interpreter.invoke()
    return Oracle(interpreter)


def assert_same(data: bytes, batches: Sequence[np.ndarray]) -> Imported:
    """Compare every tensor and every output of a model, over a batch per input.

    Parameters
    ----------
    data : bytes
        The model.
    batches : sequence of ndarray, shape (n, ...)
        In the model's own types, shapes as in the file but for the batch.
    """
    imported = import_model(data)
    network, interpreter = imported.network, load(data)
    graph = network.graph
    # tflite-micro takes real inputs; the graph begins behind their quantization
    ends = network.ends.inputs or (None,) * len(batches)
    integers = [
        (batch if end is None else end.quantize(batch, -128, 127)).reshape(
            len(batch), *graph.types[node].shape
        )
        for batch, end, node in zip(batches, ends, graph.input_ids, strict=True)
    ]
    results = run_all(graph, *integers)
    outputs = network.ends.finish(tuple(results[node] for node in graph.outputs))
    real = {index for index in imported.nodes if interpreter_kind(interpreter, index) != "int8"}
    for image in range(len(batches[0])):
        oracle = infer(interpreter, [batch[image : image + 1] for batch in batches])
        for index in imported.nodes.keys() - real:
            wanted = oracle.tensor(index)
            np.testing.assert_array_equal(results[imported.nodes[index]][image].ravel(), wanted)
        for index, output in enumerate(outputs):
            np.testing.assert_array_equal(output[image].ravel(), oracle.output(index))
    return imported


def interpreter_kind(interpreter: runtime.Interpreter, index: int) -> str:
    """Element type of a tensor; real inputs have no counterpart in the graph."""
    return str(np.dtype(interpreter.GetTensor(index, 0)["dtype"]))
