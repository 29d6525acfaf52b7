"""What is not supported is refused by operator, index and reason, all of it at once."""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from mapping.importers import ModelError, UnsupportedModelError
from mapping.importers.tflite import import_model
from tests.mapping.importers.tflite.writer import ModelWriter, options

IMAGE = (1, 6, 6, 2)
KERNEL = np.ones((3, 2, 2, 2), np.int8)
Writer = ModelWriter


def image(writer: Writer, **more: object) -> int:
    return writer.input(IMAGE, 0.5, **more)  # type: ignore[arg-type]


def conv(writer: Writer, source: int, **changes: object) -> int:
    """A sound convolution, but for what is changed."""
    weights = changes.get("weights", writer.constant(KERNEL, 0.5))
    output = writer.tensor(changes.get("shape", (1, 5, 5, 3)), 0.5)  # type: ignore[arg-type]
    fields = {"padding": 1, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    made = options("Conv2DOptions", **(fields | changes.get("options", {})))  # type: ignore[operator]
    version = changes.get("version", 3)
    writer.operator("CONV_2D", [source, weights, -1], [output], made, version)  # type: ignore
    return output


def simple(writer: Writer, name: str, shape: tuple[int, ...] = IMAGE, *, made: object = None,
           constant: np.ndarray | None = None) -> int:  # fmt: skip
    """Append an operator of one input, and perhaps one constant."""
    inputs = [image(writer)] + ([] if constant is None else [writer.constant(constant)])
    output = writer.tensor(shape, 0.5)
    writer.operator(name, inputs, [output], made)
    return output


def softmax_between(writer: Writer) -> int:
    source = writer.input((1, 4), 0.5)
    middle = writer.tensor((1, 4), 1 / 256, -128)
    writer.operator("SOFTMAX", [source], [middle], options("SoftmaxOptions", beta=1.0))
    output = writer.tensor((1, 4), 1 / 256, -128)
    writer.operator("RELU", [middle], [output])
    return output


def real_network(writer: Writer) -> int:
    source = writer.tensor(IMAGE, kind="FLOAT32")
    writer.graph.inputs.append(source)
    output = writer.tensor(IMAGE, kind="FLOAT32")
    writer.operator("RELU", [source], [output])
    return output


def dynamic(writer: Writer) -> int:
    source = image(writer)
    writer.graph.tensors[source].shapeSignature = [-1, -1, 6, 2]
    return conv(writer, source)


def pool_options(padding: int) -> object:
    return options(
        "Pool2DOptions", padding=padding, filterHeight=2, filterWidth=2, strideH=1, strideW=1
    )


CASES: dict[str, tuple[Callable[[Writer], int], str]] = {
    "unknown operator": (lambda w: simple(w, "SIN"), r"SIN 0: this operator is not supported"),
    "version": (lambda w: conv(w, image(w), version=99), r"CONV_2D 0: .* at most 8, not 99"),
    "result": (lambda w: conv(w, image(w), shape=(1, 6, 5, 3)), r"is 6x5x3 .* must be 5x5x3"),
    "activation": (
        lambda w: conv(w, image(w), options={"fusedActivationFunction": 4}),
        r"fused activation TANH is not supported",
    ),
    "padding": (lambda w: conv(w, image(w), options={"padding": 7}), r"its padding 7 is unknown"),
    "stride": (lambda w: conv(w, image(w), options={"strideH": 0}), r"stride must be 1\.\.255"),
    "weight zero point": (
        lambda w: conv(w, image(w), weights=w.constant(KERNEL, 0.5, zero_point=3)),
        r"its weights must have zero point 0",
    ),
    "weight axis": (
        lambda w: conv(w, image(w), weights=w.constant(KERNEL, [0.5, 0.6, 0.7], axis=3)),
        r"scales along axis 0, not 3",
    ),
    "weight scales": (
        lambda w: conv(w, image(w), weights=w.constant(KERNEL, [0.5, 0.6])),
        r"must have 1 or 3 scales, not 2",
    ),
    "weights": (
        lambda w: conv(w, image(w), weights=w.tensor(KERNEL.shape, 0.5)),
        r"tensor 1 't1' must be a constant",
    ),
    "channels": (
        lambda w: conv(w, image(w), weights=w.constant(np.ones((3, 2, 2, 3), np.int8), 0.5)),
        r"its 2 input channels are no multiple of its weights' 3",
    ),
    "batch": (lambda w: conv(w, w.input((2, 6, 6, 2), 0.5)), r"only a batch of 1 is supported"),
    "scale": (lambda w: conv(w, w.input(IMAGE, -1.0)), r"must have scales in"),
    "dynamic shape": (dynamic, r"model input: tensor 0 't0' has a dynamic shape"),
    "real network": (real_network, r"FLOAT32, which only QUANTIZE may read.*; RELU 0: .*FLOAT32"),
    "padded average": (
        lambda w: simple(w, "AVERAGE_POOL_2D", made=pool_options(0)),
        r"windows reach beyond the image \(SAME padding of 6 by a kernel of 2, stride 1\)",
    ),
    "mean": (
        lambda w: simple(w, "MEAN", (1, 6, 6), constant=np.array([3], np.int32)),
        r"reduces the axes \[3\] of 4: only rows and columns",
    ),
    "padded channels": (
        lambda w: simple(w, "PAD", (1, 6, 6, 3), constant=np.eye(4, 2, -3, np.int32)),
        r"must be of rows and columns of an image only",
    ),
    "joined rows": (
        lambda w: simple(w, "CONCATENATION", made=options("ConcatenationOptions", axis=1)),
        r"joins axis 1 of 4: only the last one",
    ),
    "softmax between": (softmax_between, r"RELU 1: .* SOFTMAX and DEQUANTIZE may only be followed"),
    "sigmoid": (
        lambda w: simple(w, "LOGISTIC"),
        r"scale 0\.00390625 and zero point -128, not 0\.5",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_supported_is_named(case: str) -> None:
    make, message = CASES[case]
    writer = ModelWriter()
    writer.output(make(writer))
    with pytest.raises(UnsupportedModelError, match=message):
        import_model(writer.to_bytes())


def test_the_sound_convolution_is_imported() -> None:
    writer = ModelWriter()
    writer.output(conv(writer, image(writer)))
    assert import_model(writer.to_bytes()).network.graph.total_macs == 5 * 5 * 24


def test_all_problems_are_in_one_report() -> None:
    writer = ModelWriter()
    source = image(writer)
    middle = writer.tensor(IMAGE, 0.5)
    writer.operator("SIN", [source], [middle])
    joined = conv(writer, middle)
    writer.operator("COS", [joined], [writer.tensor((1, 5, 5, 3), 0.5)])
    writer.output(conv(writer, middle, options={"padding": 9}))
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(writer.to_bytes())
    found = [(problem.operator, problem.index) for problem in caught.value.problems]
    assert found == [("SIN", 0), ("COS", 2), ("CONV_2D", 3)]


def test_other_versions_of_the_format_are_refused() -> None:
    writer = ModelWriter()
    writer.output(conv(writer, image(writer)))
    writer.model.version = 4
    with pytest.raises(ModelError, match="schema must be version 3, not 4"):
        import_model(writer.to_bytes())


def test_models_of_several_graphs_are_refused() -> None:
    writer = ModelWriter()
    writer.output(conv(writer, image(writer)))
    writer.model.subgraphs.append(writer.graph)
    with pytest.raises(ModelError, match="a model must have one graph, not 2"):
        import_model(writer.to_bytes())


def test_a_few_bytes_cannot_ask_for_much_memory() -> None:
    """Each of many means would need a weight per element of an image that is only declared."""
    writer = ModelWriter()
    source = writer.input((1, 100, 100, 1600), 0.5)
    axes = writer.constant(np.array([1, 2], np.int32))
    outputs = [writer.tensor((1, 1600), 0.5) for _ in range(4)]
    for output in outputs:
        writer.operator("MEAN", [source, axes], [output], options("ReducerOptions"))
    writer.output(*outputs)
    with pytest.raises(UnsupportedModelError, match="constants together exceed 33,554,432"):
        import_model(writer.to_bytes())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = ModelWriter()
    writer.output(conv(writer, image(writer)))
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(ModelError, match=r"pip install tflite$"):
        import_model(writer.to_bytes())
