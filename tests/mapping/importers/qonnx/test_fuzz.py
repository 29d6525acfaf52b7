"""Damaged files: imported, or refused in one line, soon and in little memory."""

import numpy as np
import onnx
import pytest

from mapping.importers import ModelError
from mapping.importers.qonnx import import_model
from tests.mapping.importers.damaged import count_imported, count_in_little_memory, mutants
from tests.mapping.importers.qonnx.models import MODELS
from tests.mapping.importers.tflite.test_fuzz import mutate

FEW, MANY = 200, 10_000


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


def damage(rng: np.random.Generator, data: bytes) -> bytes:
    """Damage the model, or the bytes of its file."""
    return rearrange(rng, data) if rng.integers(0, 3) else mutate(rng, data)


def originals() -> list[bytes]:
    """Files to be damaged: three of each kind."""
    return [MODELS[name](number) for name in MODELS for number in range(3)]


def test_damaged_files_are_refused_in_one_line_and_little_memory() -> None:
    files = mutants(originals(), FEW, seed=0, mutate=damage)
    imported = count_in_little_memory(import_model, ModelError, files)
    assert 0 < imported < FEW  # some damage hits weights only


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_in_one_line() -> None:
    files = mutants(originals(), MANY, seed=1, mutate=damage)
    imported = count_imported(import_model, ModelError, files)
    assert 0 < imported < MANY
