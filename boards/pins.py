"""Pins of a board: looked up in its amaranth-boards definition, written as constraints."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from amaranth.build import Pins, Platform, Resource, ResourceError, Subsignal

from systolic.spec.boards import Board, BoardError


@dataclass(frozen=True)
class Pin:
    """A port of the top module and the pin it is on.

    Parameters
    ----------
    port : str
        Name of the port.
    pin : str
        Name of the package's pin.
    attributes : dict of str to str
        Electrical standard, as ECP5's constraints name it.
    is_pulled_up : bool
        Whether it reads 1 while nothing drives it.
    """

    port: str
    pin: str
    attributes: dict[str, str] = field(default_factory=dict)
    is_pulled_up: bool = False


def load_platform(board: Board) -> Platform:
    """Definition of a board in amaranth-boards.

    Raises
    ------
    BoardError
        If there is no such definition.
    """
    module, _, name = board.platform.partition(":")
    try:
        return getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise BoardError(f"{board.name}: no definition {board.platform} ({error})") from None


def board_pins(board: Board, platform: Platform) -> tuple[Pin, ...]:
    """Pins of a board's top module: ``clk``, ``rx``, ``tx``, and those that are held.

    Raises
    ------
    BoardError
        If the definition has no such resource.
    """
    clock = _lookup(board, platform, board.clock.resource)
    # The electrical standard of the clock's pin is that of the others where nothing is said.
    standard = {name: text for name, text in _attributes(clock).items() if name == "IO_TYPE"}
    pins = [Pin("clk", _pin(clock), standard)]
    if board.uart.rx:
        names = {"rx": board.uart.rx, "tx": board.uart.tx}
    else:
        uart = _lookup(board, platform, "uart")
        names = {part.name: _pin(part) for part in uart.ios if part.name in ("rx", "tx")}
    # A line that nobody drives must read 1, as an idle line does.
    pins.append(Pin("rx", names["rx"], standard, is_pulled_up=True))
    pins.append(Pin("tx", names["tx"], standard))
    pins += [Pin(held.name, held.pin, standard) for held in board.held]
    return tuple(pins)


def input_clock_hz(board: Board, platform: Platform) -> float:
    """Frequency of a board's clock input."""
    clock = _lookup(board, platform, board.clock.resource).clock
    if clock is None:
        raise BoardError(f"{board.name}: {board.clock.resource!r} of {board.platform} is no clock")
    return clock.frequency


def pcf(pins: Sequence[Pin]) -> str:
    """Constraints of nextpnr-ice40."""
    lines: list[str] = []
    for pin in pins:
        pullup = "-pullup yes " if pin.is_pulled_up else ""
        lines.append(f"set_io {pullup}{pin.port} {pin.pin}\n")
    return "".join(lines)


def lpf(pins: Sequence[Pin]) -> str:
    """Constraints of nextpnr-ecp5."""
    lines: list[str] = []
    for pin in pins:
        attributes = pin.attributes | ({"PULLMODE": "UP"} if pin.is_pulled_up else {})
        options = "".join(f" {name}={text}" for name, text in attributes.items())
        lines.append(f'LOCATE COMP "{pin.port}" SITE "{pin.pin}";\n')
        lines.append(f'IOBUF PORT "{pin.port}"{options};\n')
    return "".join(lines)


def _lookup(board: Board, platform: Platform, name: str) -> Resource:
    try:
        return platform.lookup(name, 0)
    except ResourceError:
        raise BoardError(f"{board.name}: {board.platform} has no resource {name!r}") from None


def _pin(part: Resource | Subsignal) -> str:
    pins = part.ios[0]
    assert isinstance(pins, Pins)
    return pins.names[0]


def _attributes(part: Resource | Subsignal) -> dict[str, str]:
    return {name: str(value) for name, value in part.attrs.items()}
