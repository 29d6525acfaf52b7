"""Pack the head of every carry chain: an iCE40 netlist pass between yosys and nextpnr.

In an iCE40 logic cell the carry's two operands are LUT inputs I1 and I2. yosys keeps to that for
all bits of an adder but a chain's first: its LUT needs no carry, so the inputs are assigned freely,
and where they miss I1 and I2 the placer spends a second logic cell on the carry alone. In an array
of short adders that is one cell in twelve. Permuting such a LUT's inputs, and its truth table with
them, changes nothing else.
"""

from typing import Any

Bit = int | str
_PINS = ("I0", "I1", "I2", "I3")


def _permuted(init: str, order: list[int]) -> str:
    """Truth table after input ``order[k]`` became input k; most significant entry first."""
    table = init.zfill(16)[::-1]
    entries = []
    for index in range(16):
        source = sum((index >> new & 1) << old for new, old in enumerate(order))
        entries.append(table[source])
    return "".join(reversed(entries))


def pack_carry_heads(netlist: dict[str, Any]) -> int:
    """Permute LUT inputs in a yosys JSON netlist so that heads of carry chains share their cell.

    Parameters
    ----------
    netlist : dict
        What yosys's ``write_json`` wrote, flattened iCE40 cells; changed in place.

    Returns
    -------
    int
        Logic cells saved.
    """
    saved = 0
    for module in netlist["modules"].values():
        cells = module["cells"]
        luts: dict[frozenset[Bit], list[dict[str, Any]]] = {}
        in_chain: set[tuple[Bit, Bit]] = set()
        for cell in cells.values():
            if cell["type"] != "SB_LUT4":
                continue
            inputs = [cell["connections"][pin][0] for pin in _PINS]
            in_chain.add((inputs[1], inputs[2]))
            used = [bit for bit in inputs if isinstance(bit, int)]
            for first in used:
                for second in used:
                    if first < second:
                        luts.setdefault(frozenset((first, second)), []).append(cell)
        carries = [cell for cell in cells.values() if cell["type"] == "SB_CARRY"]
        for carry in carries:
            pins = carry["connections"]
            operands = pins["I0"][0], pins["I1"][0]
            if pins["CI"] != ["0"] or operands in in_chain:
                continue
            for lut in luts.get(frozenset(operands), []):
                if _move_operands(lut, operands):
                    in_chain.add(operands)
                    saved += 1
                    break
    return saved


def _move_operands(lut: dict[str, Any], operands: tuple[Bit, Bit]) -> bool:
    """Bring the operands to I1 and I2 if the LUT is no adder bit (I3 free); whether that worked."""
    pins = lut["connections"]
    inputs = [pins[pin][0] for pin in _PINS]
    others = [k for k, bit in enumerate(inputs) if bit not in operands]
    if len(others) != 2:
        return False
    # I3 is the carry's: the input that stays must go to I0, so at least one other must be constant.
    live = [k for k in others if isinstance(inputs[k], int)]
    if len(live) > 1:
        return False
    rest = live + [k for k in others if k not in live]
    order = [rest[0], inputs.index(operands[0]), inputs.index(operands[1]), rest[1]]
    for pin, source in zip(_PINS, order, strict=True):
        pins[pin] = [inputs[source]]
    lut["parameters"]["LUT_INIT"] = _permuted(lut["parameters"]["LUT_INIT"], order)
    return True
