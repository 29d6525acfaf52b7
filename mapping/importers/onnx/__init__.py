"""Networks from ONNX files: quantized by ONNX Runtime, in either of its two forms.

:func:`load_onnx` reads a file; :mod:`mapping.importers.onnx.importer` lists the operators. Files
are read into plain records by :mod:`mapping.importers.onnx.parse`, which knows no operators.
"""

from mapping.importers.onnx.importer import Imported, import_model, import_records, load_onnx

__all__ = [
    "Imported",
    "import_model",
    "import_records",
    "load_onnx",
]
