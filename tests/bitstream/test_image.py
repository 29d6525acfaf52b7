"""Bitstreams that are damaged, or not what they should be, are refused with one clear line."""

from pathlib import Path

import numpy as np
import pytest

from sim.bitstream.chip.image import Image, parse_image, read_image, unpack
from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.pads import read_pcf
from sim.bitstream.simulator import load_bitstream
from sim.compiled import Cache
from tests.bitstream import designs
from tests.bitstream.build import build


@pytest.fixture(scope="module")
def path(builds: Path) -> Path:
    return build(designs.counter(), "hx1k", builds)


@pytest.fixture(scope="module")
def text(path: Path) -> str:
    return unpack(path.read_bytes())


def test_packing_loses_nothing(path: Path, text: str) -> None:
    routed = read_image(path.with_name("seed-1.asc"))

    image = parse_image(text)

    assert np.array_equal(image.bits, routed.bits)
    assert image.extra == routed.extra


def test_a_damaged_bitstream_is_refused(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    (tmp_path / "bad.bin").write_bytes(data)

    with pytest.raises(BitstreamError, match=r"iceunpack: .*CRC"):
        read_image(tmp_path / "bad.bin")


def test_a_missing_bitstream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BitstreamError, match=r"cannot read .*none\.bin: No such file"):
        read_image(tmp_path / "none.bin")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (".device 1k", ".device 9k", "nextpnr has no database of the chip 9k"),
        (".device 1k\n", "", "a bitstream names its chip once, not 0 times"),
        (".logic_tile 1 1", ".ramb_tile 1 1", "tile 1,1 of chip 1k is logic, not ramb"),
        (".logic_tile 1 1", ".logic_tile 99 1", "tile 99,1 of chip 1k is none, not logic"),
        (".logic_tile 1 1", ".mystery 1 1", r"a section \.mystery, which is not known"),
    ],
)
def test_wrong_text_is_refused(text: str, old: str, new: str, message: str) -> None:
    assert old in text

    with pytest.raises(BitstreamError, match=message):
        parse_image(text.replace(old, new))


def test_a_ram_has_256_words(text: str) -> None:
    with pytest.raises(BitstreamError, match="256 words, not 16"):
        parse_image(text + f".ram_data 3 1\n{'0' * 64}\n")


def test_an_unknown_package_or_pin_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(BitstreamError, match="the chip 1k has no package sg48, only cb121"):
        load_bitstream(path, "sg48")
    (tmp_path / "top.pcf").write_text("set_io clk 999\n")
    with pytest.raises(BitstreamError, match="port clk: package tq144 has no pin 999"):
        load_bitstream(path, "tq144", pcf=tmp_path / "top.pcf")


def test_constraints_are_read_with_options_and_comments() -> None:
    text = "set_io -pullup yes rx 6 # from the host\nset_frequency clk 12\n\nset_io tx 9\n"

    assert read_pcf(text) == {"6": "rx", "9": "tx"}
    with pytest.raises(BitstreamError, match="ports rx and tx are both on pin 6"):
        read_pcf("set_io rx 6\nset_io tx 6\n")


def test_pins_that_do_not_exist_are_named(path: Path, builds: Path) -> None:
    simulator = load_bitstream(
        path, "tq144", pcf=path.with_suffix(".pcf"), cache_folder=Cache(builds)
    )

    with pytest.raises(ValueError, match="the chip reads no pin tx, only "):
        simulator.set("tx", 1)
    with pytest.raises(ValueError, match="the chip drives no pin enable, only "):
        simulator.get("enable")
    with pytest.raises(ValueError, match="pin enable is 0 or 1, not 2"):
        simulator.set("enable", 2)


def test_an_entry_that_a_tile_lacks_is_named(text: str) -> None:
    image: Image = parse_image(text)

    with pytest.raises(BitstreamError, match=r"tile 1,1 \(logic\) has no configuration IOB_0"):
        image.entry(1, 1, "IOB_0")
