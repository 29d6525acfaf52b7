"""What an importer says of a sound model: one line for each thing that is not as elsewhere."""

from collections.abc import Iterable
from typing import Final

MAX_PLACES: Final = 4


def remarks(said: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """One line for each text, with the first places that it is said of.

    Parameters
    ----------
    said : iterable of (str, str)
        What is said, and the place in the model; both of printable letters.
    """
    places: dict[str, list[str]] = {}
    for text, place in said:
        places.setdefault(text, []).append(place)
    return tuple(f"{text} ({_shortened(each)})" for text, each in places.items())


def _shortened(places: list[str]) -> str:
    first = ", ".join(places[:MAX_PLACES])
    more = len(places) - MAX_PLACES
    return f"{first} and {more} more" if more > 0 else first
