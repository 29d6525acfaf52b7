"""The UART against a line in continuous time: rates off by some per cent, any phase, noise."""

from random import Random

import pytest

from sim.testbench import put, simulate
from systolic.links.uart import UartReceiver, UartTransmitter, bit_cycles
from tests.systolic.cycles import converts


def edges(data: bytes, *, bit_s: float, start_s: float, pauses: Random | None) -> list[float]:
    """Times at which the line changes, beginning high; with random pauses between bytes."""
    times, level, now = [], 1, start_s
    for byte in data:
        for bit in (0, *(byte >> at & 1 for at in range(8)), 1):
            if bit != level:
                times.append(now)
                level = bit
            now += bit_s
        now += pauses.random() * 2 * bit_s if pauses else 0
    return times


def receive(data: bytes, cycles: int, rate: float, seed: int, *, back_to_back: bool) -> bytes:
    """What is received of a line whose bits are ``rate`` times as long as they should be."""
    dut, rng = UartReceiver(bit_cycles=cycles), Random(seed)
    times = edges(
        data,
        bit_s=cycles * rate,
        start_s=3 + rng.random(),
        pauses=None if back_to_back else rng,
    )
    got = bytearray()

    async def bench(ctx):
        passed = 0
        for cycle in range(int(len(data) * 12.5 * cycles * rate) + 20):
            while passed < len(times) and times[passed] <= cycle:
                passed += 1
            ctx.set(dut.rx, 1 - passed % 2)
            *_, valid, byte = await ctx.tick().sample(dut.valid_o, dut.byte_o)
            if valid:
                got.append(byte)

    simulate(dut, bench, timeout_cycles=100_000)
    return bytes(got)


@pytest.mark.parametrize("back_to_back", [True, False])
@pytest.mark.parametrize("rate", [1.0, 0.98, 1.02])
@pytest.mark.parametrize("cycles", [4, 5, 8, 16])
def test_bytes_are_received_at_rates_that_are_off(
    cycles: int, rate: float, back_to_back: bool
) -> None:
    data = bytes([0, 255, 0x55, 0xAA, 1, 128]) + Random(cycles).randbytes(20)
    for phase in range(2):
        assert receive(data, cycles, rate, phase, back_to_back=back_to_back) == data


@pytest.mark.parametrize("rate", [0.9, 1.1])
def test_the_check_of_rates_bites(rate: float) -> None:
    data = Random(1).randbytes(30)
    assert receive(data, 4, rate, 0, back_to_back=True) != data


def levels(*runs: tuple[int, int]) -> list[int]:
    return [level for level, count in runs for _ in range(count)]


@pytest.mark.parametrize(
    "line",
    [
        # Cut cable, and it comes back.
        levels((1, 20), (0, 500), (1, 100)),
        # A frame without a stop bit.
        levels((1, 20), (0, 8), (1, 64), (0, 16), (1, 100)),
    ],
)
def test_behind_what_is_no_byte_the_next_is_received(line: list[int]) -> None:
    dut, got = UartReceiver(bit_cycles=8), []
    good = levels((1, 20), (0, 8), (1, 8), (0, 56), (1, 100))

    async def bench(ctx):
        for level in line + good:
            ctx.set(dut.rx, level)
            *_, valid, byte = await ctx.tick().sample(dut.valid_o, dut.byte_o)
            if valid:
                got.append(byte)

    simulate(dut, bench)
    # What came of the rest is no byte that was sent; check sequences are there for that.
    assert got[-1] == 1
    assert len(got) <= 2


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("cycles", [4, 7, 16])
def test_bytes_are_sent_bit_by_bit(cycles: int, seed: int | None) -> None:
    dut, line = UartTransmitter(bit_cycles=cycles), []
    data = bytes([0, 255, 0x55, 1, 128]) + Random(3).randbytes(5)
    stalls = None if seed is None else Random(seed)

    async def send(ctx):
        await put(ctx, dut.i, data, stalls=stalls)
        for _ in range(10 * cycles):
            await ctx.tick()

    async def watch(ctx):
        while True:
            *_, tx = await ctx.tick().sample(dut.tx)
            line.append(tx)

    simulate(dut, send, background=[watch], watch=[dut.i])
    got, at = bytearray(), 0
    while 0 in line[at:]:
        at = line.index(0, at)
        bits = [line[at + index * cycles :][:cycles] for index in range(10)]
        assert all(len(set(bit)) == 1 for bit in bits)
        assert (bits[0][0], bits[9][0]) == (0, 1)
        got.append(sum(bit[0] << index for index, bit in enumerate(bits[1:9])))
        # Without stalls there is no cycle between bytes.
        assert seed is not None or len(got) == len(data) or line[at + 10 * cycles] == 0
        at += 10 * cycles
    assert bytes(got) == data


@pytest.mark.parametrize("cycles", [4, 6, 9])
def test_both_ends_understand_each_other(cycles: int) -> None:
    receiver, transmitter = UartReceiver(bit_cycles=cycles), UartTransmitter(bit_cycles=cycles)
    data, got = Random(cycles).randbytes(12), []

    from amaranth import Module

    m = Module()
    m.submodules += [receiver, transmitter]
    m.d.comb += receiver.rx.eq(transmitter.tx)

    async def send(ctx):
        await put(ctx, transmitter.i, data)
        for _ in range(12 * cycles):
            await ctx.tick()

    async def listen(ctx):
        while True:
            *_, valid, byte = await ctx.tick().sample(receiver.valid_o, receiver.byte_o)
            if valid:
                got.append(byte)

    simulate(m, send, background=[listen])
    assert bytes(got) == data


def test_cycles_per_bit_are_clock_by_baud() -> None:
    assert bit_cycles(12e6, 3_000_000) == 4
    assert bit_cycles(24e6, 3_000_000) == 8
    assert bit_cycles(12e6, 115_200) == 104


@pytest.mark.parametrize(
    ("clock_hz", "baud", "message"),
    [
        (12e6, 4_000_000, r"baud must be at most a 4th of the clock, 3000000 at 12000000 Hz, not"),
        (
            16e6,
            3_000_000,
            r"3000000 baud cannot be made from 16000000 Hz: .* 3200000, is 6.7 % off",
        ),
    ],
)
def test_rates_that_cannot_be_are_refused(clock_hz: float, baud: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bit_cycles(clock_hz, baud)


def test_they_convert_to_rtlil() -> None:
    assert converts(UartReceiver(bit_cycles=4))
    assert converts(UartTransmitter(bit_cycles=4))
