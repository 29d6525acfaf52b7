"""From an Amaranth component to a shared object: every step of the compiled simulator in order.

RTLIL -> yosys -> `rtl.netlist` -> `rtl.elaborate` (with `rtl.group`) -> `rtl.narrow` ->
`rtl.schedule` -> `c.codegen` -> `toolchain`. Results are kept in the cache, so that a second build
of the same design needs neither yosys nor a compiler.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from sim.compiled.c.codegen import generate
from sim.compiled.c.memory import cell_bits
from sim.compiled.rtl.design import Design, Output
from sim.compiled.rtl.elaborate import elaborate
from sim.compiled.rtl.narrow import narrow
from sim.compiled.rtl.netlist import Module, read_netlist
from sim.compiled.rtl.schedule import GroupCycleError, Step, schedule
from sim.compiled.toolchain import Cache, Compiler, digest
from sim.compiled.yosys import NETLIST_SCRIPT, run_yosys

__all__ = ["Interface", "MemoryInfo", "build", "build_source", "compile_design", "sources_digest"]


@dataclass(frozen=True)
class MemoryInfo:
    """A memory of the design; its index is its place in the interface."""

    name: str
    width: int
    depth: int
    cell_bits: int


@dataclass(frozen=True)
class Interface:
    """What the Python side must know of a shared object.

    Attributes
    ----------
    inputs, outputs : tuple of Output
        The ports, and after the output ports the probes.
    memories : tuple of MemoryInfo
        Every memory.
    """

    inputs: tuple[Output, ...]
    outputs: tuple[Output, ...]
    memories: tuple[MemoryInfo, ...]

    def to_json(self) -> str:
        """Return the interface as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Interface":
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        return cls(
            tuple(Output(**each) for each in raw["inputs"]),
            tuple(Output(**each) for each in raw["outputs"]),
            tuple(MemoryInfo(**each) for each in raw["memories"]),
        )


def compile_design(
    modules: dict[str, Module], top: str, *, minimum: int = 4, probe_depth: int = 0
) -> tuple[Design, list[Step]]:
    """Elaborate, narrow and schedule a netlist.

    Where members of a group depend on each other combinationally, groups are made of instances of
    one width only, then dissolved, until the rest can be scheduled.

    Parameters
    ----------
    modules : dict of str to Module
        From `netlist.read_netlist`.
    top : str
        Name of the top module.
    minimum : int
        Least number of like instances that are evaluated as an array.
    probe_depth : int
        Levels of hierarchy whose named nets become outputs too.

    Raises
    ------
    NetlistError
        If something is not supported, or a signal depends on itself.
    """
    banned: frozenset[str] = frozenset()
    may_stretch = True
    while True:
        design = elaborate(
            modules,
            top,
            minimum=minimum,
            banned=banned,
            may_stretch=may_stretch,
            probe_depth=probe_depth,
        )
        narrow(design)
        try:
            return design, schedule(design)
        except GroupCycleError as error:
            if may_stretch:
                may_stretch = False
            else:
                banned |= {path for space in error.spaces for path in space.members}


@cache
def sources_digest(package: str) -> str:
    """Return the digest of a package's own sources."""

    def files(folder: Traversable) -> Iterator[Traversable]:
        for each in sorted(folder.iterdir(), key=lambda item: item.name):
            if each.is_dir() and each.name != "__pycache__":
                yield from files(each)
            elif each.name.endswith((".py", ".h")):
                yield each

    return digest(*(each.read_bytes() for each in files(resources.files(package))))


def build_source(
    rtlil: str, top: str, cache: Cache, *, minimum: int = 4, probe_depth: int = 0
) -> tuple[str, Interface]:
    """Return the C program of a design and its interface.

    Raises
    ------
    YosysError
        If yosys is missing or refuses the design.
    NetlistError
        If the design holds something that is not supported.
    """

    def make_netlist(folder: Path) -> None:
        (folder / "design.il").write_text(rtlil, encoding="utf-8")
        run_yosys(NETLIST_SCRIPT, folder)
        (folder / "design.il").unlink()

    netlist = cache.get(digest("netlist", NETLIST_SCRIPT, rtlil), make_netlist)
    modules = read_netlist((netlist / "design.json").read_text(encoding="utf-8"))
    design, steps = compile_design(modules, top, minimum=minimum, probe_depth=probe_depth)
    memories = tuple(
        MemoryInfo(name, memory.width, memory.depth, cell_bits(memory))
        for memory in design.memories
        for name in memory.names
    )
    interface = Interface(tuple(design.inputs), tuple(design.outputs), memories)
    return generate(design, steps), interface


def build(
    rtlil: str,
    top: str,
    *,
    cache: Cache,
    compiler: Compiler,
    optimise: str = "-O3",
    minimum: int = 4,
    probe_depth: int = 0,
) -> tuple[Path, Interface]:
    """Return the shared object of a design, built or found in the cache, and its interface.

    Raises
    ------
    YosysError, NetlistError, CompilerError
        As the steps say.
    """

    def make(folder: Path) -> None:
        source, interface = build_source(
            rtlil, top, cache, minimum=minimum, probe_depth=probe_depth
        )
        (folder / "model.c").write_text(source, encoding="utf-8")
        compiler.build(folder / "model.c", folder / "model.so", optimise)
        (folder / "interface.json").write_text(interface.to_json(), encoding="utf-8")

    key = digest(
        "model",
        sources_digest("sim.compiled"),
        NETLIST_SCRIPT,
        compiler.identity,
        optimise,
        f"{minimum} {probe_depth} {top}",
        rtlil,
    )
    folder = cache.get(key, make)
    text = (folder / "interface.json").read_text(encoding="utf-8")
    return folder / "model.so", Interface.from_json(text)
