"""Lattice iCEstick: iCE40 HX1K, FT2232H. As small as an accelerator gets."""

from systolic.spec.boards.board import Board, Clock, Programmer, Uart
from systolic.spec.config import ArrayConfig

BOARD = Board(
    name="icestick",
    title="Lattice iCEstick",
    board_id=3,
    platform="amaranth_boards.icestick:ICEStickPlatform",
    clock=Clock(resource="clk12", hz=48_000_000, pll="core"),
    uart=Uart(baud=3_000_000, usb_vendor=0x0403, usb_product=0x6010, usb_interface=1),
    # 1,280 logic cells: the least of everything, no buffer of requests.
    config=ArrayConfig(
        rows=4, cols=1, weight_bits=2, digit_bits=1, acc_bits=16, acc_depth=16,
        scratchpad_words=512, out_pixels=16, requantize_cycles=48, multiplier="fabric",
        onnx=False, table=False,
    ),
    programmers=(
        Programmer(tool="iceprog", arguments=("{bitstream}",)),
        Programmer(tool="openFPGALoader", arguments=("-b", "ice40_generic", "-f", "{bitstream}")),
    ),
    window_log2=0,
)  # fmt: skip
