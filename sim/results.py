"""Files that a run's results are written to."""

from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from mapping.cli.failure import Failure, reported

SUFFIXES = (".npy", ".npz")


def check_target(target: Path) -> None:
    """Refuse a file that results could not be written to, before there are any.

    Raises
    ------
    click.UsageError
        If its name or its folder will not do.
    """
    if target.suffix not in SUFFIXES:
        raise click.UsageError(f"{target} must end in {' or '.join(SUFFIXES)}")
    if not target.parent.is_dir():
        raise click.UsageError(f"the folder of {target} does not exist")


def save_results(target: Path, results: tuple[NDArray[Any], ...]) -> None:
    """Write one array to an .npy file, or any number of them to an .npz file as y0, y1 ...

    Raises
    ------
    Failure
        If the file cannot be written, or is for one array and there are several.
    """
    if target.suffix == ".npz":
        with reported(OSError):
            np.savez(
                target, allow_pickle=False, **{f"y{i}": each for i, each in enumerate(results)}
            )
        return
    if len(results) != 1:
        raise Failure(f"{target} holds one array, not {len(results)}: name an .npz file")
    with reported(OSError):
        np.save(target, results[0], allow_pickle=False)
