"""What is wrong with a model of another tool; every message is one line."""

from dataclasses import dataclass
from typing import Final

MAX_SHOWN: Final = 40


def printable(text: str, length: int = MAX_SHOWN) -> str:
    """Start of a text of the file, without what would break a line."""
    shown = text[:length]
    return "".join(letter if letter.isprintable() else "?" for letter in shown)


class ModelError(ValueError):
    """A file that is not a model of its format, or a damaged one."""


class RefusedError(ValueError):
    """Why one operator cannot be imported; caught where all refusals are collected."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not supported.

    Parameters
    ----------
    operator : str
        Name of the operator, or ``model`` for what belongs to none.
    index : int or None
        Position among the model's operators.
    reason : str
        What exactly, and the way out if there is one.
    name : str
        What the file calls this one operator; may be empty.
    """

    operator: str
    index: int | None
    reason: str
    name: str = ""

    @property
    def place(self) -> str:
        """Where it is, in printable letters."""
        operator = printable(self.operator)
        place = operator if self.index is None else f"{operator} {self.index}"
        return f"{place} {self.name!r:.42}" if self.name else place

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class UnsupportedModelError(ModelError):
    """A sound model that uses what is not supported; names all of it.

    Parameters
    ----------
    problems : tuple of Problem
        At least one, in the model's order.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("not supported: " + "; ".join(map(str, problems)))
        self.problems = problems
