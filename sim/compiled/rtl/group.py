"""Find modules that occur many times, so that their instances can be evaluated as arrays.

Two instances belong together if their cells are of the same types and parameters in the same
order, and are wired to each other in the same way. What comes from outside may differ: one may
read a constant or another instance where its twin reads something else, so that the elements at
the edges of an array, which get constants and lack outputs, join those inside. Sums and registers
may differ in width too: rows of an array whose partial sums grow from row to row are one array.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from sim.compiled.rtl.instances import Driver, Instance, Resolver
from sim.compiled.rtl.netlist import Cell

__all__ = ["Group", "Member", "find_groups"]

# Parameters that may differ between instances: they become data of the instance.
_DATA_PARAMS = frozenset({"MEMID", "INIT"})
_WIDTH_PARAMS = frozenset({"WIDTH", "Y_WIDTH", "A_WIDTH", "B_WIDTH"})
# Low bits of the result depend on low bits of the operands only: these can be computed wider than
# they are, and what is above their own width is read by nobody.
_STRETCHABLE = frozenset({"$add", "$sub", "$and", "$or", "$xor", "$xnor", "$not", "$mux", "$dff"})
_STRETCH_LIMIT = 2

_Key = tuple[object, ...]


@dataclass(frozen=True)
class Member:
    """One instance of a group with the primitives of everything that is evaluated with it."""

    root: Instance
    body: tuple[tuple[Instance, Cell], ...]


@dataclass(frozen=True)
class Group:
    """Instances that are the same up to names; their bodies correspond position by position.

    Attributes
    ----------
    lead : int
        The member that has the widest cells: the others are computed with its widths.
    """

    name: str
    members: tuple[Member, ...]
    lead: int


def _cell_key(cell: Cell) -> _Key:
    """Return what must be equal in corresponding cells; the width of stretchable ones need not."""
    ignored = _DATA_PARAMS | _WIDTH_PARAMS if cell.type in _STRETCHABLE else _DATA_PARAMS
    return cell.type, tuple(sorted(p for p in cell.params.items() if p[0] not in ignored))


def _coarse_keys(instances: list[Instance]) -> list[int]:
    """Return a number per instance that is equal where cells and sub-instances are alike."""
    numbers: dict[_Key, int] = {}
    keys = [0] * len(instances)
    for instance in reversed(instances):  # children have higher numbers than their parents
        cells = tuple(map(_cell_key, instance.primitives))
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


_Wiring = dict[tuple[int, str], tuple[object, ...]]


def _wiring(member: Member, resolve: Resolver) -> _Wiring:
    """Return what each input bit of the body reads: a place inside the body, or None."""
    place = {
        (instance.number, cell.name): index for index, (instance, cell) in enumerate(member.body)
    }

    def token(driver: Driver | int) -> object:
        if isinstance(driver, int):
            return None
        index = place.get((driver.instance, driver.cell))
        return None if index is None else (index, driver.port, driver.offset)

    return {
        (index, port): tuple(token(resolve(instance, bit)) for bit in bits)
        for index, (instance, cell) in enumerate(member.body)
        for port, bits in cell.inputs.items()
    }


def _fits(narrow: _Wiring, wide: _Wiring) -> bool:
    """Whether a body can be computed with the widths of another."""
    return narrow.keys() == wide.keys() and all(
        len(bits) <= len(wide[key]) <= _STRETCH_LIMIT * len(bits) and bits == wide[key][: len(bits)]
        for key, bits in narrow.items()
    )


def _classes(members: list[Member], resolve: Resolver, *, may_stretch: bool) -> list[Group]:
    """Sort members into groups, each around the widest body that is still free."""
    wirings = [_wiring(member, resolve) for member in members]
    sizes = [sum(map(len, wiring.values())) for wiring in wirings]
    free = sorted(range(len(members)), key=lambda index: -sizes[index])
    groups: list[Group] = []
    while free:
        lead = free[0]
        chosen = sorted(
            index
            for index in free
            if wirings[index] == wirings[lead]
            or (may_stretch and _fits(wirings[index], wirings[lead]))
        )
        free = [index for index in free if index not in set(chosen)]
        name = ".".join(members[lead].root.path)
        same = tuple(members[index] for index in chosen)
        groups.append(Group(name, same, chosen.index(lead)))
    return groups


def find_groups(
    instances: list[Instance],
    resolve: Resolver,
    *,
    minimum: int,
    banned: Collection[str] = (),
    may_stretch: bool = True,
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
    may_stretch : bool
        Whether instances of different widths may be in one group.

    Returns
    -------
    list of Group
        Disjoint; what is in none of them is evaluated once per instance.
    """
    planner = _Planner(instances, minimum, banned)
    planner.visit(instances[0], None, 1)
    return [
        group
        for members in planner.bodies.values()
        for group in _classes(members, resolve, may_stretch=may_stretch)
        if len(group.members) >= minimum
    ]
