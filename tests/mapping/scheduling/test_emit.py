"""The order of instructions: what overlaps with what."""

from itertools import pairwise

import numpy as np

from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.program import Program
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Drain, Matmul, Store


def pointwise(channels: int, out: int, config: ArrayConfig, pixels: int = 10) -> Program:
    """A convolution of 1 x 1."""
    rng = np.random.default_rng(0)
    builder = Builder()
    weights = rng.integers(1, 100, (1, 1, channels, out))
    value = builder.input((1, pixels, channels)).conv2d(weights).requantize(1 << 30, -8)
    return compile_network(builder.graph(value), config)


def letters(program: Program) -> str:
    """MATMULs, DRAINs and STOREs in order, as one letter each."""
    names = {Matmul: "m", Drain: "d", Store: "s"}
    return "".join(names.get(type(instruction), "") for instruction in program.instructions)


def test_a_block_is_stored_behind_the_next_blocks_first_matmuls() -> None:
    program = pointwise(32, 32, ArrayConfig())
    assert letters(program) == "mmd" * 4 + "mmsd" + "mmd" * 3 + "s"


def test_a_tile_that_spans_blocks_is_stored_block_by_block() -> None:
    program = pointwise(8, 24, ArrayConfig(rows=8, cols=16))
    assert letters(program) == "md" + "mssd" + "s"
    blocks = [i.block for i in program.instructions if isinstance(i, Store)]
    assert blocks == [0, 1, 0]
    drains = [i for i in program.instructions if isinstance(i, Drain)]
    assert [(drain.row, drain.cols, drain.start) for drain in drains] == [(0, 16, 0), (0, 8, 16)]


def test_halves_alternate_so_that_none_is_filled_while_it_drains() -> None:
    program = pointwise(16, 64, ArrayConfig(), pixels=300)
    drains = [i.half for i in program.instructions if isinstance(i, Drain)]
    assert all(before != after for before, after in pairwise(drains))
    filled = None
    for instruction in program.instructions:
        if isinstance(instruction, Matmul):
            filled = instruction.half
        if isinstance(instruction, Drain):
            assert instruction.half == filled


def test_the_first_matmul_of_every_part_sets_its_accumulators() -> None:
    program = pointwise(32, 4, ArrayConfig(weight_bits=4), pixels=1)
    matmuls = [i for i in program.instructions if isinstance(i, Matmul)]
    assert {(i.part, i.first) for i in matmuls[:2]} == {(0, 1), (1, 1)}
    assert [i.first for i in matmuls[2:]] == [0, 0]
    assert {i.parts for i in matmuls} == {2}


def test_windows_of_a_pool_are_drained_one_by_one() -> None:
    builder = Builder()
    value = builder.input((4, 6, 3)).max_pool2d(2)
    program = compile_network(builder.graph(value), ArrayConfig())
    matmul = next(i for i in program.instructions if isinstance(i, Matmul))
    drain = next(i for i in program.instructions if isinstance(i, Drain))
    store = next(i for i in program.instructions if isinstance(i, Store))
    assert (matmul.count, drain.count, drain.window, store.count) == (24, 6, 4, 6)
