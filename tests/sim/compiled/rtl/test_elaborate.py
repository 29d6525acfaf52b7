"""References between the elements of a group."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.compiled import Cache, compile_component
from tests.sim.compiled.oracles import run_amaranth


class _Follower(wiring.Component):
    leader: In(8)
    own: In(8)
    y: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.y.eq(self.leader + self.own)
        return m


class _Flock(wiring.Component):
    """Eight elements that all read the third one, which changes in the same cycle."""

    a: In(8)
    y: Out(64)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        followers = [_Follower() for _ in range(8)]
        for index, follower in enumerate(followers):
            m.submodules[f"follower_{index}"] = follower
            m.d.comb += [
                follower.leader.eq(followers[2].y),
                follower.own.eq(self.a + index),
                self.y.word_select(index, 8).eq(follower.y),
            ]
        return m


def test_all_elements_read_the_old_value_of_one(cache: Cache) -> None:
    model = compile_component(_Flock(), optimise="-O1", cache=cache)
    stimulus = [{"a": value} for value in (1, 2, 3, 250, 7)]
    got = []
    for row in stimulus:
        model.set("a", row["a"])
        got.append((model.get("y"),))
        model.step()
    assert got == run_amaranth(_Flock(), stimulus, ["y"])
