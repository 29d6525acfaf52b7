"""A program as text: tensors, then every layer's instructions under a header."""

from collections.abc import Iterator

from mapping.program.data import Part, ProgramData
from mapping.program.tensor import StoredTensor
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import listing


def program_lines(program: ProgramData) -> Iterator[str]:
    """Lines of a program's listing; of a second slot, only what differs from the first."""
    config = program.config
    words = len(program.image) // config.word_bytes
    yield f"program {program.name} for {config} ({config.digest.hex()})"
    yield f"image   {words} words " + (
        f"in {len(program.parts)} parts" if program.parts else f"at {program.load_address}"
    )
    yield f"slot 0  {program.instruction_count} instructions at {program.entry}"
    for number, part in enumerate(program.parts):
        yield part_line(number, part, program)
    inputs = {tensor.node for tensor in program.inputs}
    for tensor in program.tensors:
        yield tensor_line("input " if tensor.node in inputs else "tensor", tensor, config)
    for tensor in program.outputs:
        yield tensor_line("output", tensor, config)
    for number, slot in enumerate(program.slots[1:], 1):
        yield f"slot {number}  {program.instruction_count} instructions at {slot.entry}"
        for tensor in slot.inputs:
            yield tensor_line("input ", tensor, config)
        for tensor in slot.outputs:
            yield tensor_line("output", tensor, config)
    yield from _layer_lines(program)
    for number in range(1, len(program.slots)):
        yield ""
        yield f"slot {number}, where it differs from slot 0:"
        pairs = zip(program.code[number], program.instructions, strict=True)
        for index, (instruction, first) in enumerate(pairs):
            if instruction != first:
                yield from listing([instruction], first=index)


def _layer_lines(program: ProgramData) -> Iterator[str]:
    """Each layer with its instructions in the first slot."""
    first = 0
    for layer in program.layers:
        yield ""
        shapes = " + ".join("x".join(map(str, shape)) for shape in layer.in_shapes)
        out = "x".join(map(str, layer.out_shape))
        yield f"layer {layer.name}: {layer.op}, {shapes} -> {out}, {layer.tiling}"
        yield (
            f"  {layer.macs} MACs, {layer.cycles} cycles, {layer.busy_cycles} busy, "
            f"utilisation {layer.utilisation:.1%}, bound by {layer.bound}"
        )
        if layer.pruned_text:
            yield f"  pruned channels: {layer.pruned_text}"
        last = first + layer.instructions
        yield from listing(list(program.instructions[first:last]), first=first)
        first = last
    if not program.layers:
        yield from listing(list(program.instructions))


def part_line(number: int, part: Part, program: ProgramData) -> str:
    """One line about a part: place, code, whether it stays."""
    how = "written for every image" if part in program.streamed else "written once"
    return (
        f"part {number:2d}  {part.words} words at {part.address}, {part.instructions} instructions "
        f"at {part.entry}, {how}"
    )


def tensor_line(kind: str, tensor: StoredTensor, config: ArrayConfig) -> str:
    """One line about a tensor: place, shape, codes, border, packing."""
    shape = "x".join(map(str, tensor.shape))
    line = (
        f"{kind}  {tensor.address:5d}  {tensor.name}: {shape}, {tensor.bits} bits from "
        f"{tensor.q_min}, {tensor.words(config)} words"
    )
    if any(tensor.border):
        line += f", border {'+'.join(map(str, tensor.border))} of code {tensor.zero}"
    if tensor.packing is not None:
        kernel = "x".join(map(str, tensor.packing.kernel))
        stored = f"{tensor.height}x{tensor.width}x{tensor.channels}"
        line += f", packed {kernel} to {stored}"
    return line
