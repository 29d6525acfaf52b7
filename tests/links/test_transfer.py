"""Bytes through the check sequence: both directions, stalls, what is wrong, what is skipped."""

from random import Random

import pytest

from sim.testbench import get, put, simulate
from systolic.links.transfer import CheckedTransfer, RawTransfer
from systolic.spec.packets import FCS_BYTES, seal
from tests.systolic.cycles import converts

SECTIONS = (b"header", b"\x00", bytes(range(250, 256)))


def framed(packet: bytes) -> list[dict[str, int]]:
    """Payloads of a packet: its bytes, and its end."""
    return [*({"data": byte, "end": 0} for byte in packet), {"data": 0x55, "end": 1}]


async def receive(ctx, dut, sections: tuple[bytes, ...], stalls: Random | None) -> list[int]:
    """Take sections with their check sequences, and the end; cycles in which they differed."""
    wrong, taken, cycle = [], 0, 0
    lengths = [length for section in sections for length in (len(section), FCS_BYTES)]
    for index, length in enumerate(lengths):
        ctx.set(dut.in_check_i, index % 2)
        for _ in range(length):
            done = False
            while not done:
                ctx.set(dut.receive_i, stalls is None or stalls.random() < 0.7)
                *_, done, differs = await ctx.tick().sample(dut.taken_o, dut.differs_o)
                wrong += [taken] * differs
                cycle += 1
            taken += 1
    assert stalls is not None or cycle == 8 * taken
    ctx.set(dut.in_check_i, 0)
    ended = False
    ctx.set(dut.receive_i, 1)
    while not ended:
        *_, ended, done = await ctx.tick().sample(dut.ended_o, dut.taken_o)
        assert not done
    ctx.set(dut.receive_i, 0)
    return wrong


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_sections_are_checked_and_the_end_is_seen(seed: int | None) -> None:
    dut, stalls = CheckedTransfer(), None if seed is None else Random(seed)
    packet = b"".join(map(seal, SECTIONS))

    async def send(ctx):
        await put(ctx, dut.i, framed(packet) * 2, stalls=stalls)

    async def check(ctx):
        for _ in range(2):
            assert await receive(ctx, dut, SECTIONS, stalls) == []

    simulate(dut, send, check)


def test_a_wrong_bit_is_told_and_a_restart_forgets_it() -> None:
    dut = CheckedTransfer()
    damaged = bytearray(seal(SECTIONS[0]))
    damaged[-1] ^= 0x10

    async def send(ctx):
        await put(ctx, dut.i, framed(bytes(damaged)))
        await put(ctx, dut.i, framed(b"cut"))
        await put(ctx, dut.i, framed(seal(SECTIONS[0])))

    async def check(ctx):
        assert await receive(ctx, dut, SECTIONS[:1], None) == [len(damaged) - 1]
        ctx.set(dut.skip_i, 1)
        ended = False
        while not ended:
            *_, ended = await ctx.tick().sample(dut.ended_o)
        ctx.set(dut.skip_i, 0)
        ctx.set(dut.restart_i, 1)
        await ctx.tick()
        ctx.set(dut.restart_i, 0)
        assert await receive(ctx, dut, SECTIONS[:1], None) == []

    simulate(dut, send, check)


@pytest.mark.parametrize("seed", [None, 3])
def test_what_is_sent_carries_its_check_sequence(seed: int | None) -> None:
    dut, stalls = CheckedTransfer(), None if seed is None else Random(seed)
    packet = b"".join(map(seal, SECTIONS))
    got = []

    async def send(ctx):
        for section in SECTIONS:
            for index in range(len(section) + FCS_BYTES):
                in_check = index >= len(section)
                ctx.set(dut.byte_i, ctx.get(dut.check_byte_o) if in_check else section[index])
                ctx.set(dut.in_check_i, in_check)
                ctx.set(dut.send_i, 1)
                sent = False
                while not sent:
                    *_, sent = await ctx.tick().sample(dut.sent_o)
                ctx.set(dut.send_i, 0)
        ctx.set(dut.end_i, 1)
        sent = False
        while not sent:
            *_, sent = await ctx.tick().sample(dut.sent_o)
        ctx.set(dut.end_i, 0)

    async def listen(ctx):
        for each in await get(ctx, dut.o, len(packet) + 1, stalls=stalls):
            got.append((each.data, each.end))

    simulate(dut, send, listen, watch=[dut.o])
    assert [byte for byte, end in got if not end] == list(packet)
    assert [end for _, end in got] == [0] * len(packet) + [1]


def test_raw_bytes_pass_in_a_cycle() -> None:
    dut = RawTransfer()

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        assert not ctx.get(dut.taken_o)
        ctx.set(dut.receive_i, 1)
        assert ctx.get(dut.taken_o)
        ctx.set(dut.send_i, 1)
        ctx.set(dut.byte_i, 77)
        assert (ctx.get(dut.o.valid), ctx.get(dut.o.payload)) == (1, 77)
        assert not ctx.get(dut.sent_o)
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.sent_o)

    simulate(dut, bench)


def test_they_convert_to_rtlil() -> None:
    assert converts(CheckedTransfer())
    assert converts(RawTransfer())
