"""Records of a program file: frozen dataclasses to and from JSON, by their annotations, strictly."""

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from mapping.errors import ProgramError

Record = TypeVar("Record")

INTEGER_LIMIT = 1 << 53  # what JSON readers agree on


def decode_record(cls: type[Record], value: Any, where: str) -> Record:
    """Record of a JSON object.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are integers, numbers, strings, tuples of such, named tuples,
        records or None.
    value : object
        What ``json.loads`` gave.
    where : str
        Place in the file, for messages.

    Raises
    ------
    ProgramError
        If a field is missing, unknown or of the wrong type.
    """
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    if not isinstance(value, dict) or set(value) != set(names):
        raise ProgramError(f"{where} must be an object with exactly: {', '.join(names)}")
    hints = get_type_hints(cls)
    return cls(**{name: _decode(hints[name], value[name], f"{where}.{name}") for name in names})


def _decode(hint: Any, value: Any, where: str) -> Any:
    if hint in _SCALARS:
        return _SCALARS[hint](value, where)
    if isinstance(hint, UnionType):
        if value is None and NoneType in get_args(hint):
            return None
        return _decode(get_args(hint)[0], value, where)
    if is_dataclass(hint):
        return decode_record(hint, value, where)
    if not isinstance(value, list):
        raise ProgramError(f"{where} must be a list")
    if hasattr(hint, "_fields"):  # a named tuple of integers
        if len(value) != len(hint._fields):
            raise ProgramError(f"{where} must have {len(hint._fields)} elements")
        return hint(*(_integer(item, where) for item in value))
    assert get_origin(hint) is tuple
    kinds = get_args(hint)
    if kinds[-1] is Ellipsis:
        return tuple(_decode(kinds[0], item, where) for item in value)
    if len(value) != len(kinds):
        raise ProgramError(f"{where} must have {len(kinds)} elements")
    return tuple(_decode(kind, item, where) for kind, item in zip(kinds, value, strict=True))


def _integer(value: Any, where: str) -> int:
    if type(value) is not int or abs(value) >= INTEGER_LIMIT:
        raise ProgramError(f"{where} must be an integer, not {value!r:.40}")
    return value


def _number(value: Any, where: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ProgramError(f"{where} must be a finite number, not {value!r:.40}")
    return float(value)


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ProgramError(f"{where} must be a string, not {value!r:.40}")
    return value


_SCALARS: dict[Any, Callable[[Any, str], Any]] = {int: _integer, float: _number, str: _string}
