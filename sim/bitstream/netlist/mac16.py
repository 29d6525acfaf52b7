"""Which inputs of an iCE40 multiplier its outputs depend on without a clock."""

from collections.abc import Set as AbstractSet

from sim.bitstream.netlist.model import Mac16

__all__ = ["mac16_dependencies", "mac16_ignored"]

_ADDER_OUTPUT = 0
_REGISTER_OUTPUT = 1


def mac16_dependencies(mac: Mac16, used: AbstractSet[int]) -> tuple[str, ...]:
    """Return the names of those inputs, given the nets that are read at all.

    A dependency more than there is does no harm but where it makes a signal depend on itself;
    the structure is that of Lattice's library (figure "SB_MAC16").
    """
    has = mac.parameters
    resets = {"IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT"}
    carries = [net for name in ("CO", "ACCUMCO", "SIGNEXTOUT") for net in mac.outputs[name]]
    selects = (has["TOPOUTPUT_SELECT"], has["BOTOUTPUT_SELECT"])
    if _ADDER_OUTPUT in selects or any(net in used for net in carries):
        result = resets | _product_inputs(mac) | {"CI", "ACCUMCI", "SIGNEXTIN"}
        result -= mac16_ignored(mac)
        result |= {"ADDSUBTOP", "ADDSUBBOT", "OLOADTOP", "OLOADBOT"}
        result |= {name for name in "CD" if not has[f"{name}_REG"]}
        direct = {"A": "TOPADDSUB_LOWERINPUT", "B": "BOTADDSUB_LOWERINPUT"}
        result |= {
            name for name, source in direct.items() if not has[source] and not has[f"{name}_REG"]
        }
        return tuple(sorted(result))
    if selects == (_REGISTER_OUTPUT, _REGISTER_OUTPUT):
        return tuple(sorted(resets))
    return tuple(sorted(resets | _product_inputs(mac)))


def mac16_ignored(mac: Mac16) -> frozenset[str]:
    """Return the names of the inputs from the neighbouring multiplier that are not selected."""
    has = mac.parameters
    selected = {
        "ACCUMCI": has["BOTADDSUB_CARRYSELECT"] == 2,
        "CI": has["BOTADDSUB_CARRYSELECT"] == 3,
        "SIGNEXTIN": has["BOTADDSUB_LOWERINPUT"] == 3,
    }
    return frozenset(name for name, is_selected in selected.items() if not is_selected)


def _product_inputs(mac: Mac16) -> set[str]:
    """Operands that the product depends on without a clock."""
    has = mac.parameters
    middle = ("TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG", "PIPELINE_16x16_MULT_REG1")
    if has["PIPELINE_16x16_MULT_REG2"] and not has["MODE_8x8"]:
        # The 8 x 8 products have a way around the last register.
        around = (has["TOPADDSUB_LOWERINPUT"], has["BOTADDSUB_LOWERINPUT"])
        selects = (has["TOPOUTPUT_SELECT"], has["BOTOUTPUT_SELECT"])
        if 1 not in around and 2 not in selects:
            return set()
    if all(has[name] for name in middle):
        return set()
    return {name for name in "AB" if not has[f"{name}_REG"]}
