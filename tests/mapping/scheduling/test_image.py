"""The image: identical constants share their words, and come back as they went in."""

import numpy as np

from mapping.scheduling.image import Image
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Sync, decode
from systolic.spec.layout import unpack_weights

CONFIG = ArrayConfig(rows=5, cols=5, weight_bits=3, digit_bits=3)


def words(image: Image, addr: int, count: int) -> bytes:
    """Words of an image by address."""
    start = (addr - image.base) * CONFIG.word_bytes
    return image.data[start : start + count * CONFIG.word_bytes]


def test_tiles_come_back_and_equal_ones_share_an_address() -> None:
    rng = np.random.default_rng(0)
    tiles = rng.integers(-4, 4, (3, 5, 5))
    image = Image(CONFIG, base=100)
    addrs = image.weights(np.concatenate([tiles, tiles[:2]]))
    assert addrs[3:] == addrs[:2]
    assert image.words == 3 * CONFIG.weight_words
    for addr, tile in zip(addrs, tiles, strict=False):
        data = words(image, addr, CONFIG.weight_words)
        np.testing.assert_array_equal(unpack_weights(data, CONFIG), tile)


def test_units_and_parameters_start_at_words() -> None:
    image = Image(CONFIG, base=0)
    first = image.units(np.array([1, 2, 0xFFFF]))
    second = image.parameters([(-1, 5, 7)])
    assert (first, second) == (0, 3)
    assert words(image, first, 3) == bytes([1, 0, 2, 0, 255, 255])
    assert words(image, second, CONFIG.parameter_words) == (
        b"\xff" * 4
        + (7).to_bytes(4, "little")
        + (5).to_bytes(2, "little")
        + bytes(CONFIG.parameter_words * CONFIG.word_bytes - 10)
    )
    assert image.units(np.array([1, 2, 0xFFFF])) == first


def test_instructions_come_last() -> None:
    image = Image(CONFIG, base=10)
    image.units(np.array([1]))
    entry = image.instructions([Sync(halt=1)])
    assert entry == 11
    data = words(image, entry, CONFIG.instruction_words)
    assert decode(int.from_bytes(data[:8], "little")) == Sync(halt=1)
