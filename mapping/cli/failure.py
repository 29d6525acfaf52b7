"""What ends a verb: a failure that is reported in one line."""

from collections.abc import Generator
from contextlib import contextmanager


class Failure(Exception):  # noqa: N818 - it is the outcome of a command, not a bug
    """The command cannot be done, or its outcome is bad; the message is for the user."""


@contextmanager
def reported(*kinds: type[Exception], about: str = "") -> Generator[None]:
    """Turn the exceptions that a user can cause into a :class:`Failure` with their message.

    Parameters
    ----------
    *kinds : exception classes
        Those; all others pass, and are reported as internal errors.
    about : str
        What the message is about, such as a file's name, to put in front.
    """
    try:
        yield
    except kinds as error:
        prefix = f"{about}: " if about else ""
        raise Failure(prefix + describe(error)) from error


def describe(error: Exception) -> str:
    """Message of an exception in one line; of an :exc:`OSError`, the file and the reason."""
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename is not None else ""
        return f"{name}{error.strerror.lower()}"
    return " ".join(str(error).split()) or type(error).__name__
