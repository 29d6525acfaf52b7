"""The verb run: on a simulator, or on a device."""

import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

import click
from amaranth.hdl import UnusedElaboratable
from click.core import ParameterSource

from host.errors import DeviceError
from host.protocol import DEFAULT_TIMEOUT_S
from mapping import reference
from mapping.cli.commands import clock_option, show_remarks
from mapping.cli.display import busy, facts, print_table, progress, shape_text, table, time_text
from mapping.cli.failure import Failure, reported
from mapping.cli.main import verbose_option
from mapping.cli.subject import (
    ALIASES,
    config_option,
    load_subject,
    to_program,
)
from mapping.network import Network
from mapping.networks import network_names
from mapping.program import Program
from mapping.reference import AccumulatorOverflowError
from sim.board.run import Target, find_device, program_for, run_on_device
from sim.check import CheckReport, Outputs, check_program, count_right
from sim.compiled import CompilerError, NetlistError, SimulationTimeout, YosysError
from sim.functional import FunctionalSimulator, SimulationError
from sim.inputs import Batch, check_batch, held_out_digits, random_batch, user_batch
from sim.results import check_target, save_results
from sim.rtl import RtlError, RtlSimulator
from sim.runner import Simulator, run_network

Kind = Literal["functional", "rtl"]
SIMULATOR_ERRORS = (
    CompilerError, NetlistError, OSError, RtlError, SimulationError, SimulationTimeout, YosysError,
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Options of a run, as on the command line."""

    simulator: Kind
    images: int | None
    inputs: tuple[str, ...]
    target: Path | None
    labels: str | None
    vcd: Path | None
    vcd_depth: int
    clock_mhz: float | None
    device: str | None
    board: str | None
    timeout_s: float

    @property
    def has_device(self) -> bool:
        """Whether it is to run on a device."""
        return self.device is not None or self.board is not None


@click.command("run")
@click.argument("subject", metavar="NETWORK|PROGRAM")
@config_option
@click.option(
    "--simulator",
    type=click.Choice(["functional", "rtl"]),
    default="rtl",
    show_default=True,
    help="rtl simulates the gateware, cycle by cycle.",
)
@click.option(
    "--images",
    type=click.IntRange(min=1),
    help="How many images; by default all that come with the network, or 10 random ones.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="FILE",
    help="An .npy file of shape (n, ...) to run on; once per input of the network. Or an .npz file "
    "with x and, for the accuracy, y.",
)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the results: a network's only output to an .npy file, several ones to an .npz file "
    "as y0, y1 ...",
)
@click.option("--labels", metavar="FILE.npy", help="The inputs' right classes: print the accuracy.")
@click.option(
    "--vcd",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also record the waveform of the first image.",
)
@click.option(
    "--vcd-depth",
    type=click.IntRange(1, 8),
    default=1,
    show_default=True,
    help="Levels of hierarchy in the waveform; each one multiplies time and size.",
)
@click.option(
    "--device",
    metavar="URL",
    help="Run on a device instead: serial:///dev/ttyUSB1, socket://HOST:PORT, sim://rtl ...",
)
@click.option(
    "--board",
    metavar="BOARD",
    help="Run on a board instead; without --device it is looked for by its USB ids.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    help="Longest silence of a device, in seconds.",
)
@clock_option
@verbose_option
def run_command(subject: str, config_name: str | None, **options: object) -> None:  # fmt: skip
    """Run a network or a compiled program, and check every output and every cycle.

    It runs in simulation, or on a device. The outputs of a network are compared with the reference
    interpreter's; those of a program, which holds no network, with the functional simulator's.
    """
    chosen = Options(**options)  # type: ignore[arg-type]  # click has checked them
    source = click.get_current_context().get_parameter_source("simulator")
    if chosen.has_device and (source is ParameterSource.COMMANDLINE or chosen.vcd is not None):
        raise click.UsageError("--simulator and --vcd are for runs without a device")
    if chosen.vcd is not None:
        if chosen.simulator != "rtl":
            raise click.UsageError("--vcd needs --simulator rtl")
        if not chosen.vcd.parent.is_dir():
            raise click.UsageError(f"the folder of {chosen.vcd} does not exist")
    if chosen.target is not None:
        check_target(chosen.target)
    loaded = load_subject(subject)
    device = find_device(chosen.device, chosen.board, chosen.timeout_s)
    if device is None:
        program = to_program(loaded, subject, config_name)
    else:
        program = program_for(device, loaded, subject, config_name)
    batch = _choose_batch(loaded, program, ALIASES.get(subject, subject), chosen)
    with reported(*SIMULATOR_ERRORS, DeviceError):
        expected = _expected(loaded, program, batch, chosen)
        if device is None:
            report, seconds = _simulate(program, batch, expected, chosen)
        else:
            assert expected is not None  # it is missing only for the functional simulator
            report, seconds = run_on_device(device, program, batch.inputs, expected)
    _show(program, report, device.title if device else f"{chosen.simulator} simulator", chosen)
    _show_speed(report, seconds, device)
    _show_checks(loaded, report, batch)
    if chosen.target is not None:
        is_network = isinstance(loaded, Network)
        done = loaded.ends.finish(report.outputs) if is_network else report.outputs
        save_results(chosen.target, done)
        facts(written=f"{chosen.target}, {chosen.target.stat().st_size:,} bytes")
    if chosen.vcd is not None:
        _record(program, batch, chosen.vcd, chosen.vcd_depth)
    if not report.is_good:
        raise Failure(_complaint(report))


def _choose_batch(
    loaded: Network | Program, program: Program, name: str, options: Options
) -> Batch:
    if options.labels is not None and not options.inputs:
        raise click.UsageError("--labels needs --input")
    if options.inputs:
        network = loaded if isinstance(loaded, Network) else None
        batch = user_batch(network, options.inputs, options.labels)
        with reported(ValueError):
            check_batch(program, batch.inputs)
    elif isinstance(loaded, Network) and name in network_names():
        batch = held_out_digits(loaded)
    else:
        return random_batch(program, options.images) if options.images else random_batch(program)
    available = len(batch.inputs[0])
    if options.images is not None and options.images > available:
        raise click.UsageError(f"--images must be at most {available}, not {options.images}")
    return batch.first(options.images)


def _simulate(
    program: Program, batch: Batch, expected: Outputs | None, options: Options
) -> tuple[CheckReport, float]:
    """Run on a simulator; the report, and the seconds it took."""
    simulator = _make_simulator(program, options.simulator)
    started = perf_counter()
    with progress("running", len(batch.inputs[0])) as step:
        report = check_program(simulator, program, batch.inputs, expected, step)
    return report, perf_counter() - started


def _expected(
    loaded: Network | Program, program: Program, batch: Batch, options: Options
) -> Outputs | None:
    """What the outputs must be, from something that shares nothing with the simulator."""
    if isinstance(loaded, Network):
        with busy("computing the reference"), reported(AccumulatorOverflowError):
            return reference.run(loaded.graph, *batch.inputs)
    if options.simulator == "functional" and not options.has_device:
        return None
    with progress("functional simulator", len(batch.inputs[0])) as step:
        simulator = FunctionalSimulator(program.config)
        return run_network(simulator, program, *batch.inputs, progress=step)[0]


def _make_simulator(program: Program, kind: Kind) -> Simulator:
    if kind == "functional":
        return FunctionalSimulator(program.config)
    with busy("building the RTL simulator (kept for the next time; the first takes a minute)"):
        return _build(program)


def _build(program: Program, trace_depth: int = 0) -> RtlSimulator:
    # An interruption leaves a half-made design behind; Amaranth would complain of each component.
    warnings.simplefilter("ignore", UnusedElaboratable)
    return RtlSimulator(program.config, trace_depth=trace_depth)


def _show(program: Program, report: CheckReport, where: str, options: Options) -> None:
    """Print the layers: predicted and counted, and what that makes."""
    layers = table(
        f"{program.name} on {program.config}, {where}",
        "<layer", "output", "MACs", "predicted", "counted", "util.", "<bound by",
    )  # fmt: skip
    for layer in report.layers:
        record = layer.record
        counted = " or ".join(f"{count:,}" for count in layer.cycles)
        layers.add_row(
            record.name, shape_text(record.out_shape), f"{record.macs:,}", f"{record.cycles:,}",
            counted, f"{record.utilisation:.1%}", record.bound,
        )  # fmt: skip
    layers.add_section()
    layers.add_row(
        "total", "", f"{program.macs:,}", f"{program.cycles:,}", f"{report.cycles:,}", "", ""
    )
    print_table(layers)
    if options.clock_mhz is not None and report.cycles:
        facts(time=time_text(report.cycles, options.clock_mhz))


def _show_speed(report: CheckReport, seconds: float, device: Target | None) -> None:
    if device is None:
        facts(simulated=f"{report.cycles * report.images:,} cycles in {seconds:.1f} s")
    else:
        rate = report.images / seconds
        facts(streamed=f"{report.images:,} images in {seconds:.2f} s, {rate:,.0f} images/s")


def _show_checks(loaded: Network | Program, report: CheckReport, batch: Batch) -> None:
    """Print what was compared with what, and the accuracy if there are labels."""
    facts(inputs=f"{report.images:,} {batch.source}")
    if report.unpredicted:
        facts(cycles=f"NOT as predicted in {', '.join(report.unpredicted)}")
    else:
        facts(cycles="as predicted, in every layer of every image")
    if not report.compared:
        facts(
            outputs="not compared: a program holds no network, and this simulator is the reference"
        )
    else:
        oracle = "reference" if isinstance(loaded, Network) else "functional simulator"
        facts(
            outputs=f"{report.compared:,} compared with the {oracle}, {report.differing:,} differ"
        )
    if not isinstance(loaded, Network):
        return
    show_remarks(loaded)
    if batch.labels is None:
        return
    scores = loaded.ends.finish(report.outputs)[0].reshape(report.images, -1)
    if not (batch.labels.min() >= 0 and batch.labels.max() < scores.shape[1]):
        raise Failure(
            f"labels must be 0..{scores.shape[1] - 1}, "
            f"not {batch.labels.min()}..{batch.labels.max()}"
        )
    right = count_right(scores, batch.labels)
    known = None if batch.is_from_user else loaded.info.float_accuracy
    before = f"; {known:.1%} in float, before quantization" if known is not None else ""
    facts(accuracy=f"{right / report.images:.1%} ({right:,} of {report.images:,}{before})")


def _complaint(report: CheckReport) -> str:
    parts: list[str] = []
    if report.differing:
        parts.append(f"{report.differing:,} of {report.compared:,} outputs differ")
    if report.unpredicted:
        parts.append(f"cycles are not as predicted in {', '.join(report.unpredicted)}")
    return "; ".join(parts)


def _record(program: Program, batch: Batch, path: Path, depth: int) -> None:
    """Write the waveform of the first image; the file appears whole or not at all."""
    with (
        reported(*SIMULATOR_ERRORS),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.") as folder,
    ):
        with busy("building the RTL simulator with probes"):
            simulator = _build(program, depth)
        part = Path(folder) / "waveform"
        with busy("recording the waveform of one image"), simulator.trace(part):
            run_network(simulator, program, *batch.first(1).inputs)
        part.chmod(0o644)  # temporary files start private
        os.replace(part, path)
    facts(waveform=f"{path}, {path.stat().st_size:,} bytes")
