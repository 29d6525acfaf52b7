"""QONNX networks through the chain: interpreter = functional simulator = gateware, and qonnx."""

from dataclasses import replace

import numpy as np
import pytest

from mapping.compiler import compile_network
from mapping.importers.qonnx import import_model
from mapping.reference import run
from sim.check import check_program
from sim.rtl import RtlSimulator
from systolic.spec.config import ArrayConfig
from tests.end_to_end.test_networks import check_network
from tests.mapping.importers.qonnx.models import MODELS
from tests.mapping.importers.qonnx.test_models import NAMES, answers, codes, imported, mnist
from tests.mapping.importers.qonnx.test_random_models import images

BITWISE = ArrayConfig(rows=16, cols=16, pe_cols=4, weight_bits=2, digit_bits=1, acc_bits=24)
SMALL = ArrayConfig(
    rows=8, cols=4, weight_bits=4, digit_bits=2, acc_depth=256, scratchpad_words=8192,
    threshold_bits=4,
)  # fmt: skip
EVERY = 250  # of 5,000 images, sorted by their digit
MODELS_OF_A_KIND = 3


def check_answers(config: ArrayConfig) -> None:
    """Both networks on the gateware: the interpreter's codes, the cycles, qonnx's answers."""
    rtl = RtlSimulator(config)
    for name in NAMES:
        network = imported(name).network
        program = compile_network(network.graph, config)
        batch = codes(network.ends, mnist()[::EVERY])
        report = check_program(rtl, program, [batch], run(network.graph, batch))
        assert report.is_good
        (scores,) = network.ends.finish(report.outputs)
        np.testing.assert_array_equal(scores.argmax(axis=1), answers(name)[1][::EVERY])


def test_the_gateware_answers_as_qonnx() -> None:
    check_answers(BITWISE)


@pytest.mark.slow
def test_the_gateware_with_thresholds_answers_as_qonnx() -> None:
    check_answers(replace(BITWISE, threshold_bits=2))


@pytest.mark.parametrize("kind", MODELS)
def test_random_models_run_on_the_gateware_as_in_the_interpreter(kind: str) -> None:
    rtl = RtlSimulator(SMALL)
    for seed in range(MODELS_OF_A_KIND):
        data = MODELS[kind](seed)
        network = import_model(data).network
        batch = codes(network.ends, images(data, seed)[:, 0])
        check_network(rtl, network.graph, batch, keep_all=seed % 2 == 0)
