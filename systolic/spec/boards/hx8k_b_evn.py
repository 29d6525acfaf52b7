"""Lattice iCE40-HX8K breakout board: FT2232H."""

from systolic.spec.boards.board import Board, Clock, Programmer, Uart
from systolic.spec.config import ArrayConfig

BOARD = Board(
    name="hx8k-b-evn",
    title="Lattice iCE40-HX8K-B-EVN",
    board_id=2,
    platform="amaranth_boards.ice40_hx8k_b_evn:ICE40HX8KBEVNPlatform",
    clock=Clock(resource="clk12", hz=84_000_000, pll="core"),
    uart=Uart(baud=3_000_000, usb_vendor=0x0403, usb_product=0x6010, usb_interface=1),
    # 32 block RAMs: half of them are the scratchpad.
    config=ArrayConfig(
        pe_cols=4, acc_bits=24, scratchpad_words=256, requantize_cycles=12, multiplier="fabric"
    ),
    programmers=(
        Programmer(tool="iceprog", arguments=("-S", "{bitstream}")),
        Programmer(tool="openFPGALoader", arguments=("-b", "ice40_generic", "-f", "{bitstream}")),
    ),
    notes="iceprog -S loads the SRAM: set the jumpers to CRAM programming (openFPGALoader: flash)",
)
