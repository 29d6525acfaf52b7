"""Damaged files: imported, or refused in one line, soon and in little memory."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import onnx
import pytest

from mapping.importers.onnx import OnnxError
from mapping.importers.qonnx import import_model
from tests.mapping.importers.qonnx.models import MODELS
from tests.mapping.importers.tflite.test_fuzz import mutate

FEW, MANY = 200, 10_000
MAX_BYTES = 128 << 20


def rearrange(rng: np.random.Generator, data: bytes) -> bytes:
    """Damage what protobuf holds together: names, operators, attributes, constants' shapes."""
    model = onnx.load_from_string(data)
    graph = model.graph
    for _ in range(int(rng.integers(1, 4))):
        node = graph.node[int(rng.integers(0, len(graph.node)))]
        constant = graph.initializer[int(rng.integers(0, len(graph.initializer)))]
        match rng.integers(0, 7):
            case 0:
                other = graph.node[int(rng.integers(0, len(graph.node)))]
                node.op_type, node.domain = other.op_type, other.domain
            case 1:
                place = int(rng.integers(0, len(node.input)))
                other = graph.node[int(rng.integers(0, len(graph.node)))]
                node.input[place] = str(rng.choice(other.input))
            case 2:
                del node.input[int(rng.integers(0, len(node.input))) :]
                node.input.append(str(rng.choice([*graph.node[0].input, constant.name])))
            case 3 if node.attribute:
                attribute = node.attribute[int(rng.integers(0, len(node.attribute)))]
                attribute.i = int(rng.choice([-1, 0, 2, 2**31, -(2**63)]))
                attribute.f = float(rng.choice([np.nan, np.inf, -1.0, 1e38]))
                attribute.ints[:] = [int(each) for each in rng.integers(-3, 300, 3)]
            case 4 if len(constant.dims) > 1:
                constant.dims[:] = constant.dims[::-1]
            case 5:
                values = np.frombuffer(constant.raw_data, np.float32).copy()
                if len(values):
                    values[rng.integers(0, len(values))] = rng.choice(
                        np.array([np.nan, np.inf, 0, -1, 1e-30, 1e30, 0.5], np.float32)
                    )
                    constant.raw_data = values.tobytes()
            case _:
                graph.output[0].name = node.output[0]
    return model.SerializeToString()


def mutants(count: int, seed: int) -> Iterator[bytes]:
    rng = np.random.default_rng(seed)
    files = [MODELS[name](number) for name in MODELS for number in range(3)]
    for index in range(count):
        data = files[index % len(files)]
        yield rearrange(rng, data) if rng.integers(0, 3) else mutate(rng, data)


def check(data: bytes) -> bool:
    """Whether a file can be imported; if not, the refusal has to be of the promised kind."""
    message = ""
    try:
        import_model(data)
    except OnnxError as error:
        message = str(error) or "none"
    assert "\n" not in message
    return not message


def test_damaged_files_are_refused_in_one_line_and_little_memory() -> None:
    tracemalloc.start()
    try:
        imported = sum(map(check, mutants(FEW, seed=0)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MAX_BYTES
    assert 0 < imported < FEW  # some damage hits weights only


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_in_one_line() -> None:
    imported = sum(map(check, mutants(MANY, seed=1)))
    assert 0 < imported < MANY
