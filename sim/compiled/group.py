"""Find modules that occur many times, so that their instances can be evaluated as arrays.

Two instances belong together if their cells are of the same types and parameters in the same
order, and are wired to each other in the same way. What comes from outside may differ: one may
read a constant or another instance where its twin reads something else, so that the elements at
the edges of an array, which get constants and lack outputs, join those inside.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from sim.compiled.instances import Driver, Instance, Resolver
from sim.compiled.netlist import Cell

__all__ = ["Group", "Member", "find_groups"]

# Parameters that may differ between instances: they become data of the instance.
_DATA_PARAMS = frozenset({"MEMID", "INIT"})


@dataclass(frozen=True)
class Member:
    """One instance of a group with the primitives of everything that is evaluated with it."""

    root: Instance
    body: tuple[tuple[Instance, Cell], ...]


@dataclass(frozen=True)
class Group:
    """Instances that are the same up to names; their bodies correspond position by position."""

    name: str
    members: tuple[Member, ...]


def _coarse_keys(instances: list[Instance]) -> list[int]:
    """Return a number per instance that is equal where cells and sub-instances are alike."""
    numbers: dict[tuple, int] = {}
    keys = [0] * len(instances)
    for instance in reversed(instances):  # children have higher numbers than their parents
        cells = tuple(
            (cell.type, tuple(sorted(p for p in cell.params.items() if p[0] not in _DATA_PARAMS)))
            for cell in instance.primitives
        )
        below = tuple(keys[child.number] for child in instance.children.values())
        keys[instance.number] = numbers.setdefault((cells, below), len(numbers))
    return keys


class _Planner:
    """Walks the tree and gathers the bodies of instances that occur often."""

    def __init__(self, instances: list[Instance], minimum: int, banned: Collection[str]) -> None:
        self._keys = _coarse_keys(instances)
        self._count = Counter(self._keys)
        self._minimum = minimum
        self._banned = banned
        self.bodies: dict[int, list[Member]] = {}

    def visit(self, instance: Instance, body: list[tuple[Instance, Cell]] | None, per: int) -> None:
        """Add `instance` to `body`, or start a group of its own where it occurs often.

        `per` is how often the root of `body` occurs: what occurs many times inside it is an
        array in itself, and better evaluated as one.
        """
        key = self._keys[instance.number]
        count = self._count[key]
        may_start = instance.parent is not None and ".".join(instance.path) not in self._banned
        if may_start and count >= self._minimum and (body is None or count >= 8 * per):
            body, per = [], count
            mine = body
        else:
            mine = None
        if body is not None:
            body.extend((instance, cell) for cell in instance.primitives)
        for child in instance.children.values():
            self.visit(child, body, per)
        if mine:
            self.bodies.setdefault(key, []).append(Member(instance, tuple(mine)))


def _wiring(member: Member, resolve: Resolver) -> tuple[object, ...]:
    """Return what each input bit of the body reads: a position inside the body, or None."""
    place = {
        (instance.number, cell.name): index for index, (instance, cell) in enumerate(member.body)
    }
    wiring: list[object] = []
    for instance, cell in member.body:
        for port in sorted(cell.inputs):
            for bit in cell.inputs[port]:
                driver = resolve(instance, bit)
                index = None
                if isinstance(driver, Driver):
                    index = place.get((driver.instance, driver.cell))
                inside = None if index is None else (index, driver.port, driver.offset)
                wiring.append(inside)
    return tuple(wiring)


def find_groups(
    instances: list[Instance], resolve: Resolver, *, minimum: int, banned: Collection[str] = ()
) -> list[Group]:
    """Find the groups of a design.

    Parameters
    ----------
    instances : list of Instance
        From `instances.build_tree`.
    resolve : Resolver
        For the same instances.
    minimum : int
        Least number of instances that makes a group.
    banned : collection of str
        Instances, by dotted path, that must not start a group.

    Returns
    -------
    list of Group
        Disjoint; what is in none of them is evaluated once per instance.
    """
    planner = _Planner(instances, minimum, banned)
    planner.visit(instances[0], None, 1)
    groups: list[Group] = []
    for members in planner.bodies.values():
        alike: dict[tuple[object, ...], list[Member]] = {}
        for member in members:
            alike.setdefault(_wiring(member, resolve), []).append(member)
        groups.extend(
            Group(".".join(same[0].root.path), tuple(same))
            for same in alike.values()
            if len(same) >= minimum
        )
    return groups
