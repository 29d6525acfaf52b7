"""One board: its chip and clock, its link to the host, and the accelerator that suits it.

Plain data, so that the gateware's build and the host agree on a board without either of them
importing the other.
"""

from dataclasses import dataclass
from typing import Final, Literal

from systolic.spec.config import ArrayConfig

MAX_BOARD_ID: Final = 255
MIN_BIT_CLOCKS: Final = 4
"""Clocks per bit that the receiver needs (see :mod:`systolic.links.uart`)."""

MAX_BAUD_ERROR: Final = 0.01
"""Half of what the receiver bears; the other half is the host's."""


class BoardError(ValueError):
    """A board that cannot work; the message names the field, the limit and the value."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Where the clock comes from and how fast the accelerator runs.

    Parameters
    ----------
    resource : str
        Clock input, by its name in the board's platform, which also tells its frequency.
    hz : int
        Clock of the accelerator.
    pll : "none", "pad", "core" or "ecp5"
        What can make it of the input: nothing; an iCE40 PLL fed from its own pin (of UP5K only pin
        35) or from inside the chip; an ECP5 PLL. Where both are the same, the PLL is left out.
    """

    resource: str
    hz: int
    pll: Literal["none", "pad", "core", "ecp5"] = "none"


@dataclass(frozen=True, kw_only=True)
class Uart:
    """Serial port to the host, 8N1.

    Parameters
    ----------
    baud : int
        Bits per second, what the board's USB bridge does reliably.
    rx, tx : str
        The FPGA's pins; empty where the platform has a resource ``uart``, whose pins are taken.
    usb_vendor, usb_product : int
        USB ids of the bridge, by which the host finds the port.
    usb_interface : int or None
        Interface of a bridge with several ports, counted from 0; None if there is one port only.
    """

    baud: int
    usb_vendor: int
    usb_product: int
    usb_interface: int | None = None
    rx: str = ""
    tx: str = ""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A pin that must be held at a level, such as the select of a chip that shares our pins.

    Parameters
    ----------
    name : str
        Name of the port in the top module.
    pin : str
        The FPGA's pin.
    level : int
        0 or 1.
    """

    name: str
    pin: str
    level: int


@dataclass(frozen=True, kw_only=True)
class Programmer:
    """A tool that loads a bitstream into the board.

    Parameters
    ----------
    tool : str
        Program's name.
    arguments : tuple of str
        Its arguments; ``{bitstream}`` stands for the file.
    device : str
        Device file that must be there, for a tool that does not look itself.
    """

    tool: str
    arguments: tuple[str, ...]
    device: str = ""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board that accelerators are built for.

    Parameters
    ----------
    name : str
        What the command line calls it.
    title : str
        What its maker calls it.
    board_id : int, 1..255
        The number a device gives as its identity; never reused. (0 is a device without a board.)
    platform : str
        ``module:class`` of its definition in amaranth-boards: chip, package and pins.
    clock, uart : Clock, Uart
        Clock and link.
    config : ArrayConfig
        What is built unless another configuration is named.
    programmers : tuple of Programmer
        Tools that can load it, the best first; the first that is installed is used.
    held : tuple of Held
        Pins that need a level.
    window_log2 : int
        Logarithm of the receive buffer's bytes; 0 for none (one request at a time).
    first_seed : int
        Seed of the first placement that is tried: one that does well where the chip is full.
    notes : str
        What its user must know, in a sentence.

    Raises
    ------
    BoardError
        If the id is out of range, or the baud rate does not fit the clock.
    """

    name: str
    title: str
    board_id: int
    platform: str
    clock: Clock
    uart: Uart
    config: ArrayConfig
    programmers: tuple[Programmer, ...]
    held: tuple[Held, ...] = ()
    window_log2: int = 8
    first_seed: int = 1
    notes: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.board_id <= MAX_BOARD_ID:
            raise BoardError(f"board_id must be between 1 and {MAX_BOARD_ID}, not {self.board_id}")
        check_baud(self.clock.hz, self.uart.baud)


def check_baud(clock_hz: int, baud: int) -> None:
    """Refuse a baud rate that a clock cannot be divided down to.

    Raises
    ------
    BoardError
        If a bit takes too few clocks, or the nearest divisor is too far off.
    """
    if baud < 1 or clock_hz < MIN_BIT_CLOCKS * baud:
        raise BoardError(
            f"baud must be between 1 and {clock_hz // MIN_BIT_CLOCKS} "
            f"({MIN_BIT_CLOCKS} clocks of {clock_hz / 1e6:g} MHz per bit), not {baud}"
        )
    error = clock_hz / (round(clock_hz / baud) * baud) - 1
    if abs(error) > MAX_BAUD_ERROR:
        raise BoardError(
            f"baud {baud} is {error:+.1%} off at {clock_hz / 1e6:g} MHz; at most "
            f"{MAX_BAUD_ERROR:.0%} is allowed: take another rate, or a clock near a multiple of it"
        )
