"""Frozen dataclasses from JSON, by their annotations, strictly: nothing missing, nothing more.

Only a field whose default is None or an empty tuple may be left out: older files do not know it.
Files of networks and programs are read with it. Ranges are left to the records, which check them
when they are made.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

Record = TypeVar("Record")

INTEGER_LIMIT: Final = 1 << 53
"""Smaller integers are exact in every reader of JSON."""

NUMBER_LIMIT: Final = 1e300
MAX_ELEMENTS: Final = 4096
"""Of a tuple: enough for a concatenation of a whole network, too little to take long."""


@dataclass(frozen=True)
class RecordReader:
    """Turns what ``json.loads`` gave into records.

    Every method takes the value and ``where`` it stands, for messages.

    Parameters
    ----------
    error : type of ValueError
        Raised for a value that does not fit; made from a message of one line.
    """

    error: type[ValueError]

    def record(self, cls: type[Record], value: Any, where: str) -> Record:
        """Record of an object.

        Parameters
        ----------
        cls : type
            A dataclass whose fields are integers, booleans, numbers, strings, records, tuples and
            named tuples of such, or what :meth:`other` reads; of a union, its first member is read,
            or None if that is one.
        value : JSON value
            Not checked yet.
        where : str
            Place in the file.

        Raises
        ------
        ValueError
            Of class ``error``, if a field is missing, unknown or of the wrong type.
        """
        records = fields(cast(Any, cls))
        if isinstance(value, dict):
            left_out: dict[str, Any] = {
                field.name: None if field.default is None else []
                for field in records
                if field.default is None or field.default == ()
            }
            value = {**left_out, **cast("dict[str, Any]", value)}
        names = [field.name for field in records]
        return self.from_fields(cls, self.as_object(value, names, where), where)

    def from_fields(self, cls: type[Record], values: dict[str, Any], where: str) -> Record:
        """Record of an object that has been taken apart, perhaps with other things in it."""
        hints = get_type_hints(cls)
        names = [field.name for field in fields(cast(Any, cls))]
        return cls(
            **{name: self._decode(hints[name], values[name], f"{where}.{name}") for name in names}
        )

    def as_object(self, value: Any, names: Collection[str], where: str) -> dict[str, Any]:
        """Check that a value is an object with exactly the given names; return it."""
        if not isinstance(value, dict) or set(cast("dict[str, Any]", value)) != set(names):
            raise self.error(f"{where} must be an object with exactly: {', '.join(sorted(names))}")
        return cast("dict[str, Any]", value)

    def as_list(self, value: Any, where: str) -> list[Any]:
        """Check that a value is a list; return it."""
        if not isinstance(value, list):
            raise self.error(f"{where} must be a list")
        return cast("list[Any]", value)

    def as_integer(self, value: Any, where: str) -> int:
        """Check that a value is an integer; return it."""
        # A bool is an int to Python, but true is not a number in JSON.
        if type(value) is not int or abs(value) >= INTEGER_LIMIT:
            raise self.error(f"{where} must be an integer, not {_shown(value)}")
        return value

    def as_number(self, value: Any, where: str) -> float:
        """Check that a value is a finite number; return it as a float."""
        # Compared, not converted: an integer may have any length. False for NaN.
        if type(value) not in (int, float) or not -NUMBER_LIMIT < value < NUMBER_LIMIT:
            raise self.error(f"{where} must be a finite number, not {_shown(value)}")
        return float(value)

    def as_text(self, value: Any, where: str) -> str:
        """Check that a value is a string; return it."""
        if not isinstance(value, str):
            raise self.error(f"{where} must be a string, not {_shown(value)}")
        return value

    def as_boolean(self, value: Any, where: str) -> bool:
        """Check that a value is true or false; return it."""
        if not isinstance(value, bool):
            raise self.error(f"{where} must be true or false, not {_shown(value)}")
        return value

    def as_tuple(self, kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
        """Tuple of a list, by the arguments of its annotation."""
        items = self.as_list(value, where)
        if len(items) > MAX_ELEMENTS:
            raise self.error(f"{where} must have at most {MAX_ELEMENTS} elements, not {len(items)}")
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(items)
        if len(items) != len(kinds):
            raise self.error(f"{where} must have {len(kinds)} elements, not {len(items)}")
        pairs = enumerate(zip(kinds, items, strict=True))
        return tuple(self._decode(kind, item, f"{where}[{i}]") for i, (kind, item) in pairs)

    def other(self, hint: Any, value: Any, where: str) -> Any:
        """Value of an annotation that is none of the above; for subclasses."""
        raise AssertionError(f"{where} is annotated with {hint}, which no file holds")

    def _decode(self, hint: Any, value: Any, where: str) -> Any:
        if isinstance(hint, type) and hint in _SCALARS:
            return _SCALARS[hint](self, value, where)
        if isinstance(hint, UnionType):
            if value is None and NoneType in get_args(hint):
                return None
            return self._decode(get_args(hint)[0], value, where)
        if isinstance(hint, type) and is_dataclass(hint):
            return self.record(hint, value, where)
        if isinstance(hint, type) and hasattr(hint, "_fields"):  # a named tuple
            kinds = tuple(get_type_hints(hint).values())
            return hint(*self.as_tuple(kinds, value, where))
        if get_origin(hint) is tuple:
            return self.as_tuple(get_args(hint), value, where)
        return self.other(hint, value, where)


def _shown(value: Any) -> str:
    """Value for a message; of a list or an object, which may be nested deeply, only the kind."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return f"{value!r:.40}"


_SCALARS: Final[Mapping[type, Callable[[RecordReader, Any, str], Any]]] = MappingProxyType(
    {
        int: RecordReader.as_integer,
        bool: RecordReader.as_boolean,
        float: RecordReader.as_number,
        str: RecordReader.as_text,
    }
)
