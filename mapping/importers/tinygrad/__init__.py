"""Integer computations of tinygrad (0.14), taken from a tensor's graph of operations.

The graph is read, not executed, and becomes a :class:`mapping.tensor.Tensor`; tinygrad itself is
not imported. All integers are exact: whatever might wrap in tinygrad's types is refused.
"""

from mapping.importers.tinygrad.importer import TinygradNetwork, import_tinygrad
from mapping.importers.tinygrad.value import TinygradError

__all__ = ["TinygradError", "TinygradNetwork", "import_tinygrad"]
