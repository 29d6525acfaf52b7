"""A node's attributes by name, type and default."""

from mapping.importers.onnx.errors import RefusedError
from mapping.importers.onnx.records import Node


def integer(node: Node, name: str, default: int) -> int:
    """A whole number."""
    value = node.attributes.get(name, default)
    if not isinstance(value, int):
        raise RefusedError(f"its attribute {name} must be a whole number")
    return value


def number(node: Node, name: str, default: float) -> float:
    """A real number."""
    value = node.attributes.get(name, default)
    if not isinstance(value, int | float):
        raise RefusedError(f"its attribute {name} must be a number")
    return float(value)


def integers(node: Node, name: str) -> tuple[int, ...] | None:
    """Whole numbers, or None where the attribute is left out."""
    value = node.attributes.get(name)
    if value is None:
        return None
    if not isinstance(value, tuple):
        raise RefusedError(f"its attribute {name} must be a list of whole numbers")
    if not all(isinstance(item, int) for item in value):
        raise RefusedError(f"its attribute {name} must hold whole numbers")
    return tuple(int(item) for item in value)


def text(node: Node, name: str, default: str) -> str:
    """A word."""
    value = node.attributes.get(name, default.encode())
    if not isinstance(value, bytes):
        raise RefusedError(f"its attribute {name} must be a word")
    return value.decode(errors="replace")
