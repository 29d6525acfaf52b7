"""The host's view: identity and counters."""

import pytest

from systolic.spec.config import ArrayConfig
from systolic.spec.registers import (
    IDENTITY_BYTES,
    REGISTER_BYTES,
    Identity,
    Registers,
    identity,
)


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
