"""The mapper's verbs: compile, listing, info."""

from dataclasses import asdict
from math import isnan
from pathlib import Path

import click

from mapping.cli.display import facts, print_table, shape_text, table, time_text
from mapping.cli.failure import reported
from mapping.cli.main import verbose_option
from mapping.cli.subject import (
    ALIASES,
    config_json,
    config_option,
    load_config,
    load_subject,
    to_program,
)
from mapping.compiler import SlotCount
from mapping.errors import ProgramError
from mapping.line import line_lines
from mapping.network import Network
from mapping.networks import network_names
from mapping.presets import DEFAULT_PRESET, PRESETS
from mapping.program import Program
from mapping.program.memory import layer_words
from systolic.spec.boards import Board, BoardError, board_named
from systolic.spec.config import ArrayConfig


def _check_number(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    if value is not None and isnan(value):  # no range excludes it
        raise click.BadParameter("must be a number")
    return value


clock_option = click.option(
    "--clock-mhz",
    type=click.FloatRange(min=0, min_open=True, max=1e6),
    callback=_check_number,
    help="Also show cycles as time at this clock.",
)
baud_option = click.option(
    "--baud",
    type=click.IntRange(min=1),
    help="Also show what an image takes on a serial line of this rate and, with --clock-mhz, "
    "whether that or the array bounds a stream of images.",
)


@click.command("compile")
@click.argument("network")
@config_option
@click.option(
    "--board", "board_name", metavar="BOARD",
    help="Compile for a board's configuration, and show times at its clock and its line's rate.",
)  # fmt: skip
@click.option("-o", "--output", "target", type=click.Path(dir_okay=False, path_type=Path),
              help="Program file to write.")  # fmt: skip
@click.option(
    "--slots",
    type=click.Choice(["1", "2", "auto"]),
    default="auto",
    show_default=True,
    help="Memory for how many inputs and outputs: with 2, one is transferred while the other runs; "
    "auto takes 2 where they fit.",
)
@click.option("--no-prune", is_flag=True, help="Keep channels that no result depends on.")
@click.option(
    "--no-stream",
    is_flag=True,
    help="Refuse a network that does not fit the memory at once, instead of cutting it into parts "
    "that are sent while the array works.",
)
@clock_option
@baud_option
@verbose_option
def compile_command(
    network: str,
    config_name: str | None,
    board_name: str | None,
    target: Path | None,
    slots: str,
    no_prune: bool,
    no_stream: bool,
    clock_mhz: float | None,
    baud: int | None,
) -> None:
    """Compile NETWORK to a program, and show what it takes."""
    subject = load_subject(network)
    if not isinstance(subject, Network):
        raise click.UsageError(f"{network} is a program already: see it with systolic info")
    if target is not None and not target.parent.is_dir():
        raise click.UsageError(f"the folder of {target} does not exist")
    counts: dict[str, SlotCount] = {"1": 1, "2": 2, "auto": "auto"}
    default = PRESETS[DEFAULT_PRESET]
    if board_name is not None:
        board = _board(board_name)
        default = board.config
        clock_mhz, baud = clock_mhz or board.clock.hz / 1e6, baud or board.uart.baud
    program = to_program(
        subject, network, config_name, counts[slots],
        default=default, prune=not no_prune, stream=not no_stream,
    )  # fmt: skip
    show_program(program, clock_mhz, baud)
    show_remarks(subject)
    if target is not None:
        with reported(OSError, ProgramError):
            program.save(target)
        facts(written=f"{target}, {target.stat().st_size:,} bytes")


def _board(name: str) -> Board:
    try:
        return board_named(name)
    except BoardError as error:
        raise click.UsageError(str(error)) from None


@click.command("listing")
@click.argument("subject")
@config_option
@verbose_option
def listing_command(subject: str, config_name: str | None) -> None:
    """Print the instructions of SUBJECT, a program or a network to be compiled."""
    program = to_program(load_subject(subject), subject, config_name)
    with reported(ProgramError):
        for line in program.listing():
            click.echo(line)


@click.command("info")
@click.argument("subject", required=False)
@verbose_option
def info_command(subject: str | None) -> None:
    """Describe SUBJECT: a network, a program, a preset or a configuration in a .json file.

    Without one, name the networks and presets that are included.
    """
    if subject is None:
        _show_names()
    elif subject in PRESETS or subject.endswith(".json"):
        _show_config(load_config(subject))
    else:
        loaded = load_subject(subject)
        if isinstance(loaded, Network):
            _show_network(loaded)
        else:
            show_program(loaded)


def show_program(program: Program, clock_mhz: float | None = None, baud: int | None = None) -> None:
    """Print a program's layers, cycles and memory, and what bounds it."""
    pruned = [layer.pruned_text for layer in program.layers]
    layers = table(
        f"{program.name} on {program.config}",
        "<layer", "output", "MACs", "words", "cycles", "busy", "util.", "<bound by",
        *(["<pruned"] if any(pruned) else []),
    )  # fmt: skip
    words = layer_words(program)
    for layer, text, taken in zip(program.layers, pruned, words, strict=True):
        layers.add_row(
            layer.name, shape_text(layer.out_shape), f"{layer.macs:,}", f"{taken:,}",
            f"{layer.cycles:,}", f"{layer.busy_cycles:,}", f"{layer.utilisation:.1%}", layer.bound,
            *([text] if any(pruned) else []),
        )  # fmt: skip
    layers.add_section()
    layers.add_row(
        "total", "", f"{program.macs:,}", f"{sum(words):,}", f"{program.cycles:,}",
        f"{sum(layer.busy_cycles for layer in program.layers):,}", "", "",
    )  # fmt: skip
    print_table(layers)
    facts(
        memory=_memory_text(program),
        slots=_slots_text(program),
        **({"parts": _parts_text(program)} if program.is_streamed else {}),
        cycles=f"{program.cycles:,} per image",
    )
    if clock_mhz is not None:
        facts(time=time_text(program.cycles, clock_mhz))
    facts(**line_lines(program, clock_mhz, baud))


def show_remarks(network: Network) -> None:
    """Print what the importer said of a network."""
    for remark in network.info.remarks:
        facts(remark=remark)


def _memory_text(program: Program) -> str:
    config = program.config
    used = max(part.place.stop for part in program.runs(program.slots[0]))
    words = used - program.load_address
    what = "parts" if program.is_streamed else "weights and code"
    return (
        f"{used:,} of {config.scratchpad_words:,} words of {config.word_bits} bits "
        f"({used / config.scratchpad_words:.0%}): activations {program.load_address:,}, "
        f"{what} {words:,}"
    )


def _parts_text(program: Program) -> str:
    return (
        f"{len(program.parts)}, of which {len(program.streamed)} are sent again for every image: "
        f"{program.streamed_bytes:,} of {len(program.image):,} bytes"
    )


def _slots_text(program: Program) -> str:
    if len(program.slots) > 1:
        return f"{len(program.slots)}: one image can be transferred while another one runs"
    if program.is_streamed:
        return "1: parts are sent while others run"
    missing = program.slot_deficit_bytes
    return f"1: a second one would need {missing:,} bytes more" if missing else "1"


def _show_network(network: Network) -> None:
    info = network.info
    graph = network.graph
    nodes = table(info.name or "network", "node", "<kind", "<name", "<inputs", "<result", "MACs")
    for index, node in graph.order():
        nodes.add_row(
            str(index), node.KIND, node.name, ", ".join(map(str, node.inputs)),
            str(graph.types[index]), f"{graph.macs(index):,}" if graph.macs(index) else "",
        )  # fmt: skip
    nodes.add_section()
    nodes.add_row("", "total", "", "", "", f"{graph.total_macs:,}")
    print_table(nodes)
    facts(
        about=info.description or "-",
        labels=", ".join(info.labels) or "-",
        outputs=", ".join(f"node {index}" for index in graph.outputs),
        weights=f"{graph.total_weights:,}",
        host=str(network.ends),
        scale=f"{info.input_scale:g} per step of the input",
    )
    show_remarks(network)
    if info.float_accuracy is not None:
        facts(accuracy=f"{info.float_accuracy:.1%} in float, before quantization")


def _show_config(config: ArrayConfig) -> None:
    click.echo(config_json(config))
    facts(
        name=str(config),
        digest=config.digest.hex(),
        rate=f"{config.rows * config.cols / config.max_digits:g} MACs per cycle with 8-bit "
        f"activations, {config.rows * config.cols} with {config.digit_bits}-bit ones",
        memory=f"{config.scratchpad_words:,} words of {config.word_bits} bits, "
        f"{config.scratchpad_words * config.word_bytes:,} bytes",
    )


def _show_names() -> None:
    facts(networks=", ".join((*ALIASES, *network_names())))
    presets = table("presets", "<name", "<array", "<other than default")
    defaults = asdict(ArrayConfig())
    for name, config in PRESETS.items():
        fields = asdict(config).items()
        changed = ", ".join(f"{key} {value}" for key, value in fields if value != defaults[key])
        presets.add_row(name, str(config), changed or "-")
    print_table(presets)
