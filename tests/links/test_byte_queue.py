"""The queue, against a list."""

from collections import deque
from random import Random

import pytest

from sim.testbench import simulate
from systolic.links.byte_queue import ByteQueue
from tests.systolic.cycles import converts

DEPTH_LOG2 = 3


@pytest.mark.parametrize("depth_log2", [DEPTH_LOG2, 0])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("puts", "gets"), [(0.2, 0.9), (0.9, 0.3), (0.5, 0.5)])
def test_what_goes_in_comes_out_in_order(
    puts: float, gets: float, seed: int, depth_log2: int
) -> None:
    dut, rng = ByteQueue(depth_log2=depth_log2), Random(seed)
    inside: deque[tuple[int, int]] = deque()
    taken = fullest = 0

    async def bench(ctx):
        nonlocal taken, fullest
        for _ in range(600):
            byte = (rng.randrange(256), rng.randrange(2))
            # Only as much as fits, as far as a host can know.
            valid = rng.random() < puts and len(inside) < 1 << depth_log2
            ctx.set(dut.i, {"data": byte[0], "end": byte[1]})
            ctx.set(dut.valid_i, valid)
            ctx.set(dut.o.ready, rng.random() < gets)
            *_, is_taken, payload = await ctx.tick().sample(
                dut.o.valid & dut.o.ready, dut.o.payload
            )
            if is_taken:
                assert (payload.data, payload.end) == inside.popleft()
                taken += 1
            if valid:
                inside.append(byte)
            fullest = max(fullest, len(inside))

    simulate(dut, bench, watch=[dut.o])
    assert taken > 50
    assert puts < gets or fullest == 1 << depth_log2


@pytest.mark.parametrize("depth_log2", [DEPTH_LOG2, 0])
def test_it_says_when_it_is_full(depth_log2: int) -> None:
    dut = ByteQueue(depth_log2=depth_log2)
    ready = []

    async def bench(ctx):
        ctx.set(dut.valid_i, 1)
        # The first goes on to the output.
        for _ in range(1 << depth_log2):
            ready.append(ctx.get(dut.ready_o))
            await ctx.tick()
        ctx.set(dut.valid_i, 0)
        assert not ctx.get(dut.ready_o)

    simulate(dut, bench)
    assert all(ready)


def test_it_converts_to_rtlil() -> None:
    assert converts(ByteQueue(depth_log2=8))
    assert converts(ByteQueue(depth_log2=0))
