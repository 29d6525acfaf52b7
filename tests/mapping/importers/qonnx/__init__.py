"""Tests of the QONNX importer."""
