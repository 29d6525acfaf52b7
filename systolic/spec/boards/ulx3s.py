"""Radiona ULX3S: ECP5 in three sizes, FT231X."""

from dataclasses import replace

from systolic.spec.boards.board import Board, Clock, Held, Programmer, Uart
from systolic.spec.config import ArrayConfig

BOARD = Board(
    name="ulx3s-85f",
    title="Radiona ULX3S 85F",
    board_id=7,
    platform="amaranth_boards.ulx3s:ULX3S_85F_Platform",
    clock=Clock(resource="clk25", hz=60_000_000, pll="ecp5"),
    uart=Uart(baud=3_000_000, usb_vendor=0x0403, usb_product=0x6015),
    # The ESP32's boot select: low, it restarts the board.
    held=(Held(name="esp32_gpio0", pin="L2", level=1),),
    config=ArrayConfig(cols=8, pe_cols=4, acc_bits=24, diagonal=True),
    programmers=(Programmer(tool="openFPGALoader", arguments=("-b", "ulx3s", "{bitstream}")),),
)

BOARD_25F = replace(
    BOARD,
    name="ulx3s-25f",
    title="Radiona ULX3S 25F",
    board_id=8,
    platform="amaranth_boards.ulx3s:ULX3S_25F_Platform",
    config=ArrayConfig(pe_cols=4, acc_bits=24, scratchpad_words=8192, diagonal=True),
)

BOARD_12F = replace(
    BOARD_25F,
    name="ulx3s-12f",
    title="Radiona ULX3S 12F",
    board_id=9,
    platform="amaranth_boards.ulx3s:ULX3S_12F_Platform",
)
