"""MuseLab iCESugar: iCE40 UP5K; an iCELink loads it and is the port."""

from systolic.spec.boards.board import Board, Clock, Programmer, Uart
from systolic.spec.config import ArrayConfig

BOARD = Board(
    name="icesugar",
    title="MuseLab iCESugar",
    board_id=6,
    platform="amaranth_boards.icesugar:ICESugarPlatform",
    clock=Clock(resource="clk12", hz=30_000_000, pll="pad"),
    uart=Uart(baud=115_200, usb_vendor=0x1D50, usb_product=0x602B),
    config=ArrayConfig(pe_cols=4, acc_bits=24),
    programmers=(Programmer(tool="icesprog", arguments=("{bitstream}",)),),
)
