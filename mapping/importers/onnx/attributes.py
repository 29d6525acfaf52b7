"""A node's attributes by name, type and default."""

from math import isfinite
from typing import TypeVar

from mapping.importers.errors import RefusedError
from mapping.importers.onnx.records import Node

Default = TypeVar("Default", tuple[int, ...], None)


def integer(node: Node, name: str, default: int) -> int:
    """An integer."""
    value = node.attributes.get(name, default)
    if not isinstance(value, int):
        raise RefusedError(f"its attribute {name} must be an integer")
    return value


def number(node: Node, name: str, default: float) -> float:
    """A real number, finite unless it is the default."""
    if name not in node.attributes:
        return default
    value = node.attributes[name]
    if not isinstance(value, int | float) or not isfinite(value):
        raise RefusedError(f"its attribute {name} must be a finite number")
    return float(value)


def integers(node: Node, name: str, default: Default) -> tuple[int, ...] | Default:
    """A list of integers."""
    if name not in node.attributes:
        return default
    value = node.attributes[name]
    if not isinstance(value, tuple) or not all(isinstance(each, int) for each in value):
        raise RefusedError(f"its attribute {name} must be a list of integers")
    return tuple(int(each) for each in value)


def text(node: Node, name: str, default: str) -> str:
    """A word."""
    value = node.attributes.get(name, default.encode())
    if not isinstance(value, bytes):
        raise RefusedError(f"its attribute {name} must be a string")
    return value.decode(errors="replace")
