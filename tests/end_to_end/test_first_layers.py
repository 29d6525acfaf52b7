"""First layers of few channels: packed by the host or not, the same results on every executor."""

from collections.abc import Sequence

import numpy as np
import pytest

from mapping import compiler
from mapping.builder import Builder, Value
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.presets import PRESETS
from mapping.program import Program
from mapping.program.file import from_bytes, to_bytes
from mapping.reference import run
from mapping.scheduling.pack import PackingChoice
from sim.functional import FunctionalSimulator
from sim.rtl import RtlSimulator
from sim.runner import run_network
from sim.timing import predict_counters
from systolic.spec.config import ArrayConfig
from tests.strategies import images_for, random_network

CONFIG = ArrayConfig(rows=8, cols=4, digit_bits=4, scratchpad_words=8192)
CHOICES = tuple(PackingChoice)
IMAGES = 2


def compiled(graph: Graph, choices: Sequence[PackingChoice]) -> Program:
    """Program with no other packings to choose from, back from its file."""

    def choose(*arguments: object, **_: object) -> object:
        return original(*arguments, choices=choices)

    original = compiler.choose_packings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "choose_packings", choose)
        program = compile_network(graph, CONFIG)
    return from_bytes(to_bytes(program), Program)


def check(rtl: RtlSimulator, graph: Graph, program: Program) -> None:
    """Run on both simulators; compare outputs and cycles."""
    images = images_for(graph, IMAGES, 1)
    for simulator in (FunctionalSimulator(CONFIG), rtl):
        outputs, counters = run_network(simulator, program, images)
        assert counters == [predict_counters(program)] * IMAGES
        for output, wanted in zip(outputs, run(graph, images), strict=True):
            np.testing.assert_array_equal(output, wanted)


def first_layer(channels: int, kernel: tuple[int, int], **options: object) -> Graph:
    """A convolution over a small image with a zero point of its own."""
    rng = np.random.default_rng(5)
    builder = Builder()
    image = builder.input((9, 10, channels), zero_point=37)
    if "border" in options:
        image = image.pad(*options.pop("border"))
    value: Value = image.conv2d(rng.integers(-127, 128, (*kernel, channels, 6)), **options)
    return builder.graph(value.requantize(1 << 30, -6))


GRAPHS = {
    "keyword spotting": first_layer(1, (5, 4), stride=2, pad="same"),
    "colour image": first_layer(3, (3, 3), pad="same"),
    "colour image, strided": first_layer(3, (3, 3), stride=2, pad="same"),
    "explicit pad": first_layer(3, (3, 3), stride=2, border=(0, 1, 0, 1)),
    "both pads, dilated": first_layer(1, (3, 2), dilation=2, border=(2, 0, 1, 3), pad=(1, 2, 0, 1)),
    "no pad": first_layer(1, (2, 5), stride=(1, 3)),
}


@pytest.fixture(scope="module")
def rtl() -> RtlSimulator:
    """The gateware, built once."""
    return RtlSimulator(CONFIG)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_packing_gives_the_same(rtl: RtlSimulator, name: str) -> None:
    graph = GRAPHS[name]
    kernels: set[tuple[int, int] | None] = set()
    for choices in ((), CHOICES[:1], CHOICES[1:]):
        program = compiled(graph, choices)
        check(rtl, graph, program)
        packing = program.inputs[0].packing
        kernels.add(packing and packing.kernel)
    assert len(kernels) == 3


@pytest.mark.parametrize("name", GRAPHS)
def test_the_packing_with_the_fewest_cycles_is_taken(name: str) -> None:
    alone = [compiled(GRAPHS[name], choices).cycles for choices in ((), CHOICES[:1], CHOICES[1:])]
    assert compile_network(GRAPHS[name], CONFIG).cycles == min(alone) < alone[0]


def test_random_first_layers_are_packed_exactly(rtl: RtlSimulator) -> None:
    packed = 0
    for seed in range(25):
        graph = random_network(seed, max_layers=2, layers=("conv2d",))
        program = compile_network(graph, CONFIG)
        packed += program.inputs[0].packing is not None
        check(rtl, graph, program)
    assert packed >= 8


def test_a_vector_that_is_seen_as_an_image_is_laid_out_by_the_host(rtl: RtlSimulator) -> None:
    rng = np.random.default_rng(6)
    builder = Builder()
    image = builder.input((63,), zero_point=-9).reshape(9, 7, 1)
    value = image.conv2d(rng.integers(-127, 128, (4, 3, 1, 6)), stride=2, pad="same")
    graph = builder.graph(value.requantize(1 << 30, -6))
    for choices in ((), CHOICES[:1], CHOICES[1:]):
        program = compiled(graph, choices)
        check(rtl, graph, program)
        assert [layer.op for layer in program.layers] == ["conv2d+requantize"]
        assert program.inputs[0].shape == (63,)
        assert program.layers[0].pruned_inputs == 0


def test_an_image_that_is_flattened_is_laid_out_by_the_host(rtl: RtlSimulator) -> None:
    builder = Builder()
    flat = builder.input((5, 4, 3), zero_point=-9).flatten()
    weights = np.random.default_rng(7).integers(-127, 128, (60, 5))
    graph = builder.graph(flat.matmul(weights).requantize(1 << 30, -6))
    program = compile_network(graph, CONFIG)
    check(rtl, graph, from_bytes(to_bytes(program), Program))
    assert (program.inputs[0].shape, program.inputs[0].channels) == ((5, 4, 3), 60)
    assert program.inputs[0].packing is None


def test_keyword_spotting_takes_three_tiles_instead_of_forty() -> None:
    rng = np.random.default_rng(0)
    builder = Builder()
    image = builder.input((49, 10, 1), zero_point=83)
    value = image.conv2d(rng.integers(-127, 128, (10, 4, 1, 64)), stride=2, pad="same")
    layer = compile_network(builder.graph(value.requantize(1 << 30, -8)), PRESETS["up5k"]).layers[0]
    assert layer.busy_cycles < 16 * 3 * 250 * 1.01
    assert layer.utilisation > 0.6
