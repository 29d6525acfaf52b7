"""LambdaConcept ECPIX-5: ECP5-5G, FT2232H."""

from systolic.spec.boards.board import Board, Clock, Programmer, Uart
from systolic.spec.config import ArrayConfig

BOARD = Board(
    name="ecpix5-45f",
    title="LambdaConcept ECPIX-5 45F",
    board_id=10,
    platform="amaranth_boards.ecpix5:ECPIX545Platform",
    clock=Clock(resource="clk100", hz=60_000_000, pll="ecp5"),
    uart=Uart(baud=3_000_000, usb_vendor=0x0403, usb_product=0x6010, usb_interface=1),
    config=ArrayConfig(pe_cols=4, acc_bits=24, diagonal=True),
    programmers=(Programmer(tool="openFPGALoader", arguments=("-b", "ecpix5", "{bitstream}")),),
)
