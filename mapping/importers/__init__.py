"""Networks from the files of other tools, one package per format."""

from mapping.importers.errors import ModelError, Problem, UnsupportedModelError

__all__ = ["ModelError", "Problem", "UnsupportedModelError"]
