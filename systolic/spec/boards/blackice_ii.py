"""myStorm BlackIce II: iCE40 HX4K (the die of HX8K); an STM32 loads it, a CH340 is the port."""

from systolic.spec.boards.board import Board, Clock, Programmer, Uart
from systolic.spec.config import ArrayConfig

BOARD = Board(
    name="blackice-ii",
    title="myStorm BlackIce II",
    board_id=5,
    platform="amaranth_boards.blackice_ii:BlackIceIIPlatform",
    clock=Clock(resource="clk100", hz=80_000_000, pll="core"),
    uart=Uart(baud=1_000_000, usb_vendor=0x1A86, usb_product=0x7523),
    config=ArrayConfig(
        pe_cols=4, acc_bits=24, digit_bits=2, scratchpad_words=512, requantize_cycles=12,
        multiplier="fabric",
    ),
    # The STM32 takes the bitstream as it comes through its serial port.
    programmers=(
        Programmer(tool="cp", arguments=("{bitstream}", "/dev/ttyACM0"), device="/dev/ttyACM0"),
    ),
)  # fmt: skip
