"""Networks from ONNX files: :mod:`mapping.importers.onnx.parse` reads them into plain records."""

from mapping.importers.onnx.errors import OnnxError, Problem, UnsupportedModelError
from mapping.importers.onnx.parse import load_model, parse_model

__all__ = ["OnnxError", "Problem", "UnsupportedModelError", "load_model", "parse_model"]
