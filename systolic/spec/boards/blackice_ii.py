"""myStorm BlackIce II: iCE40 HX4K (the die of HX8K); an STM32 loads it, a CH340 is the port."""

from systolic.spec.boards.board import Board, Clock, Programmer, Uart
from systolic.spec.config import ArrayConfig

BOARD = Board(
    name="blackice-ii",
    title="myStorm BlackIce II",
    board_id=5,
    platform="amaranth_boards.blackice_ii:BlackIceIIPlatform",
    clock=Clock(resource="clk100", hz=75_000_000, pll="core"),
    uart=Uart(baud=1_000_000, usb_vendor=0x1A86, usb_product=0x7523),
    # As on the HX8K board: block RAM is what there is least of.
    config=ArrayConfig(
        cols=2, pe_cols=2, acc_bits=24, scratchpad_words=768, requantize_cycles=12,
        multiplier="fabric", skew="registers",
    ),
    # The STM32 takes the bitstream as it comes through its serial port.
    programmers=(
        Programmer(tool="cp", arguments=("{bitstream}", "/dev/ttyACM0"), device="/dev/ttyACM0"),
    ),
)  # fmt: skip
