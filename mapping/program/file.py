"""The program file: one file, data only, read back strictly.

The file's form is :mod:`mapping.file_format`'s. Its JSON holds configuration and digest, slots,
parts, layers and tensors; its data are the image.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

from mapping.errors import ProgramError
from mapping.file_format import FileFormat, write_whole
from mapping.json_records import Record, RecordReader
from mapping.program.data import LayerRecord, Part, ProgramData, Slot
from mapping.program.tensor import StoredTensor
from mapping.program.verify import verify_program
from systolic.spec.config import ArrayConfig, ConfigError

Data = TypeVar("Data", bound=ProgramData)

FORMAT: Final = FileFormat(
    kind="program",
    magic=b"SYSTPRG\n",
    version=5,
    remedy="compile again",
    data_name="image",
    data_max_bytes=64 << 20,
    is_deflated=False,
    error=ProgramError,
)
READER: Final = RecordReader(ProgramError)
KEYS: Final = (
    "config",
    "config_digest",
    "instruction_count",
    "layers",
    "load_address",
    "name",
    "parts",
    "slot_deficit_bytes",
    "slots",
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
    write_whole(path, to_bytes(program))


def load_program(path: Path, cls: type[Data]) -> Data:
    """Read a program file into an instance of ``cls``.

    Raises
    ------
    ProgramError
        If the file is foreign, damaged, cut off, from the future or of a hostile size.
    OSError
        If it cannot be read.
    """
    return FORMAT.load(path, lambda contents: from_bytes(contents, cls))


def to_bytes(program: ProgramData) -> bytes:
    """Contents of a program's file; equal programs give equal bytes."""
    content = {
        "name": program.name,
        "config": json.loads(program.config.to_json()),
        "config_digest": program.config.digest.hex(),
        "load_address": program.load_address,
        "instruction_count": program.instruction_count,
        "slots": [asdict(slot) for slot in program.slots],
        "parts": [asdict(part) for part in program.parts],
        "slot_deficit_bytes": program.slot_deficit_bytes,
        "layers": [asdict(layer) for layer in program.layers],
        "tensors": [asdict(tensor) for tensor in program.tensors],
    }
    return FORMAT.pack(content, program.image)


def from_bytes(contents: bytes, cls: type[Data]) -> Data:
    """Program of a file's contents; :exc:`ValueError` says in one line what is wrong with them."""
    return _decode(*FORMAT.unpack(contents), cls)


def _decode(content: Any, image: bytes, cls: type[Data]) -> Data:
    """Program of a parsed description; every field is checked before anything is built on it."""
    values = READER.as_object(content, KEYS, "the description")
    try:
        config = ArrayConfig.from_json(json.dumps(values["config"]))
    except ConfigError as error:
        raise ProgramError(f"configuration: {error}") from None
    if values["config_digest"] != config.digest.hex():
        raise ProgramError("the configuration is not the one its digest was made of: compile again")
    words = config.scratchpad_words
    image_words, odd_bytes = divmod(len(image), config.word_bytes)
    limits = {
        "load_address": words,
        "instruction_count": max(words, image_words),
        "slot_deficit_bytes": 1 << 32,
    }
    for key, limit in limits.items():
        value = values[key]
        if type(value) is not int or not 0 <= value <= limit:
            raise ProgramError(f"{key} must be 0..{limit}, not {value!r}")
    parts = _records(Part, values, "parts")
    _check_parts(parts, image_words, values["load_address"], config)
    if odd_bytes or (not parts and values["load_address"] + image_words > words):
        raise ProgramError(f"the image ({len(image)} bytes) does not fit the scratchpad")
    program = cls(
        name=READER.as_text(values["name"], "name"),
        config=config,
        image=image,
        load_address=values["load_address"],
        instruction_count=values["instruction_count"],
        slots=_records(Slot, values, "slots"),
        parts=parts,
        slot_deficit_bytes=values["slot_deficit_bytes"],
        layers=_records(LayerRecord, values, "layers"),
        tensors=_records(StoredTensor, values, "tensors"),
    )
    for layer in program.layers:
        if min(layer.pruned_inputs, layer.pruned_outputs) < 0:
            raise ProgramError(f"layer {layer.name}: pruned channels must be 0 or more")
    own = (tensor for slot in program.slots for tensor in (*slot.inputs, *slot.outputs))
    for tensor in (*program.tensors, *own):
        tensor.check(config)
    verify_program(program)
    return program


def _records(cls: type[Record], values: dict[str, Any], key: str) -> tuple[Record, ...]:
    items = READER.as_list(values[key], key)
    return tuple(READER.record(cls, item, f"{key}[{i}]") for i, item in enumerate(items))


def _check_parts(
    parts: Sequence[Part], image_words: int, load_address: int, config: ArrayConfig
) -> None:
    """Refuse parts that are not the image's words in order, or that do not fit the scratchpad."""
    start = 0
    for number, part in enumerate(parts):
        if part.start != start or part.words < 1:
            raise ProgramError(f"parts[{number}] does not begin where the one before it ends")
        start += part.words
        if not load_address <= part.address <= config.scratchpad_words - part.words:
            raise ProgramError(f"parts[{number}] does not fit the scratchpad")
        if part.instructions < 1:
            raise ProgramError(f"parts[{number}] must have instructions")
    if parts and start != image_words:
        raise ProgramError(f"the parts have {start} words, but the image {image_words}")
