"""What cocotb runs inside the simulator: somebody else's UART at both ends of an echo."""

import os
from random import Random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from cocotbext.uart import UartSink, UartSource

CLOCK_NS = 1000
BYTES = 60


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def an_echo_returns_what_was_sent(dut) -> None:
    cycles, percent = int(os.environ["BIT_CYCLES"]), int(os.environ["PERCENT"])
    baud = 1e9 / (CLOCK_NS * cycles) * (1 + percent / 100)
    cocotb.start_soon(Clock(dut.clk, CLOCK_NS, "ns").start())
    dut.rx.value = 1
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    source, sink = UartSource(dut.rx, baud=baud), UartSink(dut.tx, baud=baud)
    # Anywhere in a clock cycle.
    await Timer(10 * CLOCK_NS + 123, "ns")
    data = bytes([0, 255, 0x55, 0xAA]) + Random(cycles).randbytes(BYTES)
    await source.write(data)
    got = bytearray()
    while len(got) < len(data):
        got += await sink.read(1)
    assert bytes(got) == data
