"""Tests of :mod:`mapping.lowering`."""
