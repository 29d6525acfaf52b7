"""Runs on a device, for the command line: which one, what for, and what came out."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import click
from numpy.typing import NDArray

from host.check import check_stream
from host.device import Device, board_name, identify
from host.errors import DeviceError
from host.ports import board_url, list_usb_ports
from host.runtime import Outputs, Runtime
from mapping.cli.display import busy, progress
from mapping.cli.failure import Failure, reported
from mapping.cli.subject import to_program
from mapping.compiler import compile_network
from mapping.errors import MappingError
from mapping.network import Network
from mapping.presets import PRESETS
from mapping.program import Program
from sim.check import CheckReport, check_program
from systolic.spec.boards import Board, BoardError, all_boards, board_named
from systolic.spec.config import ArrayConfig

__all__ = ["Target", "find_device", "program_for", "run_on_device"]

RECONNECTS: Final = 3


@dataclass(frozen=True)
class Target:
    """A device that is to be used.

    Parameters
    ----------
    url : str
        Where it is.
    board : Board or None
        The board it must be on.
    timeout_s : float
        Longest silence.
    """

    url: str
    board: Board | None
    timeout_s: float

    @property
    def title(self) -> str:
        """What to call it."""
        return f"{self.board.name} at {self.url}" if self.board is not None else self.url


def find_device(url: str | None, board: str | None, timeout_s: float) -> Target | None:
    """Device that is named by its URL, its board or both; None if it is by neither.

    Raises
    ------
    click.UsageError
        If there is no such board.
    Failure
        If no port, or more than one, can be the board's.
    """
    if board is None:
        return Target(url, None, timeout_s) if url is not None else None
    try:
        found = board_named(board)
    except BoardError as error:
        raise click.UsageError(str(error)) from None
    with reported(DeviceError):
        return Target(url or board_url(found, list_usb_ports()), found, timeout_s)


def program_for(
    target: Target, subject: Network | Program, name: str, config_name: str | None
) -> Program:
    """Program for a device: for a configuration that is named, else its board's, else its own.

    Raises
    ------
    Failure
        If the device does not answer, its configuration is not known, or the network does not fit.
    """
    if isinstance(subject, Program) or config_name is not None:
        return to_program(subject, name, config_name)
    config = target.board.config if target.board is not None else _ask_config(target)
    title = subject.info.name or Path(name).stem
    with busy(f"compiling {title}"), reported(MappingError, about=title):
        return compile_network(subject.graph, config, name=title, slots="auto")


def _ask_config(target: Target) -> ArrayConfig:
    """Configuration of a device, found by its digest."""
    with busy(f"asking {target.url}"), reported(DeviceError):
        identity = identify(target.url, timeout_s=target.timeout_s)
    known = (*PRESETS.values(), *(board.config for board in all_boards()))
    for config in known:
        if config.digest == identity.digest:
            return config
    raise Failure(
        f"{target.url}: {board_name(identity)} has a configuration that is not known here "
        f"(digest {identity.digest.hex()}): name it by --config"
    )


def run_on_device(
    target: Target, program: Program, inputs: tuple[NDArray[Any], ...], expected: Outputs
) -> tuple[CheckReport, float]:
    """Run the first image layer by layer, for the counters, then stream all of them.

    Returns
    -------
    CheckReport
        Layers of the first image, outputs of all.
    float
        Seconds that the stream took.

    Raises
    ------
    DeviceError
        Any of :mod:`host.errors`.
    """
    with Device.open(
        target.url, program.config, board=target.board, timeout_s=target.timeout_s
    ) as device:
        runtime = Runtime(device, program)
        first = tuple(array[:1] for array in inputs)
        with busy("running the first image, layer by layer"):
            layers = check_program(device, program, first, None).layers
        images = len(inputs[0])
        started = perf_counter()
        with progress("streaming", images) as step:
            report = check_stream(runtime, inputs, expected, reconnects=RECONNECTS, progress=step)
        seconds = perf_counter() - started
    checked = CheckReport(images, report.outputs, layers, report.compared, report.differing)
    return checked, seconds
