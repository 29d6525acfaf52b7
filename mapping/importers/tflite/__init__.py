"""Networks from TensorFlow Lite files (int8), exact to the bit with tflite-micro.

:func:`load_tflite` reads a file; :mod:`mapping.importers.tflite.importer` lists the operators.
"""

from mapping.importers.tflite.importer import Imported, import_model, load_tflite
from mapping.importers.tflite.parse import has_identifier

__all__ = [
    "Imported",
    "has_identifier",
    "import_model",
    "load_tflite",
]
