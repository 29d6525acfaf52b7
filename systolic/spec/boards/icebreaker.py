"""1BitSquared iCEBreaker: iCE40 UP5K, FT2232H."""

from systolic.spec.boards.board import Board, Clock, Programmer, Uart
from systolic.spec.config import ArrayConfig

BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    board_id=1,
    platform="amaranth_boards.icebreaker:ICEBreakerPlatform",
    clock=Clock(resource="clk12", hz=30_000_000, pll="pad"),
    uart=Uart(baud=3_000_000, usb_vendor=0x0403, usb_product=0x6010, usb_interface=1),
    config=ArrayConfig(pe_cols=4, acc_bits=24),
    programmers=(
        Programmer(tool="iceprog", arguments=("{bitstream}",)),
        Programmer(tool="openFPGALoader", arguments=("-b", "ice40_generic", "-f", "{bitstream}")),
    ),
)
