"""The driver's verb: devices."""

import click

from host.device import board_name, identify
from host.errors import DeviceError, TransportError
from host.ports import Port, candidates, list_usb_ports, port_url
from mapping.cli.display import busy, facts
from mapping.cli.failure import Failure
from mapping.cli.main import verbose_option
from mapping.presets import PRESETS
from systolic.spec.boards import all_boards
from systolic.spec.registers import Identity


@click.command("devices")
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option(
    "--identify",
    "is_asked",
    is_flag=True,
    help="Ask what is behind each port (resets it if it is an accelerator).",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    default=0.5,
    show_default=True,
    help="Seconds to wait for each answer.",
)
@verbose_option
def devices_command(urls: tuple[str, ...], is_asked: bool, timeout_s: float) -> None:
    """List the ports that boards may be on, or ask who answers at each URL.

    A port is listed if its USB ids are those of a known board. With --identify, or for URLs that
    are given, such as socket://localhost:4321, the device itself is asked: its board, its clock and
    its configuration.
    """
    if urls:
        failed = [url for url in urls if not _show_identity(url, timeout_s)]
        if failed:
            raise Failure(f"{len(failed)} of {len(urls)} did not answer as an accelerator")
        return
    ports = [port for port in list_usb_ports() if candidates(port)]
    if not ports:
        known = sorted({(b.uart.usb_vendor, b.uart.usb_product) for b in all_boards()})
        ids = ", ".join(f"{vendor:04x}:{product:04x}" for vendor, product in known)
        raise Failure(f"no port of a known board (USB {ids}) is there: is it plugged in?")
    _show_ports(ports)
    if is_asked:
        for port in ports:
            rates = dict.fromkeys(port_url(port, board) for board in candidates(port))
            any(_show_identity(url, timeout_s) for url in rates)


def _show_ports(ports: list[Port]) -> None:
    for port in ports:
        boards = candidates(port)
        title = " ".join(filter(None, (port.title, port.serial_number)))
        click.echo(f"{port.name}: USB {port.vendor:04x}:{port.product:04x} {title}".rstrip())
        facts(
            can_be=", ".join(board.name for board in boards),
            url=" or ".join(dict.fromkeys(port_url(port, board) for board in boards)),
        )


def _show_identity(url: str, timeout_s: float) -> bool:
    """Print who answers; False if nobody does."""
    try:
        with busy(f"asking {url}"):
            identity = identify(url, timeout_s=timeout_s, attempts=2)
    except TransportError as error:
        facts(**{url: error.reason})
        return False
    except DeviceError as error:
        facts(**{url: str(error).removeprefix(f"{url}: ")})
        return False
    facts(**{url: identity_text(identity)})
    return True


def identity_text(identity: Identity) -> str:
    """What a device says about itself, in one line."""
    names = [name for name, config in PRESETS.items() if config.digest == identity.digest]
    names += [b.name for b in all_boards() if b.config.digest == identity.digest]
    clock = f"{identity.clock_mhz} MHz" if identity.clock_mhz else "clock not known"
    config = f"configuration {identity.digest.hex()} ({', '.join(names) or 'not a known one'})"
    return f"{board_name(identity)}, {clock}, {config}"
