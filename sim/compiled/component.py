"""From an Amaranth component to a model: RTLIL, kept where a generator made it, then the build."""

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from amaranth.hdl import Elaboratable

from sim.compiled.build import build, sources_digest
from sim.compiled.model import CompiledModel
from sim.compiled.toolchain import Cache, Compiler, default_cache, digest, find_compiler

__all__ = ["compile_component", "compile_generated"]


def compile_component(
    component: Elaboratable,
    *,
    name: str = "top",
    optimise: str = "-O3",
    trace_depth: int = 0,
    compiler: Compiler | None = None,
    cache: Cache | None = None,
) -> CompiledModel:
    """Compile an Amaranth component of one clock domain, ``sync``, to a simulation model.

    Parameters
    ----------
    component : Elaboratable
        The design.
    name : str
        Name of its top module.
    optimise : str
        Optimisation option of the C compiler.
    trace_depth : int
        Levels of hierarchy whose named signals can be read with `get` and are traced.
    compiler : Compiler, optional
        Default: what `toolchain.find_compiler` finds.
    cache : Cache, optional
        Default: the user's.

    Raises
    ------
    NetlistError
        If the design holds something that is not supported.
    YosysError, CompilerError
        If a tool is missing or fails.
    """
    text = _to_rtlil(component, name)
    return _compile(text, name, optimise, trace_depth, compiler, cache or default_cache())


def compile_generated(
    make: Callable[[], Elaboratable],
    *,
    package: str,
    made_from: tuple[str, ...],
    name: str = "top",
    trace_depth: int = 0,
    cache: Cache | None = None,
) -> CompiledModel:
    """Compile a component that a generator makes; what it makes is kept as well.

    Elaborating a large component takes seconds, more than all else once its model is there.

    Parameters
    ----------
    make : callable
        Makes the component.
    package : str
        Holds all sources that decide what is made, but for Amaranth's.
    made_from : tuple of str
        Everything else that decides it.
    name, trace_depth, cache
        As for :func:`compile_component`, which also says what may be raised.
    """
    kept = cache or default_cache()
    versions = (version("amaranth"), sys.version)
    key = digest("rtlil", name, *versions, package, sources_digest(package), *made_from)

    def convert(folder: Path) -> None:
        (folder / "design.il").write_text(_to_rtlil(make(), name), encoding="utf-8")

    text = (kept.get(key, convert) / "design.il").read_text(encoding="utf-8")
    return _compile(text, name, "-O3", trace_depth, None, kept)


def _to_rtlil(component: Elaboratable, name: str) -> str:
    """Without source locations, which would change the cache's key from machine to machine."""
    return str(rtlil.convert(component, name=name, emit_src=False))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _compile(
    text: str,
    name: str,
    optimise: str,
    trace_depth: int,
    compiler: Compiler | None,
    cache: Cache,
) -> CompiledModel:
    path, interface = build(
        text,
        name,
        cache=cache,
        compiler=compiler if compiler is not None else find_compiler(),
        optimise=optimise,
        probe_depth=trace_depth,
    )
    return CompiledModel(path, interface)
