"""Records of a program file: frozen dataclasses from JSON, by their annotations, strictly."""

import math
from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from mapping.errors import ProgramError
from mapping.ops import Padding

Record = TypeVar("Record")

INTEGER_LIMIT = 1 << 53  # what JSON readers agree on


def decode_record(cls: type[Record], value: Any, where: str) -> Record:
    """Record of a JSON object.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are integers, numbers, strings, tuples of such, paddings, records
        or None.
    value : object
        What ``json.loads`` gave.
    where : str
        Place in the file, for messages.

    Raises
    ------
    ProgramError
        If a field is missing, unknown or of the wrong type.
    """
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    found = as_object(value, names, where)
    return cls(**{name: _decode(hints[name], found[name], f"{where}.{name}") for name in names})


def as_object(value: Any, names: Collection[str], where: str) -> dict[str, Any]:
    """Check that a JSON value is an object with exactly the given names; return it."""
    if not isinstance(value, dict) or set(cast(dict[str, Any], value)) != set(names):
        raise ProgramError(f"{where} must be an object with exactly: {', '.join(names)}")
    return cast(dict[str, Any], value)


def as_list(value: Any, where: str) -> list[Any]:
    """Check that a JSON value is a list; return it."""
    if not isinstance(value, list):
        raise ProgramError(f"{where} must be a list")
    return cast(list[Any], value)


def _decode(hint: Any, value: Any, where: str) -> Any:
    if hint in _SCALARS:
        return _SCALARS[hint](value, where)
    if isinstance(hint, UnionType):
        if value is None and NoneType in get_args(hint):
            return None
        return _decode(get_args(hint)[0], value, where)
    if isinstance(hint, type) and is_dataclass(hint):
        return decode_record(hint, value, where)
    items = as_list(value, where)
    if hint is Padding:
        kinds: tuple[Any, ...] = (int,) * len(Padding._fields)
    else:
        assert get_origin(hint) is tuple
        kinds = get_args(hint)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(items)
    if len(items) != len(kinds):
        raise ProgramError(f"{where} must have {len(kinds)} elements, not {len(items)}")
    decoded = (_decode(kind, item, where) for kind, item in zip(kinds, items, strict=True))
    return Padding(*decoded) if hint is Padding else tuple(decoded)


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
