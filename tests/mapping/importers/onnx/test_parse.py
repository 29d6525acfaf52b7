"""Files are read as they are meant, and nothing in them is believed."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mapping.importers.errors import ModelError
from mapping.importers.onnx.parse import load_model, parse_model
from mapping.importers.onnx.wire import MAX_MESSAGES

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
VALUES = np.arange(-6, 6).reshape(3, 4)


def model(
    *initializers: TensorProto, shape: tuple[int | str, ...] = (1, 4), **changes: Any
) -> onnx.ModelProto:
    """A model of one Relu, with these initializers beside it."""
    nodes = changes.pop("nodes", [helper.make_node("Relu", ["x"], ["y"])])
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(initializers),
    )
    return helper.make_model(graph, **{"opset_imports": OPSETS, "ir_version": 10, **changes})


def refusal(proto: onnx.ModelProto) -> str:
    with pytest.raises(ModelError) as caught:
        parse_model(proto.SerializeToString())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("is_raw", [False, True])
@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE", "FLOAT16", "INT8", "INT16", "INT32", "INT64"])
def test_signed_values(kind: str, is_raw: bool) -> None:
    number = TensorProto.DataType.Value(kind)
    wanted = VALUES.astype(helper.tensor_dtype_to_np_dtype(number))
    values = wanted.tobytes() if is_raw else wanted.ravel().tolist()
    tensor = helper.make_tensor("w", number, wanted.shape, values, raw=is_raw)
    read = parse_model(model(tensor).SerializeToString()).constants["w"]
    assert read.kind == kind.lower()
    assert read.values.dtype == wanted.dtype
    np.testing.assert_array_equal(read.values, wanted)


@pytest.mark.parametrize("kind", ["UINT8", "UINT16", "UINT32", "UINT64", "BOOL"])
def test_unsigned_values(kind: str) -> None:
    number = TensorProto.DataType.Value(kind)
    wanted = np.array([0, 1, 1, 0, 1]).astype(helper.tensor_dtype_to_np_dtype(number))
    tensors = (
        helper.make_tensor("field", number, (5,), wanted.tolist()),
        helper.make_tensor("raw", number, (5,), wanted.tobytes(), raw=True),
    )
    for constant in parse_model(model(*tensors).SerializeToString()).constants.values():
        np.testing.assert_array_equal(constant.values, wanted, strict=True)


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT2", "UINT2"])
@pytest.mark.parametrize("is_raw", [False, True])
def test_values_that_share_a_byte(kind: str, is_raw: bool) -> None:
    number = TensorProto.DataType.Value(kind)
    wanted = np.array([1, 0, 1, 3, 0, 2, 1] if kind[0] == "U" else [1, 0, 1, -1, 0, -2, 1])
    tensor = helper.make_tensor("w", number, wanted.shape, wanted.tolist())
    if is_raw:
        tensor.raw_data = bytes(tensor.int32_data)
        tensor.ClearField("int32_data")
    read = parse_model(model(tensor).SerializeToString()).constants["w"].values
    np.testing.assert_array_equal(read, wanted)


def test_a_symbolic_batch_is_one() -> None:
    assert parse_model(model(shape=("batch", 4)).SerializeToString()).inputs[0].shape == (1, 4)
    assert parse_model(model(shape=(0, 4)).SerializeToString()).inputs[0].shape == (1, 4)


def test_dynamic_shapes_are_refused_by_name() -> None:
    assert "input 'x': axis 1 ('width')" in refusal(model(shape=(1, "width")))


def test_constants_may_be_nodes() -> None:
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(VALUES)),
        helper.make_node("Constant", [], ["d"], value_floats=[1.5, 2.5]),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    read = parse_model(model(nodes=nodes).SerializeToString())
    assert [node.index for node in read.nodes] == [2]
    np.testing.assert_array_equal(read.constants["c"].values, VALUES)
    np.testing.assert_array_equal(read.constants["d"].values, np.float32([1.5, 2.5]))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ir_version": 99}, "IR version must be 3..14, not 99"),
        ({"opset_imports": [helper.make_opsetid("", 3)]}, "opset of ai.onnx must be 7..28, not 3"),
        ({"opset_imports": []}, "imports no operators of the domain 'ai.onnx'"),
        (
            {"opset_imports": [*OPSETS, helper.make_opsetid("", 18)]},
            "imports the domain 'ai.onnx' twice",
        ),
        ({"nodes": [helper.make_node("Relu", ["z"], ["y"])]}, "uses 'z', which nothing before it"),
        ({"nodes": [helper.make_node("Relu", ["x"], ["x"])]}, "gives 'x', which has a value"),
        ({"nodes": [helper.make_node("Relu", ["x"], ["z"])]}, "output 'y' is never computed"),
    ],
)
def test_refusals(changes: dict[str, Any], reason: str) -> None:
    assert reason in refusal(model(**changes))


def test_tensors_have_to_fill_their_shapes() -> None:
    tensor = numpy_helper.from_array(VALUES.astype(np.int8), "w")
    tensor.dims[0] = 1 << 20
    assert "tensor 'w' must have 4,194,304 bytes, as its shape says, not 12" in refusal(
        model(tensor)
    )
    tensor.dims[0] = 1 << 40
    assert "must have at most 33,554,432 bytes" in refusal(model(tensor))
    tensor.dims[0] = -3
    assert "must have at most 8 axes, none negative" in refusal(model(tensor))


def test_numbers_have_to_fit_their_type() -> None:
    tensor = helper.make_tensor("w", TensorProto.INT8, (1,), [0])
    tensor.int32_data[0] = 128
    assert "tensor 'w' must hold -128..127" in refusal(model(tensor))


def external(location: str, **entries: str) -> onnx.ModelProto:
    tensor = numpy_helper.from_array(VALUES.astype(np.int8), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return model(tensor)


def load(folder: Path, proto: onnx.ModelProto) -> Any:
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    return load_model(folder / "model.onnx")


def test_external_data_lie_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(b"12345" + VALUES.astype(np.int8).tobytes())
    read = load(tmp_path, external("data/w.bin", offset="5", length="12"))
    np.testing.assert_array_equal(read.constants["w"].values, VALUES)
    with pytest.raises(ModelError, match=r"ends at byte 18 of 'w\.bin', which has 17"):
        load(tmp_path, external("data/w.bin", offset="6"))
    with pytest.raises(ModelError, match="must have 12 bytes, as its shape says, not 11"):
        load(tmp_path, external("data/w.bin", length="11"))
    with pytest.raises(ModelError, match="an offset or length of '-1'"):
        load(tmp_path, external("data/w.bin", offset="-1"))


def test_external_data_may_not_leave_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(VALUES.astype(np.int8).tobytes())
    (inner / "link.bin").symlink_to(secret)
    (inner / "loop.bin").symlink_to(inner / "loop.bin")
    os.mkfifo(inner / "pipe.bin")
    for location in ("../secret.bin", str(secret), "link.bin", "x/../../secret.bin"):
        with pytest.raises(ModelError, match="outside of the model's folder"):
            load(inner, external(location))
    for location in ("loop.bin", "pipe.bin", ".", "missing.bin"):
        with pytest.raises(ModelError, match=r"which (is no file|cannot be found)"):
            load(inner, external(location))
    for location in ("", "a\0b"):
        with pytest.raises(ModelError, match="without a usable file name"):
            load(inner, external(location))


def test_models_in_memory_have_no_external_data() -> None:
    assert "lies in another file" in refusal(external("w.bin"))


def test_small_files_of_very_many_messages_are_refused() -> None:
    graph = b"\x0a\x00" * (MAX_MESSAGES + 1)  # so many empty nodes
    length = bytes([len(graph) & 0x7F | 0x80, len(graph) >> 7 & 0x7F | 0x80, len(graph) >> 14])
    with pytest.raises(ModelError, match="holds more than 131,072"):
        parse_model(b"\x3a" + length + graph)


def test_what_is_no_protobuf_is_refused() -> None:
    for data in (b"", b"\x00", b"TFL3" * 10, b"\xff" * 100, b"\x3a\x7f"):
        with pytest.raises(ModelError):
            parse_model(data)
