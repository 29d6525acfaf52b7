"""Integer tensors of tinygrad: the same programs, the same numbers, refusals by operation."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mapping.importers.tinygrad import TinygradError, import_tinygrad
from mapping.program.file import to_bytes
from mapping.tensor import Tensor, conv2d
from sim.functional import FunctionalSimulator
from systolic.spec.config import ArrayConfig

tinygrad = pytest.importorskip("tinygrad")

CONFIG = ArrayConfig()
RNG = np.random.default_rng(7)
MATRIX = RNG.integers(-128, 128, (6, 5)).astype(np.int8)
KERNEL = RNG.integers(-128, 128, (8, 3, 3, 3)).astype(np.int8)
BIAS = RNG.integers(-999, 999, 8).astype(np.int32)
IMAGE, LEFT = (1, 3, 8, 8), (4, 6)

Build = Callable[..., Any]


@pytest.fixture(autouse=True)
def python_device() -> Iterator[None]:
    """What tinygrad computes itself, for comparison, it interprets: no compiler is needed."""
    with tinygrad.helpers.Context(DEV="PYTHON"):
        yield


def t(values: NDArray[Any], dtype: str = "int32") -> Any:
    """Constants of a wider type."""
    return tinygrad.Tensor(values).cast(dtype)


def quantized(sums: Any, factor: int, shift: int) -> Any:
    """Sums, scaled, rounded and saturated."""
    scaled = (sums * factor + (1 << shift - 1)) >> shift
    return scaled.clamp(-128, 127).cast("int8")


def wide(tensor: Any) -> Any:
    """The integers in a type that products do not leave."""
    return tensor.cast("int32")


def given(shapes: tuple[tuple[int, ...], ...], dtype: type = np.int8) -> list[NDArray[Any]]:
    """Seeded arrays of all values."""
    rng, info = np.random.default_rng(3), np.iinfo(dtype)
    return [rng.integers(info.min, info.max, shape, dtype, endpoint=True) for shape in shapes]


def network(build: Build, *shapes: tuple[int, ...], dtype: str = "int8") -> Any:
    """Import what is built of empty tensors."""
    inputs = [tinygrad.Tensor.empty(*shape, dtype=dtype) for shape in shapes]
    return import_tinygrad(build(*inputs), inputs)


CASES: list[tuple[str, Build, tuple[tuple[int, ...], ...]]] = [
    ("matmul", lambda a: quantized(wide(a) @ t(MATRIX), 77, 16), (LEFT,)),
    ("matmul of both", lambda a, b: quantized(wide(a) @ wide(b).T, 3, 10), (LEFT, (5, 6))),
    ("long", lambda a: quantized(a.cast("int64") @ t(MATRIX, "int64"), 1 << 30, 40), (LEFT,)),
    ("relu before", lambda a: quantized((wide(a) @ t(MATRIX)).relu(), 77, 16), (LEFT,)),
    ("relu behind", lambda a: quantized(wide(a) @ t(MATRIX), 77, 16).relu(), (LEFT,)),
    ("rounded down", lambda a: (wide(a) @ t(MATRIX) >> 9).clamp(-9, 50).cast("int8"), (LEFT,)),
    ("divided", lambda a: (wide(a) @ t(MATRIX) // 512).clamp(0, 255).cast("uint8"), (LEFT,)),
    ("zero point", lambda a: ((wide(a).sum(1) >> 3) + 9).clamp(-128, 127).cast("int8"), (LEFT,)),
    ("bias", lambda a: quantized(wide(a) @ t(MATRIX) + t(BIAS[:5]), 77, 16), (LEFT,)),
    ("addition", lambda a, b: quantized(wide(a) * 3 + wide(b), 1, 2), (LEFT, LEFT)),
    ("moved", lambda a: a.flip(0)[:, 1:].pad(((1, 0), (0, 2))).permute(1, 0).relu(), (LEFT,)),
    ("convolution", lambda x: quantized(
        wide(x).conv2d(t(KERNEL), t(BIAS), padding=1, stride=2), 77, 18), (IMAGE,)),
    ("grouped", lambda x: quantized(wide(x).conv2d(t(KERNEL[:6, :1]), groups=3), 7, 12), (IMAGE,)),
    ("pool", lambda x: quantized(wide(x).conv2d(t(KERNEL)), 77, 18).relu().max_pool2d(2), (IMAGE,)),
]  # fmt: skip


@pytest.mark.parametrize(("build", "shapes"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_results_are_tinygrads(build: Build, shapes: tuple[tuple[int, ...], ...]) -> None:
    arrays = given(shapes)
    expected = build(*map(tinygrad.Tensor, arrays)).numpy()
    result = network(build, *shapes).run(FunctionalSimulator(CONFIG), *arrays)
    np.testing.assert_array_equal(result, expected)


def test_unsigned_inputs_are_taken() -> None:
    (array,) = given((LEFT,), np.uint8)
    imported = network(lambda a: quantized(wide(a) @ t(MATRIX), 7, 12), LEFT, dtype="uint8")
    expected = quantized(wide(tinygrad.Tensor(array)) @ t(MATRIX), 7, 12).numpy()
    np.testing.assert_array_equal(imported.run(FunctionalSimulator(CONFIG), array), expected)


def test_a_matmul_gives_the_program_of_the_lazy_tensor() -> None:
    imported = network(CASES[0][1], LEFT)
    direct = Tensor.input(LEFT, name="input 0") @ MATRIX.astype(int)
    direct = direct.requantize_fixed(77 << 47 - 16)
    assert to_bytes(imported.compile(CONFIG)) == to_bytes(direct.compile(CONFIG, "tinygrad"))


def test_a_convolution_gives_the_program_of_the_lazy_tensor() -> None:
    imported = network(next(case[1] for case in CASES if case[0] == "convolution"), IMAGE)
    image = Tensor.input((8, 8, 3), name="input 0")
    kernel = Tensor.constant(KERNEL.transpose(2, 3, 1, 0).astype(int))
    direct = conv2d(image, kernel, BIAS, pad=(1, 1, 1, 1), stride=2)
    direct = direct.requantize_fixed(77 << 47 - 18)
    assert to_bytes(imported.compile(CONFIG)) == to_bytes(direct.compile(CONFIG, "tinygrad"))


REFUSED: list[tuple[str, Build]] = [
    (r"MUL: -16256..16384 may leave signed char: cast to a wider type", lambda a: a * a),
    (r"CAST: computes float, but only integers are exact", lambda a: a.cast("float")),
    (r"FLOORMOD: not supported", lambda a: a % 3),
    (r"CAST: -\d+..\d+ may leave signed char", lambda a: (wide(a) * 9).cast("int8")),
    (r"SHR: rounds with 0 for a factor of 77: add 512", lambda a: ((wide(a) * 77) >> 10)
     .clamp(-128, 127).cast("int8")),
    (r"SHR: the scale 8 / 2\*\*0 must be below 2", lambda a: (wide(a).sum(0) * 8)
     .clamp(-128, 127).cast("int8")),
    (r"FLOORDIV: must be by one number, a power of two", lambda a: wide(a) // 3),
    (r"WHERE: only a clamp", lambda a: (wide(a) > 3).where(wide(a), 0).cast("int8")),
    (r"MAX: only of a tensor and one number", lambda a: a.maximum(a.flip(0))),
    (r"REDUCE: works on numbers that are shifted", lambda a: (wide(a) >> 2).sum(0)),
    (r"REDUCE MUL: only sums", lambda a: wide(a[:2, :1]).prod(0)),
    (r"PAD: its zeros have no offset", lambda a: (wide(a) + 3).pad(((1, 1), (0, 0)))),
    (r"BUFFER: holds no data", lambda a: wide(a) + tinygrad.Tensor.empty(4, 6, dtype="int32")),
    (r"input 0: the result does not depend on it", lambda a: tinygrad.Tensor([1, 2])),
]  # fmt: skip


@pytest.mark.parametrize(("message", "build"), REFUSED, ids=[message for message, _ in REFUSED])
def test_refusals_name_the_operation(message: str, build: Build) -> None:
    with pytest.raises(TinygradError, match="tinygrad " + message) as caught:
        network(build, LEFT)
    assert "\n" not in str(caught.value)


def test_inputs_have_eight_bits() -> None:
    with pytest.raises(TinygradError, match="input 0: must be int8 or uint8, not int"):
        network(lambda a: a, LEFT, dtype="int32")
    with pytest.raises(ValueError, match=r"needs 1 input\(s\), not 2"):
        network(lambda a: a.relu(), LEFT).run(FunctionalSimulator(CONFIG), 1, 2)
