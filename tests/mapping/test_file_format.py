"""The form of files: what is packed comes back, all else is refused by the format's own error."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.file_format import BODY_START, HEADER, FileFormat, write_whole


class ShapeError(ValueError):
    """What the format of these tests raises."""


def make_format(*, is_deflated: bool, version: int = 3) -> FileFormat:
    """A format of small files."""
    return FileFormat(
        kind="shape", magic=b"SYSTSHP\n", version=version, remedy="draw it again",
        data_name="outline", data_max_bytes=1000, is_deflated=is_deflated, error=ShapeError,
    )  # fmt: skip


PLAIN, DEFLATED = make_format(is_deflated=False), make_format(is_deflated=True)
FORMATS = pytest.mark.parametrize("form", [PLAIN, DEFLATED], ids=["plain", "deflated"])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=9,
)


@FORMATS
@given(description=JSON_VALUES, data=st.binary(max_size=1000))
def test_what_was_packed_comes_back(form: FileFormat, description: object, data: bytes) -> None:
    contents = form.pack(description, data)
    assert form.unpack(contents) == (description, data)
    assert len(contents) <= form.max_bytes


def test_the_form_is_that_of_its_description() -> None:
    contents = PLAIN.pack({"a": 1}, b"xyz")
    header = b"SYSTSHP\n" + b"".join(n.to_bytes(4, "little") for n in (3, 7, 3))
    body = b'{"a":1}xyz'
    assert contents == header + sha256(header + body).digest() + body


@FORMATS
@given(data=st.data())
def test_every_changed_byte_is_noticed(form: FileFormat, data: st.DataObject) -> None:
    contents = bytearray(form.pack([1, 2], b"some data"))
    position = data.draw(st.integers(0, len(contents) - 1))
    contents[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ShapeError):
        form.unpack(bytes(contents))


@FORMATS
def test_every_truncation_and_every_excess_is_noticed(form: FileFormat) -> None:
    contents = form.pack([1, 2], b"some data")
    for length in range(len(contents)):
        with pytest.raises(ShapeError, match=r"wrong magic|truncated|bytes long|checksum"):
            form.unpack(contents[:length])
    with pytest.raises(ShapeError, match=r"bytes long by its header|checksum"):
        form.unpack(contents + b"\0")


@FORMATS
def test_messages_say_what_is_wrong_and_what_to_do(form: FileFormat) -> None:
    newer = make_format(is_deflated=form.is_deflated, version=4)
    with pytest.raises(ShapeError, match="format version must be 3, not 4; draw it again"):
        form.unpack(newer.pack(None, b""))
    with pytest.raises(ShapeError, match=r"not a systolic shape file \(wrong magic\)"):
        form.unpack(b"GIF89a")
    with pytest.raises(ShapeError, match="outline must be at most 1,000 bytes, not 1,001"):
        form.pack(None, bytes(1001))
    header = HEADER.pack(form.magic, 3, 0, 1001)
    with pytest.raises(ShapeError, match="outline must be at most 1,000 bytes, not 1,001"):
        form.unpack(header.ljust(BODY_START, b"\0"))


def test_loading_reads_no_more_than_a_file_may_have(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.write(DEFLATED.pack(None, b""))
        file.truncate(1 << 40)  # a hole: it takes no room
    with pytest.raises(ShapeError, match=r"huge: larger than the .* bytes a shape file may have"):
        DEFLATED.load(path, lambda contents: DEFLATED.unpack(contents)[1])


def test_loading_names_the_file_whatever_the_parser_complains_of(tmp_path: Path) -> None:
    def parse(contents: bytes) -> bytes:
        raise ValueError(f"{len(contents)} bytes are odd")

    (tmp_path / "odd").write_bytes(b"abc")
    with pytest.raises(ShapeError, match="/odd: 3 bytes are odd"):
        PLAIN.load(tmp_path / "odd", parse)


def test_files_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"new")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("file", b"old")]
    assert path.stat().st_mode & 0o777 == 0o644
