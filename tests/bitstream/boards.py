"""Accelerators for three boards, as `systolic build` makes them, and networks for them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boards.build import build
from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.networks import load_digits_images, load_included
from mapping.ops import ActType
from mapping.program import Program
from sim.bitstream.transport import load_build
from sim.bitstream.uart import BitstreamDevice
from sim.compiled import Cache
from systolic.spec.boards import Board, board_named
from systolic.spec.config import ArrayConfig

IMAGES = 3

# Half the rows, digits of two bits: places and routes in well under a minute.
_ARRAY = ArrayConfig(rows=8, cols=4, digit_bits=2, acc_bits=24, acc_depth=32, out_pixels=32)


@dataclass(frozen=True)
class Case:
    """A board, a network for it, and its inputs (values q)."""

    board: Board
    graph: Graph
    images: NDArray[np.int64]

    @property
    def program(self) -> Program:
        """The network, compiled for the board."""
        return compile_network(self.graph, self.board.config, name="digits")


def up5k(*, is_small: bool = True) -> Case:
    """UP5K: single-port RAM, multipliers, a PLL from a pad; the digits network."""
    board = board_named("icebreaker")
    if is_small:
        board = replace(board, config=replace(_ARRAY, weight_bits=4))
    network = load_included("digits_int4")
    images = network.quantize_input(load_digits_images().images[:IMAGES])
    return Case(board, network.graph, images)


def hx8k(*, is_small: bool = True) -> Case:
    """HX8K: block RAM, products in logic, a PLL from inside.

    Its memory, 16 kB for everything, is too small for the digits network; so a smaller one with
    random weights looks at the digits.
    """
    board = board_named("hx8k-b-evn")
    if is_small:
        small = replace(_ARRAY, scratchpad_words=1024, requantize_cycles=12, multiplier="fabric")
        board = replace(board, config=small, clock=replace(board.clock, hz=48_000_000))
    builder, source = Builder(), np.random.default_rng(8)
    features = (
        builder.input((8, 8, 1))
        .conv2d(source.integers(-128, 128, (3, 3, 1, 4)), stride=2)
        .requantize(1 << 30, -7)
        .max_pool2d(3)
        .flatten()
    )
    scores = features.matmul(source.integers(-128, 128, (4, 10))).requantize(1 << 30, -7)
    images = load_digits_images().images[:IMAGES].astype(np.int64) * 8 - 64
    return Case(board, builder.graph(scores), images)


def hx1k() -> Case:
    """HX1K: the smallest chip that an accelerator fits, with its own configuration.

    A kilobyte of memory: of each digit the network sees every other pixel, and 2-bit weights.
    """
    builder, source = Builder(), np.random.default_rng(1)
    features = (
        builder.input((4, 4, 1), bits=4, signed=False)
        .conv2d(source.integers(-2, 2, (2, 2, 1, 4)), weight_bits=2)
        .requantize(1 << 30, 0, ActType(4, signed=False))
        .max_pool2d(3)
        .flatten()
    )
    scores = features.matmul(source.integers(-2, 2, (4, 10)), weight_bits=2).requantize(1 << 30, 1)
    images = load_digits_images().images[:IMAGES].astype(np.int64)[:, ::2, 1::2] % 16
    return Case(board_named("icestick"), builder.graph(scores), images)


def make(case: Case, folder: Path) -> Path:
    """Build the board's bitstream and return the folder that `systolic build` would write."""
    target = folder / case.board.config.digest.hex()
    build(case.board, jobs=1, cache=folder / "cache").export(target)
    return target


def switch_on(folder: Path, cache: Path) -> BitstreamDevice:
    """Device of a folder."""
    return load_build(folder, cache_folder=Cache(cache))
