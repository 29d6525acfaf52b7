"""Naming networks, programs, configurations and inputs; every way in which that can go wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from mapping.builder import Builder
from mapping.network import save_network
from mapping.networks.digits import FOLDER
from mapping.presets import PRESETS
from tests.cli.conftest import Systolic


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_described_and_compiles_both_digits(
    systolic: Systolic, name: str, tmp_path: Path
) -> None:
    described = systolic("info", name).out
    config = tmp_path / "copy.json"
    config.write_text(described[: described.index("}") + 1])
    for network in ("digits_int8", "digits_int4"):
        by_name = systolic("listing", network, "--config", name)
        assert by_name.status == 0
        assert by_name.out == systolic("listing", network, "--config", config).out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"rows": 3}', "rows must be between 4 and 64, not 3"),
        ('{"rows": "16"}', "rows must be of type int"),
        ('{"colour": 3}', "no field 'colour'"),
        ('{"cols": 5}', "cols must divide rows"),
        ("\xff", "configuration"),
        (" " * (1 << 17), "at most 65536 bytes"),
    ],
)
def test_an_illegal_configuration_is_named(
    systolic: Systolic, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    systolic("compile", "digits", "--config", path).assert_fails(1, str(path), message)


@pytest.mark.parametrize("verb", ["compile", "listing", "run", "info"])
def test_what_does_not_exist_is_status_2(systolic: Systolic, verb: str, tmp_path: Path) -> None:
    systolic(verb, "no-such-network").assert_fails(2, "no-such-network", "digits_int8")
    systolic(verb, tmp_path).assert_fails(2, "is a folder")


def test_a_missing_configuration_lists_the_presets(systolic: Systolic) -> None:
    outcome = systolic("compile", "digits", "--config", "up6k")
    outcome.assert_fails(2, "'up6k' is neither a preset (default, up5k, int4, tiny) nor a file")


def test_a_foreign_file_is_refused_by_its_first_bytes(systolic: Systolic, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    systolic("run", path).assert_fails(
        1, "neither a network, a TensorFlow Lite, an ONNX (*.onnx) nor a program file", "PNG"
    )


@pytest.mark.parametrize("kind", ["program", "network"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], ""),
        (lambda data: data + b"x", ""),
        (lambda data: data[:20], "truncated"),
        (lambda data: data[:8] + b"\x07" + data[9:], "version"),
        (lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "damaged"),
    ],
    ids=["cut off", "longer", "no header", "future version", "one bit"],
)
def test_a_corrupted_file_is_refused(
    systolic: Systolic, digits_program: Path, kind: str, change, message: str
) -> None:
    source = digits_program if kind == "program" else FOLDER / "digits_int8.systolic-net"
    path = digits_program.with_name("corrupted")
    path.write_bytes(change(source.read_bytes()))
    for verb in ("info", "listing", "run"):
        systolic(verb, path).assert_fails(1, str(path), message)


def test_a_program_for_another_configuration_is_refused(
    systolic: Systolic, digits_program: Path
) -> None:
    outcome = systolic("run", digits_program, "--config", "tiny")
    outcome.assert_fails(1, "another configuration than tiny", "rows 16, not 8", "compile")


def test_a_program_is_not_compiled_again(systolic: Systolic, digits_program: Path) -> None:
    systolic("compile", digits_program).assert_fails(2, "is a program already")


def test_an_unreadable_name_is_one_line(systolic: Systolic) -> None:
    assert systolic("info", "a\nb").err.count("\n") == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"scratchpad_words": 384}, "bytes too many"),
        ({"acc_bits": 16, "weight_bits": 4}, "but 32767 is the limit"),
    ],
    ids=["too large", "accumulator overflow"],
)
def test_a_network_that_does_not_fit_is_refused_by_name(
    systolic: Systolic, tmp_path: Path, config: dict[str, int], message: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    for verb in ("compile", "listing", "run"):
        systolic(verb, "digits", "--config", path).assert_fails(1, "digits_int8: ", message)


def test_an_unsupported_shape_is_refused_by_name(systolic: Systolic, tmp_path: Path) -> None:
    builder = Builder()
    path = tmp_path / "wide.systolic-net"
    save_network(builder.graph(builder.input((16, 16, 4)).max_pool2d(16, name="wide")), path)
    systolic("compile", path).assert_fails(1, "wide", "window must have at most 128 elements")


def test_an_unsupported_operator_is_refused_by_name(systolic: Systolic, tmp_path: Path) -> None:
    builder = Builder()
    network, config = tmp_path / "lut.systolic-net", tmp_path / "config.json"
    image = builder.input((4, 4, 4))
    save_network(builder.graph(image.lut(np.arange(256) - 128, name="sigmoid")), network)
    config.write_text('{"table": false}')
    systolic("compile", network, "--config", config).assert_fails(1, "lookup table", "table=True")
