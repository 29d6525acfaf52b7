"""Records from JSON: only what the annotations say comes through."""

import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.json_records import MAX_ELEMENTS, RecordReader


class Corner(NamedTuple):
    """A named tuple."""

    x: int
    y: int


@dataclass(frozen=True)
class Inner:
    """A record within another."""

    flag: bool
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Outer:
    """A field of every kind."""

    count: int
    share: float
    name: str
    corner: Corner
    pair: tuple[int, str]
    inner: Inner | None
    more: tuple[Inner, ...]


class OddError(ValueError):
    """What the reader of these tests raises."""


READER = RecordReader(OddError)
INNER = st.builds(Inner, st.booleans(), st.lists(st.integers(-9, 9), max_size=3).map(tuple))
GOOD = Outer(1, 0.5, "a", Corner(2, 3), (4, "b"), Inner(True, (5, 6)), (Inner(False, ()),))


@given(
    st.builds(
        Outer,
        st.integers(1 - (1 << 53), (1 << 53) - 1),
        st.floats(-1e299, 1e299),
        st.text(),
        st.builds(Corner, st.integers(0, 9), st.integers(0, 9)),
        st.tuples(st.integers(0, 9), st.text(max_size=3)),
        st.none() | INNER,
        st.lists(INNER, max_size=3).map(tuple),
    )
)
def test_records_come_back_from_json(record: Outer) -> None:
    text = json.dumps(asdict(record))
    assert READER.record(Outer, json.loads(text), "record") == record


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("count", True, "r.count must be an integer, not True"),
        ("count", 1.0, r"r.count must be an integer, not 1\.0"),
        ("count", 1 << 53, "r.count must be an integer, not 9007199254740992"),
        ("share", float("nan"), "r.share must be a finite number, not nan"),
        ("share", 10**400, "r.share must be a finite number, not 10000"),
        ("share", False, "r.share must be a finite number, not False"),
        ("name", ["a"], "r.name must be a string, not a list"),
        ("name", {"a": 1}, "r.name must be a string, not an object"),
        ("corner", [1], "r.corner must have 2 elements, not 1"),
        ("corner", [1, "2"], r"r.corner\[1\] must be an integer, not '2'"),
        ("pair", [1, 2], r"r.pair\[1\] must be a string, not 2"),
        ("inner", {"flag": 1, "numbers": []}, "r.inner.flag must be true or false, not 1"),
        ("inner", {"flag": True}, "r.inner must be an object with exactly: flag, numbers"),
        ("more", None, "r.more must be a list"),
        ("more", [None], r"r.more\[0\] must be an object with exactly: flag, numbers"),
        ("more", [0] * (MAX_ELEMENTS + 1), "r.more must have at most 4096 elements, not 4097"),
        ("extra", 1, "r must be an object with exactly: corner, count, inner, more, name, pair, "),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(field: str, value: Any, message: str) -> None:
    values = json.loads(json.dumps(asdict(GOOD))) | {field: value}
    with pytest.raises(OddError, match=message):
        READER.record(Outer, values, "r")


def test_a_deeply_nested_value_is_refused_in_few_words() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(OddError, match=r"^here must be a string, not a list$"):
        READER.as_text(nested, "here")


@dataclass(frozen=True)
class Grown:
    """A record that had only one field once."""

    old: int
    new: Inner | None = None
    many: tuple[int, ...] = ()


def test_only_fields_that_default_to_nothing_may_be_left_out() -> None:
    assert READER.record(Grown, {"old": 1}, "x") == Grown(1)
    assert READER.record(Grown, {"old": 1, "new": None, "many": []}, "x") == Grown(1)
    with pytest.raises(OddError, match="x must be an object with exactly: many, new, old"):
        READER.record(Grown, {"new": None}, "x")
