"""The compiler's product: instructions, constants and descriptors, in memory and as a file."""

from mapping.errors import ProgramError
from mapping.program.container import Program
from mapping.program.data import LayerRecord, Slot
from mapping.program.tensor import Packing, StoredTensor

__all__ = ["LayerRecord", "Packing", "Program", "ProgramError", "Slot", "StoredTensor"]
