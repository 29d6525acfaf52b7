r"""The file format that networks and programs share: JSON and binary data under a checksum.

A file holds, in this order (integers little-endian)::

    8 bytes   magic
    4 bytes   format version
    4 bytes   length of the JSON part in bytes, at most 4 MiB
    4 bytes   length of the data in bytes (once inflated), at most what its format allows
    32 bytes  SHA-256 of all other bytes, from the magic to the end
    JSON      UTF-8
    data      as it is, or deflated (zlib)

A file is data only (nothing in it is ever executed), and reading one allocates no more than these
lengths allow. What JSON and data mean is left to :mod:`mapping.network` and
:mod:`mapping.program.file`.
"""

import json
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

Content = TypeVar("Content")

HEADER: Final = struct.Struct("<8sIII")
DIGEST_BYTES: Final = 32
BODY_START: Final = HEADER.size + DIGEST_BYTES
JSON_MAX_BYTES: Final = 4 << 20
DEFLATE_MAX_OVERHEAD: Final = 1 << 16
"""More bytes than zlib ever adds to data of at most 100 MiB: five per block of 16 KiB or more."""


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """One kind of file.

    Parameters
    ----------
    kind : str
        What a file holds, for messages.
    magic : bytes
        Its first 8 bytes.
    version : int
        The only version that is written and read.
    remedy : str
        What to do about a file of another version, for messages.
    data_name : str
        What the data are, for messages.
    data_max_bytes : int
        Most bytes of data (once inflated).
    is_deflated : bool
        Whether the data are compressed.
    error : type of ValueError
        Raised for everything that is wrong with a file; made from a message of one line.
    """

    kind: str
    magic: bytes
    version: int
    remedy: str
    data_name: str
    data_max_bytes: int
    is_deflated: bool
    error: type[ValueError]

    @property
    def max_bytes(self) -> int:
        """More bytes than any file has."""
        overhead = DEFLATE_MAX_OVERHEAD if self.is_deflated else 0
        return BODY_START + JSON_MAX_BYTES + self.data_max_bytes + overhead

    def pack(self, description: Any, data: bytes) -> bytes:
        """Contents of a file; equal parts give equal bytes (with one version of zlib).

        Parameters
        ----------
        description : JSON value
            What ``json.dumps`` takes.
        data : bytes
            Not deflated yet.

        Raises
        ------
        ValueError
            Of class ``error``, if a part is larger than the format allows.
        """
        text = json.dumps(description, separators=(",", ":")).encode()
        self._check_lengths(len(text), len(data))
        header = HEADER.pack(self.magic, self.version, len(text), len(data))
        body = text + (zlib.compress(data, 9) if self.is_deflated else data)
        return header + sha256(header + body).digest() + body

    def unpack(self, contents: bytes) -> tuple[Any, bytes]:
        """Parsed JSON and (inflated) data of a file's contents.

        Raises
        ------
        ValueError
            Of class ``error``, if they are foreign, damaged, of another version or hostile.
        """
        if not contents.startswith(self.magic):
            raise self.error(f"not a systolic {self.kind} file (wrong magic)")
        if len(contents) < BODY_START:
            raise self.error(f"truncated: {len(contents)} bytes are less than a header")
        _, version, json_bytes, data_bytes = HEADER.unpack_from(contents)
        if version != self.version:
            raise self.error(f"format version must be {self.version}, not {version}; {self.remedy}")
        self._check_lengths(json_bytes, data_bytes)
        if len(contents) > self.max_bytes:
            raise self.error(
                f"larger than the {self.max_bytes:,} bytes a {self.kind} file may have"
            )
        expected = BODY_START + json_bytes + data_bytes
        if not self.is_deflated and len(contents) != expected:
            raise self.error(f"must be {expected} bytes long by its header, not {len(contents)}")
        body, digest = contents[BODY_START:], contents[HEADER.size : BODY_START]
        if sha256(contents[: HEADER.size] + body).digest() != digest:
            raise self.error("damaged: the checksum does not match")
        description, data = self._parse_json(body[:json_bytes]), body[json_bytes:]
        return description, self._inflate(data, data_bytes) if self.is_deflated else data

    def load(self, path: str | os.PathLike[str], parse: Callable[[bytes], Content]) -> Content:
        """Read a file and parse its contents; whatever is wrong with it, the message names it.

        Parameters
        ----------
        path : path
            File to read.
        parse : callable
            Makes something of the contents, or raises a :exc:`ValueError`.

        Raises
        ------
        ValueError
            Of class ``error``, with the file's name in front of the message of ``parse``.
        OSError
            If the file cannot be read.
        """
        with open(path, "rb") as file:
            contents = file.read(self.max_bytes + 1)
        try:
            return parse(contents)
        except ValueError as error:
            raise self.error(f"{os.fspath(path)}: {error}") from None

    def _check_lengths(self, json_bytes: int, data_bytes: int) -> None:
        for what, length, limit in (
            ("description", json_bytes, JSON_MAX_BYTES),
            (self.data_name, data_bytes, self.data_max_bytes),
        ):
            if length > limit:
                raise self.error(f"{what} must be at most {limit:,} bytes, not {length:,}")

    def _parse_json(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except RecursionError:
            raise self.error("the description is nested too deeply") from None
        except ValueError as error:  # includes UnicodeDecodeError
            raise self.error(f"the description is not JSON ({error})") from None

    def _inflate(self, packed: bytes, length: int) -> bytes:
        """Inflate to exactly ``length`` bytes, never allocating more."""
        stream = zlib.decompressobj()
        try:
            data = stream.decompress(packed, length + 1)
        except zlib.error as error:
            raise self.error(f"{self.data_name} cannot be inflated ({error})") from None
        if len(data) != length or not stream.eof or stream.unused_data:
            raise self.error(f"{self.data_name} must inflate to exactly {length:,} bytes")
        return data


def write_whole(path: str | os.PathLike[str], contents: bytes) -> None:
    """Write a file, whole or not at all: a reader sees the old one or the new one, never a part.

    Parameters
    ----------
    path : path
        File to create or replace; its folder must exist.
    contents : bytes
        All of it.

    Raises
    ------
    OSError
        If it cannot be written; an old file is still there then.
    """
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # temporary files start private
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
