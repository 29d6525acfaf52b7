"""The scratchpad: one port, data that stays."""

from hypothesis import given, settings
from hypothesis import strategies as st

from systolic.scratchpad import Scratchpad
from tests.systolic.cycles import converts, trace

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["read", "write", "idle"]), st.integers(0, 10), st.integers(0, 2**16)
    ),
    max_size=80,
)


@settings(max_examples=50)
@given(OPERATIONS)
def test_what_was_read_last_stays(operations: list[tuple[str, int, int]]) -> None:
    words, shown, stimuli, expected = {}, None, [], []
    for kind, addr, value in [*[("write", addr, addr) for addr in range(11)], *operations]:
        stimuli.append(
            {
                "addr_i": addr,
                "read_en_i": kind == "read",
                "write_en_i": kind == "write",
                "write_data_i": value,
            }
        )
        expected.append(shown)
        if kind == "write":
            words[addr] = value
        elif kind == "read":
            shown = words[addr]
    rows = trace(Scratchpad(word_bits=17, depth=11), stimuli, "read_data_o")
    for (got,), wanted in zip(rows, expected, strict=True):
        assert wanted is None or got == wanted


def test_it_converts_to_rtlil() -> None:
    assert converts(Scratchpad(word_bits=16, depth=64))
