"""What a bitstream takes and how fast it is, from the reports of place-and-route."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from boards.flow import Flow

_LEVELS: Final = 2
"""Levels of the hierarchy that make a component's name."""

_AROUND: Final = ("link", "accelerator")
"""Modules around everything else, whose names are left out."""

UNNAMED: Final = "(shared)"
"""Component of logic that synthesis has merged and named after nothing in particular."""

_CELL_LOGIC: Final = {"SB_LUT4": 1, "LUT4": 1, "CCU2C": 2}
_FLIP_FLOPS: Final = ("SB_DFF", "TRELLIS_FF")


@dataclass(frozen=True)
class Usage:
    """Of one kind of resource: how many are used, and how many there are."""

    name: str
    used: int
    available: int

    @property
    def fits(self) -> bool:
        """Whether there are enough."""
        return self.used <= self.available

    @property
    def share(self) -> float:
        """Used share of what there is."""
        return self.used / self.available if self.available else 0.0


@dataclass(frozen=True)
class Segment:
    """A stretch of the critical path within one component, and the wires that leave its cells."""

    component: str
    logic_ns: float
    routing_ns: float


@dataclass(frozen=True)
class Placed:
    """Result of one seed.

    Parameters
    ----------
    seed : int
        nextpnr's seed.
    fmax_mhz : float
        Highest clock frequency by its static timing analysis.
    usage : tuple of Usage
        What is used; logic cells first.
    critical_path : tuple of Segment
        The slowest path, from register to register.
    """

    seed: int
    fmax_mhz: float
    usage: tuple[Usage, ...]
    critical_path: tuple[Segment, ...]


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """Everything worth knowing of a build.

    Parameters
    ----------
    board : str
        Board's name.
    config : dict
        Fields of the :class:`~systolic.spec.config.ArrayConfig`.
    config_digest : str
        Its digest, in hex: what the device tells as its identity.
    chip : str
        Chip and package as nextpnr calls them.
    clock_mhz, baud : float, int
        Clock of the accelerator and rate of its UART.
    best : Placed
        The fastest seed's result, which the bitstream is made of.
    seeds : dict of int to float
        Fmax in MHz of all seeds.
    logic : dict of str to int
        LUTs and lone flip-flops by component: what synthesis could tell apart, before packing.
    tools : tuple of str
        Versions.
    build_digest : str
        Digest of all that the bitstream depends on.
    """

    board: str
    config: Mapping[str, Any]
    config_digest: str
    chip: str
    clock_mhz: float
    baud: int
    best: Placed
    seeds: Mapping[int, float]
    logic: Mapping[str, int]
    tools: Sequence[str]
    build_digest: str

    @property
    def meets_timing(self) -> bool:
        """Whether the clock may run as fast as it does."""
        return self.best.fmax_mhz >= self.clock_mhz

    def to_json(self) -> str:
        """Readable JSON of all fields."""
        return json.dumps(asdict(self) | {"meets_timing": self.meets_timing}, indent=2) + "\n"


def component_of(cell: str) -> str:
    """Component that a cell of the flattened netlist belongs to, such as ``core.array``.

    >>> component_of("link.accelerator.accelerator.drain.timer_SB_DFFSR_Q_3_D_SB_LUT4_O_LC")
    'drain'
    >>> component_of("$abc$4711$auto$blifparse.cc:396:parse_blif$4712_LC")
    '(shared)'
    """
    if "$" in cell.partition(".")[0]:
        return UNNAMED
    parts = cell.split(".")[:-1]
    # What all of them are in says nothing.
    while len(parts) > 1 and parts[0] in _AROUND:
        del parts[0]
    return ".".join(parts[:_LEVELS]) or UNNAMED


def read_placed(flow: Flow, seed: int, path: Path) -> Placed:
    """Read nextpnr's report of one seed."""
    report = json.loads(path.read_text())
    counts = report["utilization"]
    usage = tuple(
        Usage(ours, counts[theirs]["used"], counts[theirs]["available"])
        for theirs, ours in flow.resources.items()
        if theirs in counts
    )
    slowest = min(report["fmax"], key=lambda clock: report["fmax"][clock]["achieved"])
    return Placed(
        seed=seed,
        fmax_mhz=round(report["fmax"][slowest]["achieved"], 2),
        usage=usage,
        critical_path=_critical_path(report["critical_paths"], slowest),
    )


def _critical_path(paths: Iterable[Mapping[str, Any]], clock: str) -> tuple[Segment, ...]:
    """Segments of the path that limits a clock.

    A cell without a name is called after the wire it drives; one whose wire has none, either, goes
    to the one before it, or to the one behind it if it is the first.
    """
    path: Sequence[Mapping[str, Any]] = next(
        (p["path"] for p in paths if p["from"] == p["to"] == f"posedge {clock}"), ()
    )
    segments: list[Segment] = []
    for step in path:
        # A wire belongs to the cell that drives it.
        component = component_of(step["from"]["cell"])
        is_routing = step["type"] == "routing"
        if is_routing and component == UNNAMED:
            component = component_of(step["net"])
        logic_ns, routing_ns = (0.0, step["delay"]) if is_routing else (step["delay"], 0.0)
        if segments and (component == UNNAMED or segments[-1].component in (component, UNNAMED)):
            last = segments.pop()
            component = last.component if component == UNNAMED else component
            logic_ns, routing_ns = logic_ns + last.logic_ns, routing_ns + last.routing_ns
        segments.append(Segment(component, logic_ns, routing_ns))
    return tuple(
        Segment(part.component, round(part.logic_ns, 2), round(part.routing_ns, 2))
        for part in segments
    )


def read_logged_usage(flow: Flow, log: str) -> tuple[Usage, ...]:
    """Read what a design needs from nextpnr's log, which says so even if it does not fit."""
    found: list[Usage] = []
    for theirs, ours in flow.resources.items():
        counts = re.findall(rf"^Info:\s+{theirs}:\s+(\d+)/\s*(\d+)", log, re.MULTILINE)
        if counts:
            found.append(Usage(ours, int(counts[-1][0]), int(counts[-1][1])))
    return tuple(found)


def logic_by_component(netlist: Path) -> dict[str, int]:
    """LUTs and flip-flops that have none in front of them, by component, the largest first.

    Parameters
    ----------
    netlist : Path
        yosys's JSON, flattened.
    """
    cells = json.loads(netlist.read_text())["modules"]["top"]["cells"]
    lut_outputs = {
        bit
        for cell in cells.values()
        if cell["type"] in _CELL_LOGIC
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for bit in bits
    }
    counts: Counter[str] = Counter()
    for name, cell in cells.items():
        if cell["type"] in _CELL_LOGIC:
            counts[component_of(name)] += _CELL_LOGIC[cell["type"]]
        elif cell["type"].startswith(_FLIP_FLOPS):
            data = cell["connections"].get("D", cell["connections"].get("DI", [None]))[0]
            counts[component_of(name)] += data not in lut_outputs
    return dict(counts.most_common())
