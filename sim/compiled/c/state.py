"""C for the state of a model: its structure, its value at power-on and after a reset."""

from collections.abc import Mapping

from sim.compiled.c.memory import cell_bits, declaration
from sim.compiled.c.refs import container, literal, mask, words
from sim.compiled.rtl.design import Design, Memory, Output, Wire, WireKind

__all__ = ["initialisation", "memory_access", "reset", "state_type"]

_WORD = mask(64)


def _area(ports: list[Output]) -> int:
    return max([1, *(port.word + words(port.width) for port in ports)])


def state_type(design: Design, fields: Mapping[str, Wire]) -> list[str]:
    """Return the declaration of ``State``, with the wires in `fields`."""
    lines = [
        "typedef struct {",
        f"uint64_t in[{_area(design.inputs)}], out[{_area(design.outputs)}];",
    ]
    for name, wire in sorted(fields.items(), key=lambda item: item[1].number):
        bits = 64 if wire.used > 64 else container(wire.used, wire.space)
        shape = f"[{words(wire.used)}]" if wire.used > 64 else ""
        if not wire.space.is_scalar:
            # A vector register's worth of alignment spares the loops their odd ends.
            lines.append(f"_Alignas(64) uint{bits}_t {name}{shape}[{wire.space.count}];")
        else:
            lines.append(f"uint{bits}_t {name}{shape};")
    lines += [f"_Alignas(64) {declaration(memory)}" for memory in design.memories]
    return [*lines, "} State;"]


def _set_register(name: str, wire: Wire, values: list[int]) -> list[str]:
    """Return statements that give a register one value per instance."""
    wide = wire.used > 64
    lines: list[str] = []
    for word in range(words(wire.used)):
        target = f"s->{name}" + (f"[{word}]" if wide else "")
        bits = 64 if wide else container(wire.used, wire.space)
        parts = [(value & mask(wire.used)) >> 64 * word & _WORD for value in values]
        if wire.space.is_scalar:
            lines.append(f"{target} = {literal(parts[0], bits)};")
        elif len(set(parts)) == 1:
            count = wire.space.count
            loop = f"for (int i = 0; i < {count}; i++) "
            lines.append(f"{loop}{target}[i] = {literal(parts[0], bits)};")
        else:
            table = ", ".join(literal(part, bits) for part in parts)
            lines.append(
                f"{{ static const uint{bits}_t t[] = {{{table}}}; memcpy({target}, t, sizeof t); }}"
            )
    return lines


def _set_memory(memory: Memory) -> list[str]:
    """Return statements that copy the initial words; the state is all zeros before."""
    bits = cell_bits(memory)
    count = words(memory.width)
    lines: list[str] = []
    for lane, image in enumerate(memory.initial):
        length = max((index + 1 for index, value in enumerate(image) if value), default=0)
        if not length:
            continue
        table = ", ".join(
            literal(value >> 64 * word & _WORD, bits)
            for value in image[:length]
            for word in range(count)
        )
        target = f"s->m{memory.number}" + ("" if memory.space.is_scalar else f"[{lane}]")
        lines.append(
            f"{{ static const uint{bits}_t t[] = {{{table}}}; memcpy({target}, t, sizeof t); }}"
        )
    return lines


def initialisation(design: Design, fields: Mapping[str, Wire]) -> list[str]:
    """Return the function ``init``: the state at power-on."""
    lines = ["static void init(State *s) {", "memset(s, 0, sizeof *s);"]
    for name, wire in fields.items():
        if wire.kind is WireKind.REGISTER and any(wire.initial):
            lines += _set_register(name, wire, wire.initial)
    for memory in design.memories:
        lines += _set_memory(memory)
    return [*lines, "}"]


def reset(design: Design, fields: Mapping[str, Wire]) -> list[str]:
    """Return the function ``reset``: what a clock edge does to registers while ``rst`` is high."""
    known = {wire: name for name, wire in fields.items()}
    lines = ["__attribute__((noinline, unused)) static void reset(State *s) {", "(void)s;"]
    for node in design.nodes:
        if node.kind == "commit" and node.reset_values and node.out in known:
            lines += _set_register(known[node.out], node.out, node.reset_values)
    return [*lines, "}"]


def memory_access(design: Design) -> list[str]:
    """Return the function that finds the words of a memory by its place among all memories."""
    lines = ["API void *model_memory(State *s, uint64_t index) {", "switch (index) {"]
    index = 0
    for memory in design.memories:
        for lane in range(memory.space.count):
            at = "" if memory.space.is_scalar else f"[{lane}]"
            lines.append(f"case {index}: return s->m{memory.number}{at};")
            index += 1
    return [*lines, "}", "return 0;", "}"]
