"""Fewer bits run faster, in proportion: the networks of ``benchmarks.precision``."""

import pytest

from benchmarks.precision import CONFIG, network
from mapping.compiler import compile_network


def cycles(act_bits: int, weight_bits: int) -> int:
    return compile_network(network(act_bits, weight_bits), CONFIG, prune=False).cycles


@pytest.mark.parametrize("weight_bits", [2, 4])
def test_activations_of_2_bits_are_nearly_twice_as_fast_as_of_4(weight_bits: int) -> None:
    assert cycles(4, weight_bits) >= 1.8 * cycles(2, weight_bits)


def test_a_network_of_2_bits_is_five_times_as_fast_as_of_4() -> None:
    assert cycles(4, 4) >= 5 * cycles(2, 2)
