"""The check sequence's shift register, against zlib."""

from hypothesis import given, settings
from hypothesis import strategies as st

from systolic.links.crc32 import Crc32
from systolic.spec.packets import fcs
from tests.systolic.cycles import converts, trace


def bits(data: bytes, *, seal: bool) -> list[dict[str, int]]:
    """Cycles that take these bytes."""
    return [
        {"bit_i": byte >> bit & 1, "step_i": 1, "seal_i": seal, "restart_i": 0}
        for byte in data
        for bit in range(8)
    ]


PAUSE = {"bit_i": 1, "step_i": 0}


@settings(max_examples=20)
@given(st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=3))
def test_sections_follow_each_other(sections: list[bytes]) -> None:
    stimuli: list[dict[str, int]] = []
    shown, checks = [], []
    for section in sections:
        stimuli += [*bits(section, seal=False), PAUSE]
        for byte in fcs(section):
            shown.append((len(stimuli), byte))
            checks += range(len(stimuli), len(stimuli) + 8)
            stimuli += bits(bytes([byte]), seal=True)
    rows = trace(Crc32(), stimuli, "byte_o", "differs_o")
    assert all(rows[at][0] == byte for at, byte in shown)
    assert not any(rows[at][1] for at in checks)


@settings(max_examples=20)
@given(st.binary(min_size=1, max_size=8), st.integers(0, 31))
def test_a_wrong_bit_is_noticed_where_it_is(section: bytes, wrong: int) -> None:
    check = bytearray(fcs(section))
    check[wrong // 8] ^= 1 << wrong % 8
    rows = trace(Crc32(), bits(section, seal=False) + bits(check, seal=True), "differs_o")
    assert [at for at, (differs,) in enumerate(rows[8 * len(section) :]) if differs] == [wrong]


@settings(max_examples=10)
@given(st.binary(max_size=8), st.binary(min_size=1, max_size=8))
def test_a_restart_forgets(forgotten: bytes, section: bytes) -> None:
    stimuli = [*bits(forgotten, seal=False), {"step_i": 0, "restart_i": 1}]
    stimuli += [*bits(section, seal=False), {"step_i": 0}]
    assert trace(Crc32(), stimuli, "byte_o")[-1] == (fcs(section)[0],)


def test_it_converts_to_rtlil() -> None:
    assert converts(Crc32())
