"""Deframer and framer, against the frames of the specification."""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.testbench import get, put, simulate
from systolic.links.deframer import Deframer
from systolic.links.framer import Framer
from systolic.spec.packets import ABORT, FLAG, frame
from systolic.spec.packets import Deframer as SpecDeframer
from tests.systolic.cycles import converts, trace

# Mostly bytes that matter.
noise = st.lists(st.sampled_from([0x7D, 0x7E, 0x5D, 0x5E, 0, 255]), max_size=40).map(bytes)


@settings(max_examples=50)
@given(noise, st.integers(0, 2**32 - 1))
@example(b"\x7d\x7d\x7e\x01\x7e", 0)
def test_any_bytes_are_taken_apart_as_specified(line: bytes, seed: int) -> None:
    rng, stimuli = Random(seed), []
    for byte in line:
        stimuli += [{"byte_i": rng.randrange(256), "valid_i": 0}] * rng.randint(0, 2)
        stimuli.append({"byte_i": byte, "valid_i": 1})
    got, content = [], bytearray()
    for o, valid, abort in trace(Deframer(), stimuli, "o", "valid_o", "abort_o"):
        assert not (valid and abort)
        if abort or (valid and o.end):
            if content or abort:
                got.append(None if abort else bytes(content))
            content.clear()
        elif valid:
            content.append(o.data)
    assert got == list(SpecDeframer().feed(line))


def test_nothing_is_said_before_something_came() -> None:
    stimuli = [{"byte_i": byte, "valid_i": 0} for byte in ABORT * 2]
    assert trace(Deframer(), stimuli, "valid_o", "abort_o") == [(0, 0)] * 4


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_packets_are_framed_as_specified_behind_a_first_flag(seed: int | None) -> None:
    rng = Random(7)
    contents = [bytes(rng.choices([0x7D, 0x7E, 0x5E, 9], k=rng.randint(1, 9))) for _ in range(9)]
    payloads = []
    for content in contents:
        payloads += [{"data": byte, "end": 0} for byte in content]
        # The data of an end means nothing.
        payloads.append({"data": rng.choice([0x7D, 0x7E, 0]), "end": 1})
    expected = bytes([FLAG]) + b"".join(frame(content) for content in contents)
    dut, line = Framer(), []
    stalls = [None if seed is None else Random(seed + index) for index in range(2)]

    async def send(ctx):
        await put(ctx, dut.i, payloads, stalls=stalls[0])

    async def receive(ctx):
        line.extend(await get(ctx, dut.o, len(expected), stalls=stalls[1]))

    simulate(dut, send, receive, watch=[dut.i, dut.o])
    assert bytes(line) == expected


def test_they_convert_to_rtlil() -> None:
    assert converts(Deframer())
    assert converts(Framer())
