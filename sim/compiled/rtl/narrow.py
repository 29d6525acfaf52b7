"""Find the bits of every wire that are read, and drop the nodes that nobody needs.

Sums and multiplexers are often wider than what is kept of them: a psum register of 16 bits is
fed by a 17 bit sum, say. Computing only the low bits halves the type, and so doubles
the number of instances per vector register.
"""

from sim.compiled.rtl.design import (
    Design,
    Node,
    Ref,
    Wire,
    WireKind,
    ref_width,
    slice_ref,
    wires_of,
)

__all__ = ["LOW_BITS_ONLY", "narrow"]

# Bit k of the result depends on bits 0..k of these operands alone.
LOW_BITS_ONLY = {
    **dict.fromkeys(("$and", "$or", "$xor", "$xnor", "$add", "$sub", "$mul"), ("A", "B")),
    **dict.fromkeys(("$not", "$pos", "$neg", "$shl", "$sshl"), ("A",)),
    "$mux": ("A", "B"),
    "$pmux": ("A",),
    "commit": ("D",),
}


def _mark(ref: Ref, pending: list[Wire]) -> None:
    for piece in wires_of(ref):
        end = piece.offset + piece.width
        if end > piece.wire.used:
            piece.wire.used = end
            pending.append(piece.wire)


def _mark_reads(node: Node, pending: list[Wire]) -> None:
    low = LOW_BITS_ONLY.get(node.kind, ())
    used = node.out.used if node.out is not None else 0
    for name, ref in node.reads.items():
        if name in low:
            _mark(slice_ref(ref, 0, used), pending)
        elif (node.kind, name) != ("$pmux", "B"):
            _mark(ref, pending)
    for ref in node.lanes:
        _mark(slice_ref(ref, 0, used), pending)
    if node.kind == "$pmux":
        width = ref_width(node.reads["A"])
        for index in range(ref_width(node.reads["S"])):
            _mark(slice_ref(node.reads["B"], index * width, used), pending)
    for port in node.ports:
        for ref in port.reads.values():
            _mark(ref, pending)


def narrow(design: Design) -> None:
    """Set `used` of every wire, and remove nodes without effect.

    Postcondition: every node left computes a wire of which at least one bit is read, writes a
    memory, or feeds an output.
    """
    producers = {node.out: node for node in design.nodes if node.out is not None}
    pending: list[Wire] = []
    for node in design.nodes:
        if node.out is None:
            _mark_reads(node, pending)
    while pending:
        wire = pending.pop()
        node = producers.get(wire)
        if node is not None:
            _mark_reads(node, pending)
    for wire in design.wires:
        if wire.kind is WireKind.INPUT:
            wire.used = wire.width
    design.nodes = [node for node in design.nodes if node.out is None or node.out.used]
