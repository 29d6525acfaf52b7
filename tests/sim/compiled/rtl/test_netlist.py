"""Reading of yosys's netlists."""

import pytest

from sim.compiled.rtl.netlist import NetlistError, natural_key, read_netlist


def test_numbers_in_names_are_sorted_as_numbers() -> None:
    names = ["$1001", "$999", "pe_10_2", "pe_2_10", "pe_10_1"]
    assert sorted(names, key=natural_key) == ["$999", "$1001", "pe_2_10", "pe_10_1", "pe_10_2"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "{"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(NetlistError, match="not a yosys netlist"):
        read_netlist(text)


def test_missing_parameter_is_named() -> None:
    text = (
        '{"modules": {"top": {"ports": {}, "netnames": {}, "cells": {"c": {"type": "$dff",'
        ' "parameters": {}, "connections": {}}}}}}'
    )
    (cell,) = read_netlist(text)["top"].cells
    with pytest.raises(NetlistError, match=r"cell c \(\$dff\) has no parameter WIDTH"):
        cell.integer("WIDTH")
