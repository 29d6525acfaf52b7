"""The tree of module instances, and what drives each bit of it.

A bit of an instance is followed through ports, up and down the hierarchy, to the output of a
primitive cell, an input port of the top module, or a constant.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from sim.compiled.rtl.netlist import Bit, Cell, Module, NetlistError

__all__ = ["Driver", "Instance", "Resolver", "build_tree"]


@dataclass(eq=False)
class Instance:
    """One instance of a module; `path` is the names of the instances above it, and its own."""

    number: int
    path: tuple[str, ...]
    module: Module
    parent: "Instance | None"
    link: Cell | None
    children: dict[str, "Instance"] = field(default_factory=dict[str, "Instance"])

    @cached_property
    def primitives(self) -> tuple[Cell, ...]:
        """The cells that are not instances of other modules."""
        return tuple(cell for cell in self.module.cells if cell.name not in self.children)

    def walk(self) -> Iterator["Instance"]:
        """Yield the instance and everything below it."""
        yield self
        for child in self.children.values():
            yield from child.walk()


class Driver(NamedTuple):
    """Where a bit comes from: bit `offset` of `port` of `cell`, or of an input of the top module.

    Attributes
    ----------
    instance : int
        Number of the instance that holds the cell; -1 for an input of the top module.
    cell : str
        Name of the cell; empty for an input of the top module.
    """

    instance: int
    cell: str
    port: str
    offset: int


def build_tree(modules: Mapping[str, Module], top: str) -> list[Instance]:
    """Instantiate `top` and everything below it.

    Returns
    -------
    list of Instance
        All instances, each at the index of its number; the top module first.

    Raises
    ------
    NetlistError
        If there is no such module, or a cell type is neither a module nor a primitive.
    """
    if top not in modules:
        raise NetlistError(f"the netlist has no module {top}")
    instances: list[Instance] = []

    def build(path: tuple[str, ...], module: Module, parent: Instance | None, link: Cell | None):
        instance = Instance(len(instances), path, module, parent, link)
        instances.append(instance)
        for cell in module.cells:
            if cell.type in modules:
                child = build((*path, cell.name), modules[cell.type], instance, cell)
                instance.children[cell.name] = child
            elif not cell.type.startswith("$"):
                raise NetlistError(
                    f"cell type {cell.type} is not supported: module {module.name}, "
                    f"cell {cell.name}"
                )
        return instance

    build((), modules[top], None, None)
    return instances


class Resolver:
    """Finds the driver of any bit of any instance.

    Parameters
    ----------
    instances : list of Instance
        From `build_tree`.
    """

    def __init__(self, instances: list[Instance]) -> None:
        self._instances = instances
        self._tables = [self._local_drivers(instance) for instance in instances]
        self._known: dict[tuple[int, int], Driver | int] = {}

    @staticmethod
    def _local_drivers(instance: Instance) -> dict[int, tuple[str, str, int]]:
        """Map net bits to (cell, port, offset); the cell of an input port is the empty string."""
        table: dict[int, tuple[str, str, int]] = {}
        for port in instance.module.ports.values():
            if port.direction == "input":
                for offset, bit in enumerate(port.bits):
                    table[bit] = ("", port.name, offset)  # type: ignore[index]
        for cell in instance.module.cells:
            outputs = cell.outputs
            child = instance.children.get(cell.name)
            if child is not None:
                connected = {**cell.inputs, **cell.outputs}
                outputs = {
                    port.name: connected[port.name]
                    for port in child.module.ports.values()
                    if port.direction == "output" and port.name in connected
                }
            for port_name, bits in outputs.items():
                for offset, bit in enumerate(bits):
                    if isinstance(bit, int):
                        table[bit] = (cell.name, port_name, offset)
        return table

    def __call__(self, instance: Instance, bit: Bit) -> Driver | int:
        """Return the driver of `bit`, or 0 or 1 if it is constant (``x`` and undriven are 0)."""
        if isinstance(bit, str):
            return 1 if bit == "1" else 0
        key = (instance.number, bit)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._follow(instance, bit)
        return known

    def _follow(self, instance: Instance, bit: int) -> Driver | int:
        found = self._tables[instance.number].get(bit)
        if found is None:
            return 0
        cell, port, offset = found
        if cell in instance.children:
            child = instance.children[cell]
            return self(child, child.module.ports[port].bits[offset])
        if cell:
            return Driver(instance.number, cell, port, offset)
        if instance.parent is None or instance.link is None:
            return Driver(-1, "", port, offset)
        above = instance.link.inputs.get(port) or instance.link.outputs.get(port)
        return self(instance.parent, above[offset]) if above else 0
