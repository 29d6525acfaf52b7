"""The scratchpad planner: no two live tensors overlap, and messages that say by how much."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.errors import ScratchpadError
from mapping.ops import Padding
from mapping.program import StoredTensor
from mapping.scheduling.plan import Life, place_tensors
from systolic.spec.config import ArrayConfig
from tests.strategies import random_network

CONFIG = ArrayConfig(scratchpad_words=4096)


def tensor(pixels: int) -> StoredTensor:
    """A tensor of ``2 * pixels`` words."""
    return StoredTensor(
        node=0, name=f"t{pixels}", address=0, shape=(pixels, 1, 16), height=pixels, width=1,
        channels=16, border=Padding(), bits=8, q_min=0, zero=0,
    )  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.integers(-1, 9), st.integers(0, 4)),
        min_size=1,
        max_size=15,
    )
)
def test_tensors_that_live_together_never_share_a_word(
    items: list[tuple[int, int, int]],
) -> None:
    tensors = {index: tensor(pixels) for index, (pixels, _, _) in enumerate(items)}
    lives = {index: Life(first, first + more) for index, (_, first, more) in enumerate(items)}
    placed = place_tensors(tensors, lives, CONFIG)
    for value, one in placed.items():
        for other_value, other in placed.items():
            if value < other_value and lives[value].overlaps(lives[other_value]):
                ends = one.address + one.words(CONFIG), other.address + other.words(CONFIG)
                assert ends[0] <= other.address or ends[1] <= one.address


def test_tensors_take_turns_at_the_same_words() -> None:
    lives = {0: Life(-1, 0), 1: Life(0, 1), 2: Life(1, 2)}
    placed = place_tensors({value: tensor(50) for value in lives}, lives, CONFIG)
    assert [placed[value].address for value in lives] == [0, 100, 0]


def test_a_tensor_that_does_not_fit_is_named_with_the_excess() -> None:
    lives = {0: Life(0, 1), 1: Life(1, 1)}
    message = (
        "t1000: needs 2000 words beside 3000 that are in use at the same time, but the "
        "scratchpad has 4096: 7232 bytes too many"
    )
    with pytest.raises(ScratchpadError, match=message):
        place_tensors({0: tensor(1500), 1: tensor(1000)}, lives, CONFIG)


def test_an_image_that_does_not_fit_is_refused_with_the_excess() -> None:
    builder = Builder()
    weights = [[1, 2, 3]] * 16
    value = builder.input((16,)).matmul(weights).requantize(1 << 30, 0)
    program = compile_network(builder.graph(value), ArrayConfig(), slots=1)
    words = program.load_address + len(program.image) // 8
    assert words < 64  # the least a configuration can have is more
    wide = ArrayConfig(scratchpad_words=64)
    assert compile_network(builder.graph(value), wide, slots=1).image == program.image
    bigger = builder.graph(value.matmul([list(range(64))] * 3).requantize(1 << 30, 0))
    message = r"program: \d+ words of weights.*for matmul_3\), .* the scratchpad's 64: \d+ bytes"
    with pytest.raises(ScratchpadError, match=message):
        compile_network(bigger, wide, stream=False)
    message = "two have to be there at a time, 260 words .* and 10 of activations .*: 1648 bytes"
    with pytest.raises(ScratchpadError, match=message):
        compile_network(bigger, wide)


def test_kept_tensors_share_nothing_not_even_with_inputs() -> None:
    config = ArrayConfig()
    program = compile_network(random_network(4), config, keep_all=True)
    spans = sorted((t.address, t.address + t.words(config)) for t in program.tensors)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
