"""C for memories: reads with transparency, writes with bit masks."""

from sim.compiled.c.refs import Names, clean, literal, mask, words
from sim.compiled.c.wide import word_of
from sim.compiled.rtl.design import Const, Fill, Memory, Node, Ref, Slice, ref_width, slice_ref

__all__ = ["cell_bits", "declaration", "read_memory", "write_memory"]


def cell_bits(memory: Memory) -> int:
    """Return the bits of the C type of an element of the memory's array."""
    return next((bits for bits in (8, 16, 32) if memory.width <= bits), 64)


def declaration(memory: Memory) -> str:
    """Return the field of the state that holds the memory of every instance."""
    shape = f"[{memory.space.count}]" if not memory.space.is_scalar else ""
    shape += f"[{memory.depth}]" + (f"[{words(memory.width)}]" if memory.width > 64 else "")
    return f"uint{cell_bits(memory)}_t m{memory.number}{shape};"


def _element(names: Names, memory: Memory, address: str, word: int) -> str:
    lane = "" if memory.space.is_scalar else f"[{names.index}]"
    part = f"[{word}]" if memory.width > 64 else ""
    return f"s->m{memory.number}{lane}[{address}]{part}"


def _address(names: Names, ref: Ref) -> str:
    return clean(names, ref, 64 if ref_width(ref) > 32 else 32)


def _single_enable(names: Names, ref: Ref) -> str | None:
    """Return the condition under which a whole word is written, if it is all bits or none."""
    match ref:
        case (Const(value=value, width=width),) if value in (0, mask(width)):
            return "1" if value else "0"
        case (Slice(width=1) as bit,):
            return clean(names, (bit,), 32)
        case (Slice(width=1) as bit, Fill(bit=again)) if again == bit:
            return clean(names, (bit,), 32)
        case (Fill(bit=bit),):
            return clean(names, (bit,), 32)
        case _:
            return None


def _merged(old: str, data: str, enable: str) -> str:
    return f"({old} & ~{enable}) | ({data} & {enable})"


def read_memory(names: Names, node: Node) -> tuple[list[str], list[str]]:
    """Return statements to run first, and the words of the data, with transparency applied.

    Preconditions: the memory is not written yet in this cycle. An address beyond the end reads 0.
    """
    memory = node.memory
    assert memory is not None
    bits = cell_bits(memory)
    address = node.reads["ADDR"]
    reach = 1 << ref_width(address)
    guard = f"a < {memory.depth} ? " if reach > memory.depth else ""
    body = [f"const uint64_t a = {_address(names, address)};"]
    count = words(memory.width)
    for word in range(count):
        value = _element(names, memory, "a", word) if memory.depth else "0"
        body.append(f"uint{bits}_t d{word} = {guard}{value}{' : 0' if guard else ''};")
    for port in node.ports:
        hit = f"a == {_address(names, port.reads['ADDR'])}"
        single = _single_enable(names, port.reads["EN"])
        for word in range(count):
            data = _part(names, port.reads["DATA"], word, bits)
            if single is not None:
                update = f"if ({single} && {hit}) d{word} = {data};"
            else:
                enable = _part(names, port.reads["EN"], word, bits)
                update = f"if ({hit}) d{word} = {_merged(f'd{word}', data, enable)};"
            body.append(update)
    return body, [f"d{word}" for word in range(count)]


def _part(names: Names, ref: Ref, word: int, bits: int) -> str:
    if bits == 64:
        return word_of(names, ref, word)
    return f"(uint{bits}_t){clean(names, ref, max(32, bits))}"


def write_memory(names: Names, node: Node) -> list[str]:
    """Return the statements that do all writes of a memory, in the order of its ports."""
    memory = node.memory
    assert memory is not None
    bits = cell_bits(memory)
    body: list[str] = []
    for port in node.ports:
        address, enable = port.reads["ADDR"], port.reads["EN"]
        conditions: list[str] = []
        if (1 << ref_width(address)) > memory.depth:
            conditions.append(f"a < {memory.depth}")
        single = _single_enable(names, enable)
        if single == "0":
            continue
        stores: list[str] = []
        for word in range(words(memory.width)):
            element = _element(names, memory, "a", word)
            data = _part(names, port.reads["DATA"], word, bits)
            if single is None:
                text = _part(names, enable, word, bits)
                data = f"(uint{bits}_t)({_merged(element, data, text)})"
            stores.append(f"{element} = {data};")
        if single is None:
            every = [
                clean(names, slice_ref(enable, 64 * word, 64), 64)
                for word in range(words(memory.width))
            ]
            conditions.append("(" + " | ".join(every) + f") != {literal(0, 64)}")
        elif single != "1":
            conditions.append(single)
        test = f"if ({' && '.join(conditions)}) " if conditions else ""
        body.append(
            f"{{ const uint64_t a = {_address(names, address)}; {test}{{ {' '.join(stores)} }} }}"
        )
    return body
