"""Programs in parts on the gateware, cut almost everywhere: outputs, and every counter."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from host.check import check_network
from host.device import Device
from host.runtime import Runtime
from mapping.compiler import compile_network
from mapping.importers.tflite import load_tflite
from mapping.presets import PRESETS
from mapping.reference import run
from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from sim.runner import run_network
from sim.timing import predict_counters
from systolic.spec.config import ArrayConfig
from tests.mapping.importers.tflite.oracle import infer, load
from tests.mapping.importers.tflite.test_models import images, model_path
from tests.random_network import LAYERS
from tests.strategies import images_for, random_network
from tests.streamed import streamed_program

CONFIGS = (
    ArrayConfig(scratchpad_words=8192),
    ArrayConfig(
        rows=8, cols=4, digit_bits=2, acc_bits=24, acc_depth=32, out_pixels=32,
        scratchpad_words=8192,
    ),
    ArrayConfig(rows=4, cols=16, weight_bits=2, digit_bits=2, acc_depth=256, scratchpad_words=8192),
)  # fmt: skip
IMAGES = 2  # the second finds in every memory what the first has left there


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_parts_of_random_networks_give_what_the_networks_mean(config: ArrayConfig) -> None:
    rtl, functional = RtlSimulator(config), FunctionalSimulator(config)
    cuts = set[str]()
    for seed in range(12):
        graph = random_network(seed, layers=[name for name in LAYERS if name != "add"])
        program = streamed_program(graph, config, percent=seed % 4 * 30)
        batch = images_for(graph, IMAGES, seed)
        for simulator in (functional, rtl):
            outputs, counters = run_network(simulator, program, batch)
            assert counters == [predict_counters(program)] * IMAGES
            for output, wanted in zip(outputs, run(graph, batch), strict=True):
                np.testing.assert_array_equal(output, wanted)
        cuts |= {type(program.code_of(part)[-2]).__name__ for part in program.parts[:-1]}
    assert {"Load", "Matmul", "Output", "Drain"} <= cuts


@cache
def up5k() -> RtlSimulator:
    return RtlSimulator(PRESETS["up5k"])


def answers(model: bytes, batch: NDArray[np.int8]) -> NDArray[Any]:
    """What tflite-micro gives, image by image."""
    interpreter = load(model)
    return np.stack([infer(interpreter, [image[None]]).output(0) for image in batch])


@pytest.mark.parametrize(
    "name", ["ad01_int8", pytest.param("pretrainedResnet_quant", marks=pytest.mark.slow)]
)
def test_real_networks_larger_than_the_memory_are_tflite_micro(name: str) -> None:
    path = model_path(f"{name}.tflite")
    network, batch = load_tflite(path), images(name, IMAGES)
    wanted = answers(path.read_bytes(), batch)
    program = compile_network(network.graph, PRESETS["up5k"], name=name)
    assert len(program.parts) > 2
    for simulator in (FunctionalSimulator(program.config), up5k()):
        outputs, counters = run_network(simulator, program, batch)
        assert counters == [predict_counters(program)] * IMAGES
        (got,) = network.ends.finish(outputs)
        np.testing.assert_array_equal(got.reshape(wanted.shape), wanted)


@pytest.mark.slow
def test_a_real_network_larger_than_the_memory_through_its_link() -> None:
    graph = load_tflite(model_path("ad01_int8.tflite")).graph
    program = compile_network(graph, PRESETS["up5k"])
    with Device.open("sim://rtl?config=up5k", program.config) as device:
        batch = images("ad01_int8", IMAGES).astype(np.int64)
        assert check_network(Runtime(device, program), graph, [batch]).is_good
