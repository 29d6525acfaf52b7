"""What a tensor is and what becomes of it, in text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mapping.compiler import compile_network
from mapping.errors import MappingError
from mapping.graph import Graph
from mapping.lowering.fuse import FusedLayer, fuse
from mapping.ops import Add, Clamp, Lut, MaxPool2d, Node, Pad, Requantize, Reshape
from mapping.tensor import expression as lazy
from mapping.tensor.expression import Expression, ExpressionError, in_order
from mapping.tensor.lower import Lowered, lower
from systolic.spec.config import ArrayConfig


def listing(root: Expression) -> str:
    """One line per expression, each after those that it is computed from."""
    order = in_order(root)
    numbers = {expression: number for number, expression in enumerate(order)}
    return "\n".join(f"%{numbers[each]} {_line(each, numbers)}" for each in order)


def _line(expression: Expression, numbers: Mapping[Expression, int]) -> str:
    """What one expression does, and the type of its value."""
    sources = ", ".join(f"%{numbers[source]}" for source in expression.sources)
    match expression:
        case lazy.Input():
            what = f"input {expression.name}"
        case lazy.Buffer():
            what = f"constant {expression.name}".replace("constant constant", "constant")
        case lazy.Moved():
            what = f"{expression.movement} of {sources}"
        case lazy.Reduce():
            axes = ", ".join(map(str, expression.axes))
            what = f"{_kind(expression)} along ({axes}) of {sources}"
        case lazy.Clamp():
            what = f"clamp to {expression.low}..{expression.high} of {sources}"
        case _:
            what = f"{_kind(expression)} of {sources}"
    shape = "x".join(map(str, expression.shape)) or "scalar"
    return f"{what:<29s} -> {shape} {expression.element or 'constant'}"


def _kind(expression: Expression) -> str:
    return type(expression).__name__.lower()


def explain(root: Expression, config: ArrayConfig) -> str:
    """What fused into what on an array, and why what did not, did not.

    Parameters
    ----------
    root : Expression
        A tensor's expression.
    config : ArrayConfig
        The array.

    Returns
    -------
    str
        The listing, then the layers with their cycles; or the reason why there are none.
    """
    lines = [listing(root), ""]
    try:
        lowered = lower(root)
        layers = fuse(lowered.graph, config)
        program = compile_network(lowered.graph, config)
    except (ExpressionError, MappingError) as error:
        return "\n".join([*lines, f"does not compile: {error}"])
    cycles = {layer.output: layer.cycles for layer in program.layers}
    report = _Report(lowered, layers, _owners(lowered, root))
    for number, layer in enumerate(layers):
        lines += report.layer(number, layer, cycles[layer.output])
    return "\n".join([*lines, *report.end(root, program.cycles)])


def _owners(lowered: Lowered, root: Expression) -> dict[int, tuple[str, ...]]:
    """For each node of the graph, the numbers of the expressions it stands for."""
    numbers = {expression: number for number, expression in enumerate(in_order(root))}
    owners: dict[int, tuple[str, ...]] = {}
    for expression, nodes in lowered.made.items():
        found = sorted(numbers[each] for each in _absorbed(expression, lowered))
        for node in nodes:
            owners[node] = tuple(f"%{number}" for number in found)
    return owners


def _absorbed(expression: Expression, lowered: Lowered) -> Iterator[Expression]:
    """An expression, and those before it that have no node of their own."""
    seen: set[Expression] = set()
    pending = [expression]
    while pending:
        each = pending.pop()
        if each in seen or (each is not expression and each in lowered.made):
            continue
        seen.add(each)
        yield each
        pending.extend(each.sources)


@dataclass(frozen=True)
class _Report:
    """Lines about the layers of one tensor."""

    lowered: Lowered
    layers: tuple[FusedLayer, ...]
    owners: Mapping[int, tuple[str, ...]]

    @property
    def graph(self) -> Graph:
        """The network."""
        return self.lowered.graph

    def layer(self, number: int, layer: FusedLayer, cycles: int) -> list[str]:
        """A layer, what is in it, and why it ends where it does."""
        kinds = " + ".join(_name(self.graph.nodes[node]) for node in layer.nodes)
        kind = self.graph.types[layer.output]
        lines = [f"layer {number}: {kinds} -> {kind}, {cycles:,} cycles"]
        inside = dict.fromkeys(owner for node in layer.nodes for owner in self.owners.get(node, ()))
        lines.append(f"  from {', '.join(sorted(inside, key=_number))}")
        for expression, nodes in self.lowered.made.items():
            if expression in self.lowered.notes and set(nodes) & set(layer.nodes):
                lines.append(f"  {_kind_of(expression)}: {self.lowered.notes[expression]}")
        return [*lines, f"  ends here: {self._why_it_ends(layer)}"]

    def end(self, root: Expression, cycles: int) -> list[str]:
        """What the host does behind the last layer, and the sum."""
        stored = self.lowered.result
        lines = [f"all: {cycles:,} cycles"]
        if not stored.address.is_identity(self.graph.types[stored.node].elements):
            lines.append(f"the host reads {root.shape} out of the stored {stored.shape}: "
                         "movements behind the last layer are only addresses")  # fmt: skip
        return lines

    def _why_it_ends(self, layer: FusedLayer) -> str:
        """Why what follows a layer did not join it."""
        if layer.output in self.graph.outputs:
            return "this is the result"
        users = self.graph.users[layer.output]
        readers = ", ".join(f"{_name(self.graph.nodes[user])} "
                            f"({', '.join(self.owners[user])})" for user in users)  # fmt: skip
        if len(users) > 1:
            return f"{len(users)} nodes read it, so it has to be stored: {readers}"
        match self.graph.nodes[users[0]]:
            case MaxPool2d():
                why = "its windows overlap, exceed the accumulators, or follow another max-pool"
            case Pad() | Reshape():
                why = "where the elements lie changes, for which they have to be stored"
            case Add():
                why = "it reads two tensors, and a layer makes one"
            case Lut() | Clamp():
                why = "it does not commute with the max-pool before it"
            case _:
                why = "it sums over stored activations"
        return f"{readers} cannot join: {why}"


def _name(node: Node) -> str:
    """Kind of a node, all requantizations alike."""
    return "requantize" if isinstance(node, Requantize) else node.KIND


def _number(owner: str) -> int:
    return int(owner[1:])


def _kind_of(expression: Expression) -> str:
    return "the sums" if isinstance(expression, lazy.Requantize) else _kind(expression)
