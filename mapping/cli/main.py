"""The program ``systolic``: finds the verb, runs it, and reports how it ended.

Exit status: 0 done, 1 failed, 2 the command line cannot be understood, 130 interrupted.
"""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Final

import click

from mapping.cli.failure import Failure, describe

VERBS: Final = "systolic.commands"
"""Entry point group in which packages name their verbs."""

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


@dataclass
class Session:
    """What holds for one start of the program.

    Parameters
    ----------
    verbose : bool
        Whether a failure is shown with its trace.
    """

    verbose: bool = False


class Verbs(click.Group):
    """A group whose commands are the verbs of all installed packages, imported when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the verbs."""
        return sorted(entry_points(group=VERBS).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Verb of a name, or None."""
        for entry in entry_points(group=VERBS, name=cmd_name):
            return entry.load()
        return None


def _be_verbose(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).verbose = True


def verbose_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``-v`` to a command."""
    return click.option(
        "-v", "--verbose", is_flag=True, is_eager=True, expose_value=False, callback=_be_verbose,
        help="Show the trace of a failure.",
    )(command)  # fmt: skip


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="systolic")
@verbose_option
@click.pass_context
def program(context: click.Context) -> None:
    """Map quantized networks onto bit-level systolic arrays, and run them.

    A NETWORK is the name of an included one (digits, digits_int4) or a file; a CONFIG is the name
    of a preset (default, up5k, int4, tiny) or a JSON file.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status; a failure is one line on standard error.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; by default the process's own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    session = Session()
    try:
        with program.make_context("systolic", words, obj=session) as context:
            program.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "systolic"
        usage = " ".join(error.format_message().split())
        return _report(session, f"{usage} (see {path} --help)", USAGE)
    except Failure as error:
        return _report(session, str(error), FAILED)
    except (KeyboardInterrupt, click.Abort):
        return _report(session, "interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has seen enough; Python must not flush into the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        kind = type(error).__name__
        return _report(session, f"internal error: {kind}: {describe(error)} (-v: trace)", FAILED)
    return 0


def _report(session: Session, message: str, status: int) -> int:
    """Write the message, mostly one line, after the trace if it is wanted; return the status."""
    if session.verbose:
        traceback.print_exc()
    click.echo(f"systolic: {message}", err=True)
    return status
