"""The UART against cocotbext-uart's, on Icarus Verilog."""

import importlib.util
import shutil
from pathlib import Path

import pytest
from amaranth import Module
from amaranth.back import rtlil
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from sim.compiled.yosys import run_yosys
from systolic.links.uart import UartReceiver, UartTransmitter

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus Verilog"),
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("cocotb", "cocotb_tools", "cocotbext"))),
        reason="needs cocotb and cocotbext-uart",
    ),
]


class Echo(wiring.Component):
    """Sends what it receives; the lines' rates may differ by some bytes.

    Members
    -------
    rx : ``In(1)``
        Line in.
    tx : ``Out(1)``
        Line out.
    """

    def __init__(self, *, bit_cycles: int) -> None:
        self._bit_cycles = bit_cycles
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(bit_cycles=self._bit_cycles)
        m.submodules.waiting = waiting = fifo.SyncFIFOBuffered(width=8, depth=16)
        m.submodules.transmitter = transmitter = UartTransmitter(bit_cycles=self._bit_cycles)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            waiting.w_data.eq(receiver.byte_o),
            waiting.w_en.eq(receiver.valid_o),
            self.tx.eq(transmitter.tx),
        ]
        wiring.connect(m, waiting.r_stream, transmitter.i)
        return m


@pytest.mark.parametrize("percent", [0, -2, 2])
@pytest.mark.parametrize("cycles", [4, 16])
def test_somebody_elses_uart_understands_ours_and_is_understood(
    cycles: int, percent: int, tmp_path: Path
) -> None:
    from cocotb_tools.runner import get_runner

    (tmp_path / "echo.il").write_text(rtlil.convert(Echo(bit_cycles=cycles), name="echo"))
    run_yosys("read_rtlil echo.il; proc; memory_collect; write_verilog echo.v", tmp_path)
    runner = get_runner("icarus")
    runner.build(
        sources=[tmp_path / "echo.v"],
        hdl_toplevel="echo",
        build_dir=tmp_path / "build",
        timescale=("1ns", "1ns"),
    )
    results = runner.test(
        test_module="tests.links.uart_bench",
        hdl_toplevel="echo",
        build_dir=tmp_path / "build",
        test_dir=tmp_path,
        extra_env={
            "BIT_CYCLES": str(cycles),
            "PERCENT": str(percent),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )
    report = results.read_text(encoding="utf-8")
    assert "<testcase" in report
    assert "<failure" not in report
    assert "<error" not in report
