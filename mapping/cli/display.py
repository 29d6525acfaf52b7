"""What the program shows: tables within 100 columns on standard output, progress on standard error.

Progress appears only on a terminal, so that logs and pipes stay clean.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

WIDTH = 100


@contextmanager
def busy(message: str) -> Generator[None]:
    """Show that something of unknown length goes on."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(message):
        yield


@contextmanager
def progress(message: str, total: int) -> Generator[Callable[[int], None]]:
    """Show a bar; what is returned takes the number of steps done."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task(message, total=total)
        yield lambda done: bars.update(task, completed=done)


def table(title: str, *columns: str) -> Table:
    """Make an empty table; columns whose name starts with ``<`` are aligned left."""
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        is_text = column.startswith("<")
        made.add_column(
            column.removeprefix("<"),
            justify="left" if is_text else "right",
            overflow="fold",
            no_wrap=not is_text,
        )
    return made


def print_table(made: Table) -> None:
    """Print a table on standard output, without blanks at the ends of lines."""
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    with console.capture() as captured:
        console.print(made)
    lines = captured.get().rstrip().splitlines()
    click.echo("\n".join([*(line.rstrip() for line in lines), ""]))


def facts(**lines: str) -> None:
    """Print named lines, the names one below the other."""
    for name, text in lines.items():
        click.echo(f"{name.replace('_', ' '):<10} {text}")


def shape_text(shape: tuple[int, ...]) -> str:
    """Extents joined, such as ``8x8x16``."""
    return "x".join(map(str, shape))


def time_text(cycles: float, clock_mhz: float) -> str:
    """Duration of that many cycles, and how many such runs fit into a second."""
    microseconds = cycles / clock_mhz
    duration = f"{microseconds / 1e3:,.2f} ms" if microseconds >= 1e3 else f"{microseconds:,.1f} us"
    return f"{duration} per image at {clock_mhz:g} MHz, {1e6 / microseconds:,.0f} images/s"
