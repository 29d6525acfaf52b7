"""Expressions and simplified tables mean what the truth tables mean."""

from hypothesis import given
from hypothesis import strategies as st

from sim.bitstream.c.expression import expression
from sim.bitstream.netlist.fold import simplify
from sim.bitstream.netlist.model import ONE, ZERO

NETS = (ZERO, ONE, 7, 8, 9, 10)


@given(st.integers(1, 4).flatmap(
    lambda k: st.tuples(st.just(k), st.integers(0, (1 << (1 << k)) - 1))
))  # fmt: skip
def test_expressions_are_their_tables(case: tuple[int, int]) -> None:
    count, table = case
    names = ("a", "b", "c", "d")[:count]
    text = expression(table, names)

    for row in range(1 << count):
        values = {name: row >> k & 1 for k, name in enumerate(names)}
        assert eval(text, values) & 1 == table >> row & 1


@given(st.integers(0, 0xFFFF), st.tuples(*[st.sampled_from(NETS)] * 4))
def test_simplified_tables_mean_the_same(table: int, inputs: tuple[int, ...]) -> None:
    small, left = simplify(table, inputs)

    assert len(set(left)) == len(left)
    assert not {ZERO, ONE} & set(left)
    for row in range(16):
        value = {ZERO: 0, ONE: 1} | {net: row >> k & 1 for k, net in enumerate(NETS[2:])}
        address = sum(value[net] << k for k, net in enumerate(inputs))
        reduced = sum(value[net] << k for k, net in enumerate(left))
        assert small >> reduced & 1 == table >> address & 1
