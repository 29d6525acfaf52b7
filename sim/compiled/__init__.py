"""Compiled RTL simulator: generated C in which identical modules are arrays."""

from sim.compiled.model import CompiledModel, MemoryView, SimulationTimeout, compile_component
from sim.compiled.netlist import NetlistError
from sim.compiled.toolchain import Cache, CompilerError, default_cache, find_compiler
from sim.compiled.yosys import YosysError

__all__ = [
    "Cache", "CompiledModel", "CompilerError", "MemoryView", "NetlistError", "SimulationTimeout",
    "YosysError", "compile_component", "default_cache", "find_compiler",
]
