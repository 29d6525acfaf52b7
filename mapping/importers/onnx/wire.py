"""Counting the messages of a protobuf file before it is parsed.

The parser makes an object of a hundred bytes of every message, and an empty one takes two bytes of
a file: a small file could ask for gigabytes. So the file is skimmed first, along those fields that
hold messages; the walk ends as soon as there are more of them than any network has.
"""

from typing import Any, Final

from mapping.importers.errors import ModelError

MAX_MESSAGES: Final = 1 << 17
MAX_DEPTH: Final = 12
"""Of messages within messages; a model without subgraphs has seven."""

VARINT_BYTES: Final = 10
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
FIXED_BYTES: Final = {FIXED64: 8, FIXED32: 4}


def check_messages(descriptor: Any, data: bytes) -> None:
    """Refuse a file of too many messages, or one that is no protobuf.

    Parameters
    ----------
    descriptor : protobuf's Descriptor
        Of the outermost message.
    data : bytes
        A whole file.

    Raises
    ------
    ModelError
        If the fields do not fill the file, or there are too many messages, or too deep.
    """
    pending = [(descriptor, 0, len(data), 1)]
    count = 0
    while pending:
        kind, position, end, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ModelError(f"its messages are nested deeper than {MAX_DEPTH}")
        while position < end:
            key, position = _varint(data, position, end)
            start, position = _skip(data, position, end, key & 7)
            field = kind.fields_by_number.get(key >> 3)
            if field is None or field.message_type is None or key & 7 != LENGTH:
                continue
            count += 1
            if count > MAX_MESSAGES:
                raise ModelError(f"it holds more than {MAX_MESSAGES:,} nodes, attributes and so on")
            pending.append((field.message_type, start, position, depth + 1))


def _skip(data: bytes, position: int, end: int, wire_type: int) -> tuple[int, int]:
    """Start and end of a field's contents."""
    if wire_type == VARINT:
        return position, _varint(data, position, end)[1]
    if wire_type == LENGTH:
        length, position = _varint(data, position, end)
    elif wire_type in FIXED_BYTES:
        length = FIXED_BYTES[wire_type]
    else:
        raise ModelError(f"no ONNX file, or a damaged one (wire type {wire_type})")
    if length > end - position:
        raise ModelError("no ONNX file, or one that is damaged or cut off")
    return position, position + length


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Value of a number of variable length, and where it ends."""
    value = 0
    for index in range(min(VARINT_BYTES, end - position)):
        byte = data[position + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    raise ModelError("no ONNX file, or one that is damaged or cut off")
