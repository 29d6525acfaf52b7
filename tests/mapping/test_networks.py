"""The included networks: measured accuracy on images they were not trained with."""

import numpy as np
import pytest

from mapping.networks import load_digits_images, load_included, network_names
from mapping.ops import Conv2d, MatMul, MaxPool2d
from mapping.reference import run


@pytest.mark.parametrize(
    ("name", "bits", "floor"), [("digits_int8", 8, 0.97), ("digits_int4", 4, 0.95)]
)
def test_accuracy_on_held_out_images(name: str, bits: int, floor: float) -> None:
    network, digits = load_included(name), load_digits_images()
    logits = run(network.graph, network.quantize_input(digits.images))[0]
    guesses = np.array(network.info.labels)[logits.argmax(axis=1)].astype(int)
    assert np.mean(guesses == digits.labels) >= floor
    layers = [node for node in network.graph.nodes if isinstance(node, Conv2d | MatMul)]
    assert {layer.weight_bits for layer in layers} == {bits}


@pytest.mark.parametrize("name", network_names())
def test_included_networks_show_the_main_kinds_of_layer(name: str) -> None:
    nodes = load_included(name).graph.nodes
    convolutions = [node for node in nodes if isinstance(node, Conv2d)]
    assert any(node.kernel == (3, 3) and node.groups == 1 for node in convolutions)
    assert any(node.is_depthwise for node in convolutions)
    assert any(node.stride == (2, 2) for node in convolutions)
    assert any(isinstance(node, MaxPool2d) for node in nodes)
    assert any(isinstance(node, MatMul) for node in nodes)


def test_held_out_images_are_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    digits, source = load_digits_images(), datasets.load_digits()
    assert digits.images.shape == (450, 8, 8, 1)
    assert len(np.unique(digits.indices)) == 450
    np.testing.assert_array_equal(digits.images[..., 0], source.images[digits.indices])
    np.testing.assert_array_equal(digits.labels, source.target[digits.indices])
    # stratified: each digit is held out as often as it occurs, a quarter of the time
    quarter = np.bincount(source.target) / 4
    assert np.abs(np.bincount(digits.labels) - quarter).max() <= 1


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"one of digits_int4, digits_int8, not 'digits'"):
        load_included("digits")
