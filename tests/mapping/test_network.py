"""Network files: what is written comes back, and nothing else is accepted."""

import copy
import json
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.builder import Builder
from mapping.file_format import HEADER, JSON_MAX_BYTES
from mapping.graph import Graph
from mapping.graph_codec import NODE_KINDS
from mapping.network import (
    FORMAT,
    Network,
    NetworkFileError,
    NetworkInfo,
    from_bytes,
    load_network,
    save_network,
    to_bytes,
)
from mapping.ops import ActType
from tests.strategies import networks, random_network

Edit = Callable[[dict[str, Any]], object]


def seal(text: bytes, packed: bytes, arrays_bytes: int, json_bytes: int | None = None) -> bytes:
    """A file with these parts and a matching checksum, legal or not."""
    length = len(text) if json_bytes is None else json_bytes
    header = HEADER.pack(FORMAT.magic, FORMAT.version, length, arrays_bytes)
    return header + sha256(header + text + packed).digest() + text + packed


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Description and inflated arrays of a file."""
    _, _, json_bytes, _ = HEADER.unpack_from(data)
    body = data[HEADER.size + 32 :]
    return json.loads(body[:json_bytes]), zlib.decompress(body[json_bytes:])


def edited(edit: Edit) -> bytes:
    """The file of a small network with a changed description and a matching checksum."""
    description, arrays = parts(to_bytes(small_network()))
    edit(description)
    return seal(json.dumps(description).encode(), zlib.compress(arrays), len(arrays))


def small_network() -> Network:
    """An input, a matmul and its requantization."""
    builder = Builder()
    acc = builder.input((3,), name="in").matmul(np.arange(6).reshape(3, 2), name="dense")
    return Network(builder.graph(acc.requantize(1 << 30, -3)), NetworkInfo(name="small"))


def every_kind() -> Graph:
    """A network with every kind of node in it."""
    builder = Builder()
    image = builder.input((6, 6, 2), zero_point=-3, name="Bild ä")
    conv = image.conv2d(np.ones((3, 3, 1, 4), int), groups=2, pad="same", weight_bits=3)
    codes = conv.requantize([1 << 30] * 4, [-1, 0, 1, 2]).clamp(-5, 100)
    total = codes.add(codes, (-32768, 32767)).requantize_onnx(np.float32(1e-20))
    table = total.lut(np.arange(256) % 16 - 8, ActType(4, signed=True, zero_point=7))
    pooled = table.max_pool2d(3, 2, (1, 0, 2, 1)).pad(1, 0, 0, 1).avg_pool2d((2, 1))
    joined = pooled.concat(pooled).global_avg_pool()
    dense = joined.reshape(2, 1, 4).flatten().matmul(np.full((8, 3), -32768), weight_bits=16)
    fixed = dense.requantize_fixed((1 << 48) - 1, clamp=(-9, 9), round_constant=1 << 15)
    steps = dense.requantize_thresholds(
        [-(1 << 40), 0, 1 << 40], ActType(2, signed=True, zero_point=-2), is_descending=True
    )
    product = joined.dynamic_matmul(builder.constant(np.full((1, 2, 8), -9), 5, zero_point=3))
    return builder.graph(dense, fixed, joined, steps, product)


@given(st.one_of(networks(), networks(max_threshold_bits=4)))
def test_files_give_back_the_same_graph(graph: Graph) -> None:
    data = to_bytes(Network(graph))
    again = from_bytes(data)
    assert again.graph == graph
    assert to_bytes(again) == data


def test_every_kind_of_node_survives() -> None:
    graph = every_kind()
    assert {node.KIND for node in graph.nodes} == set(NODE_KINDS)
    assert from_bytes(to_bytes(Network(graph))).graph == graph


def test_metadata_survives(tmp_path: Path) -> None:
    info = NetworkInfo(
        name="n", description="ä\n", labels=("a", "b"), input_scale=0.1, float_accuracy=0.97,
        remarks=("odd",),
    )  # fmt: skip
    path = tmp_path / "n.systolic-net"
    save_network(Network(small_network().graph, info), path)
    assert load_network(path) == Network(small_network().graph, info)


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "n.systolic-net"
    save_network(small_network(), path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_network(random_network(1), path)
    assert load_network(path) == small_network()
    assert os.listdir(tmp_path) == [path.name]


def test_errors_are_one_line_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.systolic-net"
    path.write_bytes(b"PK\3\4")
    with pytest.raises(NetworkFileError) as caught:
        load_network(path)
    assert str(caught.value) == f"{path}: not a systolic network file (wrong magic)"


def test_missing_files_are_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_network(tmp_path / "none.systolic-net")


def test_every_truncation_is_refused() -> None:
    data = to_bytes(small_network())
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"wrong magic|truncated|checksum"):
            from_bytes(data[:length])


@given(st.data())
def test_every_flipped_bit_is_refused(data: st.DataObject) -> None:
    content = bytearray(to_bytes(small_network()))
    position = data.draw(st.integers(0, 8 * len(content) - 1))
    content[position // 8] ^= 1 << position % 8
    with pytest.raises(ValueError, match=r"magic|version|at most|checksum"):
        from_bytes(bytes(content))


def test_appended_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="checksum"):
        from_bytes(to_bytes(small_network()) + b"\0")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.pop("info"), "exactly: graph, info"),
        (lambda d: d["info"].pop("name"), "info must be an object with exactly: description"),
        (lambda d: d["info"].update(labels="ab"), "labels must be a list"),
        (lambda d: d["info"].update(labels=[1]), r"info.labels\[0\] must be a string, not 1"),
        (lambda d: d["info"].update(input_scale=0), "input_scale must be a positive number, not 0"),
        (lambda d: d["info"].update(input_scale=float("nan")), "finite number, not nan"),
        (lambda d: d["info"].update(input_scale=10**400), "finite number, not 1000"),
        (lambda d: d["info"].update(input_scale=True), "finite number, not True"),
        (lambda d: d["info"].update(float_accuracy=1.5), r"0\.\.1 or None, not 1\.5"),
        (lambda d: d["graph"].update(nodes={}), "nodes must be a list"),
        (lambda d: d["graph"].update(nodes=[3]), r"nodes\[0\] must be an object with a kind"),
        (lambda d: d["graph"].update(outputs=[9]), r"an output must be a node id 0\.\.2, not 9"),
        (lambda d: d["graph"].update(outputs=[2.0]), r"outputs\[0\] must be an integer"),
        (lambda d: d["graph"]["nodes"].pop(), r"8 bytes|an output must be|left over"),
        (lambda d: d["graph"]["nodes"][1].update(kind="exec"), "kind must be one of .*'exec'"),
        (lambda d: d["graph"]["nodes"][1].update(kind=["input"]), "kind must be a string"),
        (lambda d: d["graph"]["nodes"][1].update(extra=1), "exactly: bias, inputs, kind, name"),
        (lambda d: d["graph"]["nodes"][1].update(inputs=[True]), r"inputs\[0\] must be an integer"),
        (lambda d: d["graph"]["nodes"][1].update(inputs=[1]), "must be an earlier node .*, not 1"),
        (lambda d: d["graph"]["nodes"][1].update(weight_bits=1), r"must be -1\.\.0, not 0\.\.5"),
        (
            lambda d: d["graph"]["nodes"][1].update(weight_bits=1 << 70),
            "must be an integer, not 1180",
        ),
        (lambda d: d["graph"]["nodes"][1]["bias"].update(dtype="object"), "dtype must be one of"),
        (lambda d: d["graph"]["nodes"][1]["bias"].update(shape=[-2]), "hold 1 to 4 positive"),
        (lambda d: d["graph"]["nodes"][1]["bias"].update(shape=[]), "hold 1 to 4 positive"),
        (lambda d: d["graph"]["nodes"][1]["bias"].update(shape=[1] * 99), "hold 1 to 4 positive"),
        (lambda d: d["graph"]["nodes"][1]["bias"].update(shape=[1, 2]), "1 non-empty axes"),
        (lambda d: d["graph"]["nodes"][1].update(inputs=[0] * 4097), "at most 4096 elements"),
        (lambda d: d["graph"]["nodes"][0]["type"].update(shape=[1] * 99), "not 99 axes"),
        (lambda d: d["graph"]["nodes"][1]["bias"].update(shape=[1 << 52]), "bytes of array data"),
        (lambda d: d["graph"]["nodes"][0]["type"]["element"].update(signed=1), "true or false"),
        (lambda d: d["graph"]["nodes"][0]["type"]["element"].update(bits=0), "bits must be 1"),
        (lambda d: d["graph"]["nodes"][0]["type"].update(shape=[1 << 40]), "at most 16,777,216"),
    ],
)
def test_illegal_descriptions_are_refused(edit: Edit, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        from_bytes(edited(edit))
    assert "\n" not in str(caught.value)


def complaint(content: bytes) -> str:
    """What is wrong with a file's contents; nothing if they are a network."""
    try:
        from_bytes(content)
    except ValueError as error:
        return str(error)
    return ""


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside a JSON value."""
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    return [(value, key) for key in keys] + [p for key in keys for p in places(value[key])]


@given(st.data())
def test_any_change_of_a_description_gives_a_network_or_a_value_error(data: st.DataObject) -> None:
    description, arrays = parts(to_bytes(Network(every_kind())))
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=4,
    )
    for _ in range(data.draw(st.integers(1, 3))):
        options = places(description)
        container, key = options[data.draw(st.integers(0, len(options) - 1))]
        donor = options[data.draw(st.integers(0, len(options) - 1))]
        container[key] = data.draw(junk | st.just(copy.deepcopy(donor[0][donor[1]])))
    content = seal(json.dumps(description).encode(), zlib.compress(arrays), len(arrays))
    assert "\n" not in complaint(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (seal(b"[" * 100_000, zlib.compress(b""), 0), "nested too deeply"),
        (seal(b"\xff\xfe{", zlib.compress(b""), 0), "not JSON"),
        (seal(b"{" + b"1" * 5000, zlib.compress(b""), 0), "not JSON"),
        (seal(b"9" * 5000, zlib.compress(b""), 0), "not JSON"),
        (seal(b'{"info":1,"graph":2}', b"junk", 0), "array data cannot be inflated"),
        (seal(b'{"info":1,"graph":2}', zlib.compress(b"12"), 1), "inflate to exactly 1 bytes"),
        (seal(b'{"info":1,"graph":2}', zlib.compress(b"12"), 3), "inflate to exactly 3 bytes"),
        (seal(b'{"info":1,"graph":2}', zlib.compress(b"1") + b"x", 1), "inflate to exactly 1"),
        (seal(b"", b"", 0, JSON_MAX_BYTES + 1), "description must be at most 4,194,304 bytes"),
        (seal(b"", b"", FORMAT.data_max_bytes + 1), "array data must be at most 16,777,216 bytes"),
        (
            FORMAT.magic + struct.pack("<III", 2, 0, 0) + bytes(32),
            "version must be 1, not 2; write",
        ),
    ],
    ids=range(11),
)
def test_hostile_contents_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        from_bytes(content)
    assert "\n" not in str(caught.value)


def test_inflating_never_takes_more_memory_than_announced() -> None:
    bomb = zlib.compress(bytes(200 << 20), 9)
    content = seal(b'{"info":1,"graph":2}', bomb, 1000)
    tracemalloc.start()
    with pytest.raises(ValueError, match="inflate to exactly 1,000 bytes"):
        from_bytes(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_oversized_networks_are_not_written(tmp_path: Path) -> None:
    builder = Builder()
    value = builder.input((4096,))
    weights = np.full((4096, 4097), 1, np.int32)
    with pytest.raises(ValueError, match=r"array data must be at most 16,777,216 bytes"):
        save_network(builder.graph(value.matmul(weights)), tmp_path / "big.systolic-net")
    assert not os.listdir(tmp_path)


def test_inputs_are_quantized_to_the_nearest_step_in_range() -> None:
    builder = Builder()
    graph = builder.graph(builder.input((5,), bits=4, signed=True, zero_point=-8))
    network = Network(graph, NetworkInfo(input_scale=0.5))
    codes = network.quantize_input([[0.0, 0.25, 0.75, -3.0, 99.0]])
    np.testing.assert_array_equal(codes, [[-8, -8, -6, -8, 7]])
