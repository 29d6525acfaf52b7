# amaranth: UnusedElaboratable=no
"""The requantizer against its contract, accumulator by accumulator."""

from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from systolic.requantizer import Requantizer
from systolic.spec.arithmetic import output_code, requantize_hardware
from systolic.spec.rounding import MULTIPLIER_BITS, Rounding, spread_limbs

WEIGHT_BITS = 4


@dataclass(frozen=True)
class Case:
    """One result: its parts, most significant first, and its channel's parameters."""

    parts: tuple[int, ...]
    bias: int
    multiplier: int
    constant: int

    @property
    def value(self) -> int:
        """Parts joined, bias added once, to the whole."""
        value = 0
        for part in self.parts:
            value = (value << WEIGHT_BITS) + part
        return value + self.bias


def random_cases(rng, *, count, acc_bits, parts):
    """Random results, most of them at a step between codes, and the extremes."""
    top = 1 << (acc_bits - 1)
    cases = [
        Case((0,) * (parts - 1) + (value,), 0, multiplier, constant)
        for value in (top - 1, -top, 0, -1, 1)
        for multiplier, constant in (((1 << 48) - 1, 1 << 15), (1 << 47, 0), (0, 0))
    ]
    room = WEIGHT_BITS * (parts - 1) + 2
    while len(cases) < count:
        reach = top >> int(rng.integers(room, acc_bits - 1)) or 1
        pieces = tuple(int(part) for part in rng.integers(-reach, reach, parts))
        bias = int(rng.integers(-reach, reach))
        value = Case(pieces, bias, 0, 0).value or 1
        exponent = int(rng.integers(-1, 16))
        constant = 1 << exponent if exponent >= 0 else 0
        # The edges at which the rounding constant, or a float32 tie's window, makes the difference.
        below = int(rng.integers(0, 256)) >> int(rng.integers(0, 8))
        window = 1 << (below.bit_length() + 22)
        edge = (2 * below + 1) << 46
        edge += (0, -(constant << 30), window, -window)[rng.integers(0, 4)]
        multiplier = edge // abs(value) + int(rng.integers(0, 2))
        cases.append(Case(pieces, bias, min((1 << 48) - 1, multiplier), constant))
    return cases


def tag_of(case):
    """What goes with a result."""
    return case.multiplier % 3 == 0


def expected_codes(cases, rounding, zero, lo, hi):
    columns = np.array([(case.value, 0, case.multiplier, case.constant) for case in cases]).T
    return output_code(requantize_hardware(*columns, rounding), zero, lo, hi).tolist()


def simulate(dut, cases, *, cycles, interval, onnx, zero, lo, hi):
    """Codes and the cycles in which they came, counted from each result's last slot."""
    slots = [(case, index) for case in cases for index in range(len(case.parts))]
    ends = [n * interval for n, (case, index) in enumerate(slots) if index == len(case.parts) - 1]
    per_channel = (
        (dut.bias_i, "bias", dut.bias_offset),
        (dut.multiplier_i, "multiplier", dut.multiplier_offset),
        (dut.round_i, "constant", dut.round_offset),
    )
    codes, times, tags = [], [], []

    async def bench(ctx):
        for signal, value in (
            (dut.onnx_i, onnx),
            (dut.zero_i, zero),
            (dut.lo_i, lo),
            (dut.hi_i, hi),
        ):
            ctx.set(signal, value)
        for cycle in range(len(slots) * interval + dut.latency + 1):
            slot, phase = divmod(cycle, interval)
            starts = phase == 0 and slot < len(slots)
            ctx.set(dut.valid_i, starts)
            if starts:
                case, index = slots[slot]
                ctx.set(dut.acc_i, case.parts[index])
                ctx.set(dut.first_i, index == 0)
                is_last = index == len(case.parts) - 1
                ctx.set(dut.last_i, is_last)
                ctx.set(dut.tag_i, is_last and tag_of(case))
            else:
                ctx.set(dut.acc_i, 1)
                ctx.set(dut.tag_i, 0)
            for signal, name, offset in per_channel:
                slot, phase = divmod(cycle - offset, interval)
                holds = 0 <= slot < len(slots) and phase < cycles
                value = getattr(slots[slot][0], name) if holds else 1
                # In DSPs, each limb of the multiplier comes in a unit of its own.
                is_spread = name == "multiplier" and len(signal) > MULTIPLIER_BITS
                ctx.set(signal, spread_limbs(value) if is_spread else value)
            if ctx.get(dut.valid_o):
                codes.append(ctx.get(dut.code_o))
                times.append(cycle)
                tags.append(ctx.get(dut.tag_o))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert tags == [tag_of(case) for case in cases]
    return codes, [time - end for time, end in zip(times, ends, strict=True)]


def check(*, acc_bits=32, cycles, style, rounding, parts=1, interval=None, count=40, seed=0):
    rng = np.random.default_rng(seed)
    cases = random_cases(rng, count=count, acc_bits=acc_bits, parts=parts)
    codes = {"zero": int(rng.integers(0, 256)), "lo": int(rng.integers(0, 100)), "hi": 250}
    dut = Requantizer(
        acc_bits=acc_bits,
        weight_bits=WEIGHT_BITS,
        cycles=cycles,
        style=style,
        roundings=[rounding.value] if seed % 2 else ["tflite", "onnx"],
    )

    result, latencies = simulate(
        dut,
        cases,
        cycles=cycles,
        interval=interval or cycles,
        onnx=rounding is Rounding.ONNX,
        **codes,
    )

    assert result == expected_codes(cases, rounding, **codes)
    assert set(latencies) == {dut.latency}


STYLES = [("dsp", 1), ("dsp", 2), ("dsp", 3), ("fabric", 4), ("fabric", 8), ("fabric", 16)]


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize(("style", "cycles"), STYLES)
def test_codes_are_those_of_the_contract(style, cycles, rounding):
    for seed in range(2):
        check(style=style, cycles=cycles, rounding=rounding, seed=seed)


@pytest.mark.parametrize(
    ("style", "cycles"), [("fabric", n) for n in (6, 12, 24, 48)] + [("dsp", 48)]
)
def test_every_number_of_cycles_works(style, cycles):
    check(style=style, cycles=cycles, rounding=Rounding.TFLITE, count=60)


@pytest.mark.parametrize("cycles", [24, 48])
@pytest.mark.parametrize("parts", [1, 2])
def test_slow_ones_keep_what_they_need_until_the_next(cycles, parts):
    for pause in (0, 1, 30):
        check(
            style="fabric", cycles=cycles, interval=cycles + pause, parts=parts,
            rounding=Rounding.TFLITE, acc_bits=20, count=40, seed=pause,
        )  # fmt: skip


@pytest.mark.parametrize(("style", "cycles"), [("dsp", 2), ("fabric", 8)])
@pytest.mark.parametrize("acc_bits", [16, 17, 24, 31])
def test_narrow_accumulators_work_up_to_their_extremes(style, cycles, acc_bits):
    check(acc_bits=acc_bits, style=style, cycles=cycles, rounding=Rounding.ONNX)


@pytest.mark.parametrize(("style", "cycles"), [("dsp", 1), ("dsp", 2), ("fabric", 12)])
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_are_joined_and_give_one_code(style, cycles, parts):
    check(style=style, cycles=cycles, parts=parts, rounding=Rounding.TFLITE, count=25)


@pytest.mark.parametrize(("style", "cycles"), [("dsp", 1), ("dsp", 2), ("fabric", 8)])
def test_slots_may_be_longer_than_their_work(style, cycles):
    check(style=style, cycles=cycles, interval=cycles + 3, rounding=Rounding.ONNX)


@settings(max_examples=12)
@given(
    st.sampled_from(STYLES),
    st.sampled_from(list(Rounding)),
    st.integers(16, 32),
    st.integers(1, 2),
    st.integers(0, 3),
    st.integers(0, 2**16),
)
def test_random_configurations_keep_the_contract(style, rounding, acc_bits, parts, pause, seed):
    check(
        style=style[0],
        cycles=style[1],
        rounding=rounding,
        acc_bits=acc_bits,
        parts=parts,
        interval=style[1] + pause,
        count=22,
        seed=seed,
    )


def test_a_wrong_constant_is_noticed():
    class Broken(Requantizer):
        @property
        def round_offset(self):
            return super().round_offset + 1

    cases = random_cases(np.random.default_rng(3), count=60, acc_bits=32, parts=1)
    dut = Broken(acc_bits=32, weight_bits=4, cycles=2, style="dsp", roundings=["tflite"])

    codes, _ = simulate(dut, cases, cycles=2, interval=2, onnx=0, zero=128, lo=0, hi=255)

    assert codes != expected_codes(cases, Rounding.TFLITE, 128, 0, 255)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acc_bits": 15}, "acc_bits must be in 16..32, not 15"),
        ({"acc_bits": 33}, "acc_bits must be in 16..32, not 33"),
        ({"weight_bits": 9}, "weight_bits must be in 1..8, not 9"),
        ({"style": "lut"}, "style must be one of dsp, fabric, not 'lut'"),
        ({"cycles": 5}, "cycles must divide 48 and be at least 1 in dsp, not 5"),
        ({"cycles": 0}, "cycles must divide 48 and be at least 1 in dsp, not 0"),
        (
            {"style": "fabric", "cycles": 3},
            "cycles must divide 48 and be at least 4 in fabric, not 3",
        ),
        ({"roundings": ()}, "roundings must not be empty"),
        ({"roundings": ("floor",)}, "'floor' is not a valid Rounding"),
    ],
)
def test_parameters_out_of_range_are_refused(change, message):
    parameters = {
        "acc_bits": 32,
        "weight_bits": 8,
        "cycles": 2,
        "style": "dsp",
        "roundings": ("tflite",),
    }
    with pytest.raises(ValueError, match=message):
        Requantizer(**parameters | change)


@pytest.mark.parametrize("style", ["dsp", "fabric"])
def test_requantizer_converts_to_rtlil(style):
    dut = Requantizer(acc_bits=32, weight_bits=8, cycles=8, style=style, roundings=("tflite",))

    assert "code_o" in rtlil.convert(dut)
