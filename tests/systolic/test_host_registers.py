"""Identity and counters, byte by byte."""

from random import Random

from systolic.host_registers import HostRegisters
from systolic.spec.registers import REGISTER_BYTES, Identity, Registers
from tests.systolic.cycles import converts, trace

TOLD = Identity(bytes(range(200, 208)), window_log2=8, board_id=3, clock_mhz=24)


def read(dut: HostRegisters, stimuli: list[dict[str, int]]) -> Registers:
    """Registers behind these cycles."""
    still = {"clear_i": 0, "running_i": 0, "stream_i": 1}
    reads = [{**still, "index_i": index} for index in range(REGISTER_BYTES)]
    rows = trace(dut, [*stimuli, *reads], "byte_o")
    return Registers.decode(bytes(byte for (byte,) in rows[len(stimuli) :]))


def test_cycles_are_counted_while_a_program_runs() -> None:
    rng = Random(1)
    stimuli = [
        {"running_i": rng.randrange(2), "stream_i": rng.randrange(2), "clear_i": 0}
        for _ in range(700)
    ]
    stimuli[100] |= {"clear_i": 1, "running_i": 0}
    counted = [each for each in stimuli[101:] if each["running_i"]]
    busy = sum(each["stream_i"] for each in counted)
    assert read(HostRegisters(TOLD), stimuli) == Registers(TOLD.encode(), len(counted), busy)
    assert len(counted) > 256


def test_it_converts_to_rtlil() -> None:
    assert converts(HostRegisters(TOLD))
