"""What a tensor is and what becomes of it, in text."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mapping.compiler import compile_network
from mapping.errors import MappingError
from mapping.graph import Graph
from mapping.lowering.fuse import FusedLayer
from mapping.lowering.prepare import Prepared, prepare
from mapping.lowering.weight_nodes import AsWeights, WeightFormMatMul
from mapping.ops import Add, Clamp, Lut, MaxPool2d, Node, Pad, Requantize, Reshape
from mapping.tensor import expression as lazy
from mapping.tensor.expression import Expression, ExpressionError, in_order
from mapping.tensor.lower import Lowered, lower
from systolic.spec.config import ArrayConfig


def listing(root: Expression) -> str:
    """One line per expression, each after those that it is computed from."""
    order = in_order(root)
    numbers = {expression: number for number, expression in enumerate(order)}
    texts = [f"%{numbers[each]} {_text(each, numbers)}" for each in order]
    width = max(map(len, texts))
    return "\n".join(
        f"{text:<{width}s} -> {_type(each)}" for text, each in zip(texts, order, strict=True)
    )


def _type(expression: Expression) -> str:
    """Shape and type of a value."""
    shape = "x".join(map(str, expression.shape)) or "scalar"
    return f"{shape} {expression.element or 'constant'}"


def _text(expression: Expression, numbers: Mapping[Expression, int]) -> str:
    """What one expression does."""
    sources = ", ".join(f"%{numbers[source]}" for source in expression.sources)
    match expression:
        case lazy.Input():
            return f"input {expression.name}"
        case lazy.Buffer():
            return f"constant {expression.name}".replace("constant constant", "constant")
        case lazy.Moved():
            return f"{expression.movement} of {sources}"
        case lazy.Reduce():
            axes = ", ".join(map(str, expression.axes))
            return f"{_kind(expression)} along ({axes}) of {sources}"
        case lazy.Clamp():
            return f"clamp to {expression.low}..{expression.high} of {sources}"
        case _:
            return f"{_kind(expression)} of {sources}"


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
        ready = prepare(lowered.graph, config, prune=True)
        program = compile_network(lowered.graph, config)
    except (ExpressionError, MappingError) as error:
        return "\n".join([*lines, f"does not compile: {error}"])
    report = _Report(lowered, ready, _owners(lowered, root))
    for number, (layer, record) in enumerate(zip(ready.layers, program.layers, strict=True)):
        lines += report.layer(number, layer, record.cycles)
    return "\n".join([*lines, *report.end(root, program.cycles)])


def _owners(lowered: Lowered, root: Expression) -> dict[int, tuple[int, ...]]:
    """For each node of the graph, the numbers of the expressions it stands for."""
    numbers = {expression: number for number, expression in enumerate(in_order(root))}
    owners: dict[int, tuple[int, ...]] = {}
    for expression, nodes in lowered.made.items():
        found = sorted(numbers[each] for each in _absorbed(expression, lowered))
        for node in nodes:
            owners[node] = tuple(found)
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
    ready: Prepared
    owners: Mapping[int, tuple[int, ...]]

    @property
    def graph(self) -> Graph:
        """The network, ready to be lowered."""
        return self.ready.graph

    def made_as(self, node: int) -> int:
        """The node that an expression was lowered to."""
        return self.ready.origins[node].node

    def owned(self, node: int) -> tuple[int, ...]:
        """Numbers of the expressions that a node stands for."""
        return self.owners.get(self.made_as(node), ())

    def layer(self, number: int, layer: FusedLayer, cycles: int) -> list[str]:
        """A layer, what is in it, and why it ends where it does."""
        kinds = " + ".join(_name(self.graph.nodes[node]) for node in layer.nodes)
        kind = self.graph.types[layer.output]
        lines = [f"layer {number}: {kinds} -> {kind}, {cycles:,} cycles"]
        owners = dict.fromkeys(owner for node in layer.nodes for owner in self.owned(node))
        lines.append(f"  from {_ranges(owners)}")
        inside = set(map(self.made_as, layer.nodes))
        for expression, nodes in self.lowered.made.items():
            if expression in self.lowered.notes and set(nodes) & inside:
                lines.append(f"  {_kind_of(expression)}: {self.lowered.notes[expression]}")
        return [*lines, f"  ends here: {self._why_it_ends(layer)}"]

    def end(self, root: Expression, cycles: int) -> list[str]:
        """What the host does behind the last layer, and the sum."""
        stored = self.lowered.results[0]
        lines = [f"all: {cycles:,} cycles"]
        if not stored.address.is_identity(self.graph.types[stored.node].elements):
            lines.append(f"the host reads {root.shape} out of the stored {stored.shape}: "
                         "movements behind the last layer are only addresses")  # fmt: skip
        return lines

    def _why_it_ends(self, layer: FusedLayer) -> str:
        """Why what follows a layer did not join it."""
        if layer.output in self.graph.outputs:
            return "this is the result"
        readers = [reader for user in self.graph.users[layer.output] for reader in self._real(user)]
        text = ", ".join(
            f"{_name(self.graph.nodes[user])} ({_ranges(self.owned(user))})" for user in readers
        )
        if len(readers) > 1:
            return f"{len(readers)} nodes read it, so it has to be stored: {text}"
        match self.graph.nodes[readers[0]]:
            case MaxPool2d():
                why = "its windows overlap, exceed the accumulators, or follow another max-pool"
            case Pad() | Reshape():
                why = "elements change their place, for which they have to be stored"
            case Add():
                why = "it reads two tensors, and a layer makes one"
            case AsWeights():
                why = "as weights, it has to be stored by itself"
            case WeightFormMatMul():
                why = "it multiplies two stored tensors"
            case Lut() | Clamp():
                why = "it does not commute with the max-pool before it"
            case _:
                why = "it sums over stored activations"
        return f"{text} cannot join: {why}"

    def _real(self, user: int) -> tuple[int, ...]:
        """A reader, or those behind it if it is only an address."""
        node, made = self.graph.nodes[user], {layer.output for layer in self.ready.layers}
        if not isinstance(node, Pad | Reshape) or user in made:
            return (user,)
        return tuple(reader for each in self.graph.users[user] for reader in self._real(each))


def _name(node: Node) -> str:
    """Kind of a node, all requantizations alike."""
    if isinstance(node, AsWeights):
        return "as weights (complement)" if node.is_complement else "as weights"
    return "requantize" if isinstance(node, Requantize) else node.KIND


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers of expressions, those that follow each other as a range.

    >>> _ranges([4, 1, 2, 3, 7])
    '%1..%4, %7'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"%{run[0]}..%{run[-1]}" if run[1:] else f"%{run[0]}" for run in runs)


def _kind_of(expression: Expression) -> str:
    return "the sums" if isinstance(expression, lazy.Requantize) else _kind(expression)
