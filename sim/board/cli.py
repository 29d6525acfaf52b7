"""The simulated board's verb: serve."""

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Final, get_args

import click

from host.transport import Transport
from mapping.cli.display import busy, facts
from mapping.cli.failure import Failure, reported
from mapping.cli.main import verbose_option
from mapping.cli.subject import config_option, load_config
from mapping.presets import DEFAULT_PRESET
from sim.board.faults import FaultRates, FaultSource, FaultyTransport
from sim.board.server import Door, Server, open_door
from sim.board.transport import MAX_SEED, DeviceKind, SimTransport, make_device
from sim.compiled import CompilerError, NetlistError, YosysError

DEFAULT_PORT: Final = "tcp:4321"


@click.command("serve")
@click.option(
    "--port", "ports", multiple=True, default=(DEFAULT_PORT,), show_default=True,
    metavar="tcp:NUMBER|pty", help="Where to offer it; may be given several times.",
)  # fmt: skip
@config_option
@click.option(
    "--simulator",
    type=click.Choice(get_args(DeviceKind)),
    default="rtl",
    show_default=True,
    help="rtl is the gateware, cycle by cycle.",
)
@click.option(
    "--faults",
    metavar="NAME=RATE,...",
    help="Damage packets: drop, flip, duplicate, delay, truncate, disconnect or all, such as "
    "all=0.001.",
)
@click.option(
    "--seed", type=click.IntRange(0, MAX_SEED), default=0, show_default=True,
    help="Of the faults.",
)  # fmt: skip
@verbose_option
def serve_command(
    ports: tuple[str, ...],
    config_name: str | None,
    simulator: DeviceKind,
    faults: str | None,
    seed: int,
) -> None:
    """Offer a simulated board to other programs, until interrupted.

    It behaves as a board on a serial port does: systolic devices and systolic run find it by the
    URLs that are printed, and any other program that can speak to a serial port does too.
    """
    config = load_config(config_name or DEFAULT_PRESET)
    with reported(ValueError):
        rates = FaultRates.parse(faults) if faults is not None else None
    with (
        busy("building the simulator (kept for the next time; the first takes a minute)"),
        reported(CompilerError, NetlistError, OSError, YosysError),
    ):
        device = make_device(simulator, config)

    def connect() -> Transport:
        line = SimTransport(device)
        return line if source is None else FaultyTransport(line, source)

    source = FaultSource(rates, seed) if rates is not None else None
    serve(connect, ports)


def serve(connect: Callable[[], Transport], ports: tuple[str, ...]) -> None:
    """Serve at these ports until interrupted; see :func:`sim.board.server.open_door`.

    Raises
    ------
    Failure
        If a port cannot be opened.
    """
    doors: list[Door] = []
    with ExitStack() as opened:
        for text in ports:
            try:
                door = open_door(text)
            except ValueError as error:
                raise click.UsageError(str(error)) from None
            except OSError as error:
                # Python's own text is longer, and names the address again.
                reason = os.strerror(error.errno).lower() if error.errno else str(error)
                raise Failure(f"{text}: {reason}: choose another port") from error
            opened.callback(door.close)
            doors.append(door)
        server = opened.enter_context(Server(connect, doors))
        for url in server.urls:
            facts(serving=url)
        sys.stdout.flush()  # for who waits for it at the other end of a pipe
        with suppress(KeyboardInterrupt):
            server.run()
