"""The compiler's product: instructions, constants and descriptors, in memory and as a file."""

from mapping.errors import ProgramError
from mapping.program.container import Program
from mapping.program.data import LayerRecord, Part, Slot
from mapping.program.tensor import Packing, StoredTensor

__all__ = ["LayerRecord", "Packing", "Part", "Program", "ProgramError", "Slot", "StoredTensor"]
