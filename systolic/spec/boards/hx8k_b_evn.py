"""Lattice iCE40-HX8K breakout board: FT2232H."""

from systolic.spec.boards.board import Board, Clock, Programmer, Uart
from systolic.spec.config import ArrayConfig

BOARD = Board(
    name="hx8k-b-evn",
    title="Lattice iCE40-HX8K-B-EVN",
    board_id=2,
    platform="amaranth_boards.ice40_hx8k_b_evn:ICE40HX8KBEVNPlatform",
    clock=Clock(resource="clk12", hz=81_000_000, pll="core"),
    uart=Uart(baud=3_000_000, usb_vendor=0x0403, usb_product=0x6010, usb_interface=1),
    # 32 block RAMs are all its memory: two columns need half as many for their accumulators as
    # four, and 12 are left for the scratchpad, 6 KB.
    config=ArrayConfig(
        cols=2, pe_cols=2, acc_bits=24, scratchpad_words=768, requantize_cycles=12,
        multiplier="fabric", skew="registers",
    ),
    programmers=(
        Programmer(tool="iceprog", arguments=("-S", "{bitstream}")),
        Programmer(tool="openFPGALoader", arguments=("-b", "ice40_generic", "-f", "{bitstream}")),
    ),
    notes="set the jumpers for the SRAM, which iceprog -S loads, or openFPGALoader's flash",
)  # fmt: skip
