"""The quantized operators' node tests of the package ``onnx``, on the functional simulator."""

import numpy as np
import pytest

from benchmarks.operators import PAGE, page
from mapping.compiler import compile_network
from mapping.importers import ModelError
from mapping.importers.onnx import import_model
from mapping.presets import PRESETS
from sim.functional import FunctionalSimulator
from sim.runner import run_network
from tests.mapping.importers.onnx.conformance import CASES, PASSING, frozen, refusal_of
from tests.mapping.importers.onnx.oracle import begin


@pytest.mark.parametrize("name", PASSING)
def test_node_tests_pass_on_the_functional_simulator(name: str) -> None:
    data, given, wanted = frozen(CASES[name])
    network = import_model(data).network
    program = compile_network(network.graph, PRESETS["tiny"], name=name)
    (inputs,) = begin(network, [given if given.shape[0] == 1 and given.ndim > 1 else given[None]])
    outputs, _ = run_network(FunctionalSimulator(program.config), program, inputs)
    for got, right in zip(network.ends.finish(outputs), wanted, strict=True):
        held = np.clip(right, -128, 127) if right.dtype == np.int32 else right
        np.testing.assert_array_equal(got.ravel(), held.ravel())


@pytest.mark.parametrize("name", sorted(CASES.keys() - set(PASSING)))
def test_node_tests_of_other_types_are_refused(name: str) -> None:
    refusal = refusal_of(name)
    assert refusal is not None
    with pytest.raises(ModelError, match=refusal.message) as caught:
        import_model(frozen(CASES[name])[0])
    assert "\n" not in str(caught.value)


def test_the_page_is_what_its_script_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
