"""The host's view: commands, bursts, identity, counters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systolic.spec.config import ArrayConfig
from systolic.spec.registers import (
    BURST_WORDS,
    FLAG_RESUME,
    FLAG_STEP,
    HEADER_BYTES,
    IDENTITY_BYTES,
    REGISTER_BYTES,
    Command,
    Identity,
    Registers,
    bursts,
    encode_command,
    identity,
)


def test_a_command_is_opcode_flags_address_and_low_byte_of_the_last() -> None:
    command = encode_command(Command.READ, addr=0x1234, last=0x12FF, flags=FLAG_STEP | FLAG_RESUME)
    assert command == bytes([2, 3, 0x34, 0x12, 0xFF])
    assert len(command) == HEADER_BYTES


@given(st.integers(0, 63535), st.integers(0, 2000))
def test_bursts_cover_each_word_once_and_end_where_a_command_can_tell(
    addr: int, count: int
) -> None:
    words = []
    for first, length in bursts(addr, count):
        assert 1 <= length <= BURST_WORDS
        last = encode_command(Command.WRITE, addr=first, last=first + length - 1)[-1]
        # The first word whose low byte equals the command's is the burst's last.
        assert next(word for word in range(first, first + 256) if word % 256 == last) == (
            first + length - 1
        )
        words += range(first, first + length)
    assert words == list(range(addr, addr + count))


def test_identity_names_the_configuration() -> None:
    config = ArrayConfig()
    assert len(identity(config)) == IDENTITY_BYTES
    assert identity(config) == b"SYST\x02\x00\x00\x00" + config.digest
    assert identity(ArrayConfig(onnx=False)) != identity(config)


def test_an_identity_is_what_its_bytes_say() -> None:
    told = Identity(bytes(range(8)), window_log2=8, board_id=3, clock_mhz=24)
    assert told.encode() == b"SYST" + bytes([2, 8, 3, 24]) + bytes(range(8))
    assert Identity.decode(told.encode()) == told


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not the identity"),
        (b"SYST", "not the identity"),
        (b"SYSU" + bytes(12), "53 59 53 55 .* is not the identity of an accelerator"),
        (b"SYST\x01" + bytes(11), "speaks version 1, not 2"),
    ],
)
def test_other_bytes_are_no_identity(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Identity.decode(data)


@pytest.mark.parametrize(("cycles", "busy"), [(0, 0), (0x123456, 0x654321), (0xFFFFFF, 1)])
def test_registers_are_identity_and_two_counters(cycles: int, busy: int) -> None:
    name = identity(ArrayConfig())
    width = (REGISTER_BYTES - IDENTITY_BYTES) // 2
    data = name + cycles.to_bytes(width, "little") + busy.to_bytes(width, "little")
    assert Registers.decode(data) == Registers(name, cycles, busy)
