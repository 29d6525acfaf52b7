"""Compiled RTL simulator: generated C in which identical modules are arrays."""

from sim.compiled.component import compile_component, compile_generated
from sim.compiled.memory_view import MemoryView
from sim.compiled.model import CompiledModel, SimulationTimeout
from sim.compiled.rtl.netlist import NetlistError
from sim.compiled.toolchain import Cache, CompilerError, default_cache, find_compiler
from sim.compiled.yosys import YosysError

__all__ = [
    "Cache",
    "CompiledModel",
    "CompilerError",
    "MemoryView",
    "NetlistError",
    "SimulationTimeout",
    "YosysError",
    "compile_component",
    "compile_generated",
    "default_cache",
    "find_compiler",
]
