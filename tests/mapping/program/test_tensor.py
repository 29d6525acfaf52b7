"""Tensor records: what the host writes and reads."""

import re
from dataclasses import replace

import numpy as np
import pytest

from mapping.errors import ProgramError
from mapping.ops import Padding
from mapping.program import Packing, StoredTensor
from systolic.spec.config import ArrayConfig
from systolic.spec.layout import unpack_activations

CONFIG = ArrayConfig(rows=4, cols=4, digit_bits=3)
TENSOR = StoredTensor(
    node=0, name="image", address=7, shape=(3, 2, 6), height=3, width=2, channels=6,
    border=Padding(1, 0, 2, 1), bits=5, q_min=-16, zero=3,
)  # fmt: skip


def test_images_come_back_from_their_words() -> None:
    images = np.random.default_rng(0).integers(-16, 16, (4, 3, 2, 6))
    for image, words in zip(images, TENSOR.pack(images, CONFIG), strict=True):
        assert len(words) == TENSOR.words(CONFIG) * CONFIG.word_bytes
        np.testing.assert_array_equal(TENSOR.unpack(words, CONFIG), image)


def test_the_border_holds_the_zero_point_and_serves_both_sides() -> None:
    words = TENSOR.pack(np.full((1, 3, 2, 6), 15), CONFIG)[0]
    codes = unpack_activations(words, 6, 5, CONFIG)
    assert len(codes) == 4 * (2 + 2) + 1
    assert set(codes[TENSOR.border_pixels()].ravel()) == {3}
    for y, x in ((-1, -2), (0, 2), (2, 2), (1, -1), (-1, 1)):
        assert set(codes[TENSOR.pixel_index(y, x)]) == {3}


def test_a_vector_is_stored_as_one_pixel() -> None:
    vector = replace(TENSOR, shape=(6,), height=1, width=1, border=Padding())
    words = vector.pack(np.arange(6)[None], CONFIG)
    assert vector.unpack(words[0], CONFIG).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 2, 6), int), r"image must have shape (n, 3, 2, 6), not (3, 2, 6)"),
        (np.zeros((1, 3, 2, 6)), "image must hold integers, not float64"),
        (np.full((1, 3, 2, 6), 16), "image must be -16..15, not 16..16"),
    ],
)
def test_what_the_tensor_cannot_hold_is_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TENSOR.pack(images, CONFIG)


def packing(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: Padding,
    image: tuple[int, int, int] = (3, 2, 6),
) -> Packing:
    """A packing of TENSOR's values, without dilation."""
    return Packing(kernel, stride, (1, 1), pad, image)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": (3, 12)}, "shape must have 1 or 3 axes"),
        ({"height": 0}, "extents must be 1"),
        ({"height": 1 << 40}, "extents must be 1"),
        ({"border": Padding(-1, 0, 0, 0)}, "border must be 0..65535"),
        ({"bits": 9}, "bits must be 1..8, not 9"),
        ({"q_min": -5}, "q_min cannot be -5"),
        ({"zero": 32}, "zero cannot be code 32"),
        ({"address": -1}, "words -1..66 do not lie in the scratchpad"),
        ({"address": 16380}, "words 16380..16447 do not lie in the scratchpad (16384 words)"),
        ({"width": 3}, "shape (3, 2, 6) is not stored as (3, 3, 6)"),
        (
            {"packing": packing((1, 1), (0, 1), Padding(), (3, 2, 6))},
            "packing does not turn",
        ),
        (
            {"packing": packing((1, 1), (9, 1), Padding(256), (3, 2, 6))},
            "packing does not turn",
        ),
        ({"packing": packing((1, 1), (1, 1), Padding(), (3, 4, 6))}, "shape (3, 2, 6)"),
        ({"packing": packing((1, 1), (1, 1), Padding(), (-3, -2, 6))}, "shape (3, 2, 6)"),
        (
            {"packing": packing((1, 2), (1, 1), Padding(), (3, 2, 6))},
            "packing does not turn",
        ),
    ],
)
def test_records_that_contradict_themselves_are_refused(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ProgramError, match=re.escape(f"tensor image: {message}")):
        replace(TENSOR, **fields).check(CONFIG)


def test_the_record_is_sound() -> None:
    TENSOR.check(CONFIG)
