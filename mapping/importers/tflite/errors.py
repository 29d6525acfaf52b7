"""What is wrong with a TensorFlow Lite file; every message is one line."""

from dataclasses import dataclass


class TfliteError(ValueError):
    """A file that is not a TensorFlow Lite model, or a damaged one."""


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
    """

    operator: str
    index: int | None
    reason: str

    def __str__(self) -> str:
        place = self.operator if self.index is None else f"{self.operator} {self.index}"
        return f"{place}: {self.reason}"


class UnsupportedModelError(TfliteError):
    """A sound model that uses what is not supported; names all of it.

    Parameters
    ----------
    problems : tuple of Problem
        At least one, in the model's order.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("not supported: " + "; ".join(map(str, problems)))
        self.problems = problems
