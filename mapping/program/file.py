r"""The program file: one file, data only, read back strictly.

A file holds, in this order (integers little-endian)::

    8 bytes   magic "SYSTPRG\n"
    4 bytes   format version, 1
    4 bytes   length of the JSON part in bytes, at most 4 MiB
    4 bytes   length of the image in bytes, at most 4 MiB
    32 bytes  SHA-256 of all other bytes, from the magic to the end
    JSON      UTF-8: configuration and its digest, layers, tensors
    image     scratchpad words
"""

import json
import os
import struct
import tempfile
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from mapping.errors import ProgramError
from mapping.program.codec import Record, as_list, as_object, decode_record
from mapping.program.data import LayerRecord, ProgramData
from mapping.program.tensor import StoredTensor
from mapping.program.verify import verify_program
from systolic.spec.config import ArrayConfig, ConfigError

Data = TypeVar("Data", bound=ProgramData)

MAGIC: Final = b"SYSTPRG\n"
VERSION: Final = 1
HEADER: Final = struct.Struct("<8sIII")
DIGEST_BYTES: Final = 32
JSON_MAX_BYTES: Final = 4 << 20
IMAGE_MAX_BYTES: Final = 4 << 20
FILE_MAX_BYTES: Final = HEADER.size + DIGEST_BYTES + JSON_MAX_BYTES + IMAGE_MAX_BYTES
KEYS: Final = (
    "config",
    "config_digest",
    "entry",
    "inputs",
    "instruction_count",
    "layers",
    "load_address",
    "name",
    "outputs",
    "tensors",
)


def save_program(program: ProgramData, path: Path) -> None:
    """Write a program file, whole or not at all.

    Raises
    ------
    ProgramError
        If it is larger than the format allows.
    OSError
        If the file cannot be written.
    """
    data = to_bytes(program)
    # A reader sees the old file or the new one, never a part: write beside it, then rename.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # temporary files start private
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_program(path: Path, cls: type[Data]) -> Data:
    """Read a program file into an instance of ``cls``.

    Raises
    ------
    ProgramError
        If the file is foreign, damaged, cut off, from the future or of a hostile size.
    OSError
        If it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(FILE_MAX_BYTES + 1)
    try:
        return from_bytes(data, cls)
    except ValueError as error:
        raise ProgramError(f"{path}: {error}") from None


def to_bytes(program: ProgramData) -> bytes:
    """Contents of a program's file; equal programs give equal bytes."""
    content = {
        "name": program.name,
        "config": json.loads(program.config.to_json()),
        "config_digest": program.config.digest.hex(),
        "load_address": program.load_address,
        "entry": program.entry,
        "instruction_count": program.instruction_count,
        "layers": [asdict(layer) for layer in program.layers],
        "inputs": [asdict(tensor) for tensor in program.inputs],
        "outputs": [asdict(tensor) for tensor in program.outputs],
        "tensors": [asdict(tensor) for tensor in program.tensors],
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    _check_lengths(len(text), len(program.image))
    header = HEADER.pack(MAGIC, VERSION, len(text), len(program.image))
    body = text + program.image
    return header + sha256(header + body).digest() + body


def from_bytes(data: bytes, cls: type[Data]) -> Data:
    """Program of a file's contents; :exc:`ValueError` says in one line what is wrong with them."""
    if not data.startswith(MAGIC):
        raise ProgramError("not a systolic program file (wrong magic)")
    if len(data) < HEADER.size + DIGEST_BYTES:
        raise ProgramError(f"truncated: {len(data)} bytes are less than a header")
    _, version, json_bytes, image_bytes = HEADER.unpack_from(data)
    if version != VERSION:
        raise ProgramError(f"format version must be {VERSION}, not {version}: compile again")
    _check_lengths(json_bytes, image_bytes)
    body_at = HEADER.size + DIGEST_BYTES
    expected = body_at + json_bytes + image_bytes
    if len(data) != expected:
        raise ProgramError(f"must be {expected} bytes long by its header, not {len(data)}")
    body, digest = data[body_at:], data[HEADER.size : body_at]
    if sha256(data[: HEADER.size] + body).digest() != digest:
        raise ProgramError("damaged: the checksum does not match")
    return _decode(_parse_json(body[:json_bytes]), body[json_bytes:], cls)


def _check_lengths(json_bytes: int, image_bytes: int) -> None:
    for what, length, limit in (
        ("description", json_bytes, JSON_MAX_BYTES),
        ("image", image_bytes, IMAGE_MAX_BYTES),
    ):
        if length > limit:
            raise ProgramError(f"{what} must be at most {limit:,} bytes, not {length:,}")


def _parse_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ProgramError("the description is nested too deeply") from None
    except ValueError as error:  # includes UnicodeDecodeError
        raise ProgramError(f"the description is not JSON ({error})") from None


def _decode(content: Any, image: bytes, cls: type[Data]) -> Data:
    """Program of a parsed description; every field is checked before anything is built on it."""
    values = as_object(content, KEYS, "the description")
    try:
        config = ArrayConfig.from_json(json.dumps(values["config"]))
    except ConfigError as error:
        raise ProgramError(f"configuration: {error}") from None
    if values["config_digest"] != config.digest.hex():
        raise ProgramError("the configuration is not the one its digest was made of: compile again")
    name, numbers = values["name"], ("load_address", "entry", "instruction_count")
    if not isinstance(name, str):
        raise ProgramError("name must be a string")
    for key in numbers:
        value = values[key]
        if type(value) is not int or not 0 <= value <= config.scratchpad_words:
            raise ProgramError(f"{key} must be 0..{config.scratchpad_words}, not {value!r}")
    image_words, odd_bytes = divmod(len(image), config.word_bytes)
    if odd_bytes or values["load_address"] + image_words > config.scratchpad_words:
        raise ProgramError(f"the image ({len(image)} bytes) does not fit the scratchpad")
    program = cls(
        name=name,
        config=config,
        image=image,
        load_address=values["load_address"],
        entry=values["entry"],
        instruction_count=values["instruction_count"],
        layers=_records(LayerRecord, values, "layers"),
        inputs=_tensors(values, "inputs", config),
        outputs=_tensors(values, "outputs", config),
        tensors=_tensors(values, "tensors", config),
    )
    verify_program(program)
    return program


def _records(cls: type[Record], values: dict[str, Any], key: str) -> tuple[Record, ...]:
    items = as_list(values[key], key)
    return tuple(decode_record(cls, item, f"{key}[{i}]") for i, item in enumerate(items))


def _tensors(values: dict[str, Any], key: str, config: ArrayConfig) -> tuple[StoredTensor, ...]:
    tensors = _records(StoredTensor, values, key)
    for tensor in tensors:
        tensor.check(config)
    return tensors
