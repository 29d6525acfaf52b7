"""What a user names on the command line: networks, programs and configurations."""

import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

import click
import numpy as np
from numpy.typing import NDArray

from mapping import network as network_file
from mapping.cli.display import busy
from mapping.cli.failure import Failure, reported
from mapping.compiler import SlotCount, compile_network
from mapping.errors import MappingError, ProgramError
from mapping.importers import ModelError, UnsupportedModelError, onnx, qonnx, tflite
from mapping.importers.onnx.parse import load_model
from mapping.network import Network, NetworkFileError, load_network
from mapping.networks import load_included, network_names
from mapping.presets import DEFAULT_PRESET, PRESETS
from mapping.program import Program
from mapping.program import file as program_file
from systolic.spec.config import ArrayConfig, ConfigError

ALIASES: Final = {"digits": "digits_int8"}
CONFIG_MAX_BYTES: Final = 1 << 16
ARCHIVE_MAX_BYTES: Final = 1 << 30
MAX_PROBLEMS_SHOWN: Final = 40
ONNX_SUFFIX: Final = ".onnx"


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--config`` to a command, which receives the text or None."""
    return click.option(
        "--config", "config_name", metavar="CONFIG",
        help=f"A preset ({', '.join(PRESETS)}) or a JSON file; a network's default is "
        f"{DEFAULT_PRESET}, a program's the one it was compiled for.",
    )(command)  # fmt: skip


def load_config(text: str) -> ArrayConfig:
    """Configuration of a preset's name or a JSON file.

    Raises
    ------
    click.UsageError
        If there is no such preset or file.
    Failure
        If the file does not hold a legal configuration.
    """
    if text in PRESETS:
        return PRESETS[text]
    path = _existing(text, f"a preset ({', '.join(PRESETS)})")
    with reported(OSError), path.open("rb") as file:
        data = file.read(CONFIG_MAX_BYTES + 1)
    if len(data) > CONFIG_MAX_BYTES:
        raise Failure(f"{path}: a configuration has at most {CONFIG_MAX_BYTES} bytes")
    with reported(ConfigError, UnicodeDecodeError, about=text):
        return ArrayConfig.from_json(data.decode())


def load_subject(text: str) -> Network | Program:
    """Network or program of an included network's name or a file, told apart by its first bytes.

    Raises
    ------
    click.UsageError
        If there is no such network or file.
    Failure
        If the file is neither, or is damaged.
    """
    name = ALIASES.get(text, text)
    if name in network_names():
        return load_included(name)
    path = _existing(text, f"an included network ({', '.join((*ALIASES, *network_names()))})")
    with reported(OSError, NetworkFileError, ProgramError):
        with path.open("rb") as file:
            magic = file.read(len(network_file.FORMAT.magic))
        if magic == network_file.FORMAT.magic:
            return load_network(path)
        if magic == program_file.FORMAT.magic:
            return Program.load(path)
    if tflite.has_identifier(magic):
        return _load_model(tflite.load_tflite, path)
    if path.suffix == ONNX_SUFFIX:  # the format has no mark of its own
        return _load_model(_load_onnx, path)
    raise Failure(
        f"{path}: neither a network, a TensorFlow Lite, an ONNX (*{ONNX_SUFFIX}) nor a program "
        f"file (its first bytes are {magic!r})"
    )


def _load_onnx(path: Path) -> Network:
    """Import a model by the importer that knows its quantizers."""
    model = load_model(path)
    if qonnx.is_qonnx(model):
        return qonnx.import_records(model, path.stem).network
    return onnx.import_records(model, path.stem).network


def _load_model(load: Callable[[Path], Network], path: Path) -> Network:
    """Import a model; everything that is not supported gets a line."""
    try:
        with reported(OSError):
            return load(path)
    except UnsupportedModelError as error:
        count = len(error.problems)
        lines = [f"{path}: {count} thing{'s are' if count > 1 else ' is'} not supported:"]
        lines += [f"  {problem}" for problem in error.problems[:MAX_PROBLEMS_SHOWN]]
        if count > MAX_PROBLEMS_SHOWN:
            lines.append(f"  and {count - MAX_PROBLEMS_SHOWN} more")
        raise Failure("\n".join(lines)) from error
    except ModelError as error:
        raise Failure(f"{path}: {error}") from error


def _existing(text: str, otherwise: str | None = None) -> Path:
    """Path of a file; ``otherwise`` is what the text may name instead."""
    path = Path(text)
    if path.is_dir():
        raise click.UsageError(f"{text} is a folder, not a file")
    if not path.exists():
        is_file = f"neither {otherwise} nor a file" if otherwise is not None else "no file"
        raise click.UsageError(f"{text!r} is {is_file}")
    return path


def to_program(
    subject: Network | Program,
    name: str,
    config_name: str | None,
    slots: SlotCount = "auto",
    *,
    default: ArrayConfig = PRESETS[DEFAULT_PRESET],
    prune: bool = True,
    stream: bool = True,
) -> Program:
    """Program of a subject: compiled, or checked to be for the configuration that is named.

    Parameters
    ----------
    subject : Network or Program
        What was loaded.
    name : str
        How the user named it.
    config_name : str or None
        How the user named a configuration.
    slots : 1, 2 or "auto"
        Slots to compile a network with.
    default : ArrayConfig
        What to compile a network for if no configuration is named.
    prune : bool
        Whether to remove channels that no result depends on.
    stream : bool
        Whether to cut what does not fit into parts.

    Raises
    ------
    Failure
        If the network does not fit, or the program is for another configuration.
    """
    if isinstance(subject, Network):
        config = default if config_name is None else load_config(config_name)
        title = subject.info.name or Path(name).stem
        with busy(f"compiling {title}"), reported(MappingError, about=title):
            return compile_network(
                subject.graph, config, name=title, slots=slots, prune=prune, stream=stream
            )
    if config_name is not None:
        check_config(subject, name, load_config(config_name), config_name)
    return subject


def check_config(program: Program, name: str, config: ArrayConfig, config_name: str) -> None:
    """Refuse a program that was compiled for another configuration, naming the fields."""
    if program.config.digest == config.digest:
        return
    made, wanted = asdict(program.config), asdict(config)
    fields = [f"{key} {made[key]}, not {wanted[key]}" for key in made if made[key] != wanted[key]]
    raise Failure(
        f"{name}: compiled for another configuration than {config_name} "
        f"({'; '.join(fields)}): compile the network again"
    )


def load_inputs(paths: tuple[str, ...]) -> tuple[NDArray[Any], ...]:
    """Arrays of ``.npy`` files; nothing in them is ever executed.

    Raises
    ------
    click.UsageError
        If a file is missing.
    Failure
        If a file does not hold one array.
    """
    arrays: list[NDArray[Any]] = []
    for text in paths:
        path = _existing(text)
        # Mapped, not read: a hostile header cannot ask for more memory than the file has bytes.
        with reported(OSError, ValueError, EOFError, about=text):
            array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise Failure(f"{text}: must hold one array (.npy), not several")
        arrays.append(cast("NDArray[Any]", array))
    return tuple(arrays)


def load_archive(text: str) -> dict[str, NDArray[Any]]:
    """Arrays of an ``.npz`` file by name; nothing in them is ever executed.

    Raises
    ------
    click.UsageError
        If the file is missing.
    Failure
        If it is no such file, or its arrays together take more than 1 GiB.
    """
    path = _existing(text)
    kinds = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
    with reported(*kinds, about=text):
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
        if total > ARCHIVE_MAX_BYTES:
            raise Failure(f"{text}: its arrays must take at most 1 GiB, not {total:,} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}


def config_json(config: ArrayConfig) -> str:
    """Configuration as readable JSON, which ``--config`` takes."""
    return json.dumps(asdict(config), indent=2)
