"""Networks of 1 to 8 bits from QONNX files, whose quantizers Brevitas, QKeras and FINN write.

:func:`load_qonnx` reads a file; :mod:`mapping.importers.qonnx.importer` lists the operators.
"""

from mapping.importers.qonnx.importer import (
    Imported,
    import_model,
    import_records,
    is_qonnx,
    load_qonnx,
)

__all__ = ["Imported", "import_model", "import_records", "is_qonnx", "load_qonnx"]
