"""tinyVision UPduino v3: iCE40 UP5K, FT232H whose two lines to the FPGA are also the flash's."""

from systolic.spec.boards.board import Board, Clock, Held, Programmer, Uart
from systolic.spec.config import ArrayConfig

BOARD = Board(
    name="upduino-v3",
    title="tinyVision UPduino v3",
    board_id=4,
    platform="amaranth_boards.upduino_v3:UpduinoV3Platform",
    # Its own oscillator: that of the chip is off by up to a tenth, too much for a UART.
    clock=Clock(resource="clk12", hz=24_000_000, pll="core"),
    # The flash's clock and data in; the flash lets go of them while it is not selected.
    uart=Uart(baud=3_000_000, rx="15", tx="14", usb_vendor=0x0403, usb_product=0x6014),
    held=(Held(name="flash_cs_n", pin="16", level=1),),
    # TFLite's rounding alone: at these pins, hardly any seed places a chip that is 98 % full.
    config=ArrayConfig(pe_cols=4, acc_bits=24, onnx=False),
    first_seed=3,
    programmers=(Programmer(tool="iceprog", arguments=("{bitstream}",)),),
    notes="close the OSC jumper (12 MHz to pin 20); plug it in again after programming",
)
